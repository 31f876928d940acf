import type { MessagePort } from 'node:worker_threads';

interface HookData {
  readonly port: MessagePort;
  readonly hiddenLibrary: string | undefined;
}

// Module hooks run in a thread of their own that exists for them alone; this is their state.
let data: HookData | undefined;

/** Called by Node with what `register` was given. */
export function initialize(given: HookData): void {
  data = given;
}

type Next<Result> = (specifier: string, context: unknown) => Promise<Result>;

/** Hides one library, and reports every module that is resolved. */
export async function resolve(specifier: string, context: unknown, next: Next<{ url: string }>): Promise<{ url: string }> {
  const hidden = data?.hiddenLibrary;
  if (hidden !== undefined && (specifier === hidden || specifier.startsWith(`${hidden}/`))) {
    throw Object.assign(new Error(`Cannot find package '${hidden}'`), { code: 'ERR_MODULE_NOT_FOUND' });
  }
  const resolved = await next(specifier, context);
  data?.port.postMessage(resolved.url);
  return resolved;
}
