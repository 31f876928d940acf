import type { ErrorEntry, PluginDefinition } from '@recloom/plugin-api';

export const referencePages: Readonly<Record<string, () => Promise<string>>>;
export function allPlugins(): Promise<{ readonly folder: string; readonly packageName: string; readonly definition: PluginDefinition }[]>;
export function messageShape(entry: ErrorEntry): string;
