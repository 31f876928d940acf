import type { RequestFixture } from '../subject.js';

/** A component to open in the child, with what can be sent there. */
export interface ChildComponent {
  readonly id: string;
  readonly options: unknown;
  readonly directory: string | undefined;
  /** Inputs by name; features without their methods. */
  readonly inputs: Readonly<Record<string, unknown>> | undefined;
  readonly request: RequestFixture | undefined;
  readonly columns: readonly string[] | undefined;
}

/** What the child is asked to do. */
export interface ChildRequest {
  /** `import`: import the plugin and tell what that loads and changes. `open`: fit, open and use every component. */
  readonly task: 'import' | 'open';
  /** File URL of the plugin's entry. */
  readonly entry: string;
  /** A package that is to be treated as not installed. */
  readonly hiddenLibrary?: string;
  readonly components?: readonly ChildComponent[];
  readonly setupModule?: string | undefined;
}

/** What became of one component. */
export interface OpenFinding {
  readonly component: string;
  readonly outcome: 'worked' | 'failed';
  readonly code: string | undefined;
  readonly message: string;
}

/** What a plugin loaded when it was imported in a process of its own. */
export interface ChildAnswer {
  /** Set when the plugin could not even be imported. */
  readonly failure: string | undefined;
  /** Names of the packages whose files were loaded. */
  readonly packages: readonly string[];
  /** Globals and built-ins that changed, listeners that came. */
  readonly globals: readonly string[];
  readonly findings: readonly OpenFinding[];
}
