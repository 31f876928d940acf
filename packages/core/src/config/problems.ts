import { type ErrorCode, type ErrorLocation, type ErrorParameters, isRecloomError, RecloomError, recloomError } from '@recloom/plugin-api';
import type { ConfigPath, LoadedConfig } from './types.js';

/** What a collector needs to know about the config whose problems it gathers; every `LoadedConfig` has it. */
export interface ProblemSource {
  readonly file: string;
  locate: LoadedConfig['locate'];
  /** Display names of all files in reading order, the main file first. */
  readonly files?: readonly string[];
  locateInside?: LoadedConfig['locateInside'];
  isSettled?: LoadedConfig['isSettled'];
}

/** At most this many problems are shown and kept: a file that is wrong throughout is not wrong in more ways than this. */
const mostProblems = 100;

/** Gathers everything that is wrong with a config, so that its author learns of all of it at once. */
export class ProblemCollector {
  readonly #source: ProblemSource;
  readonly #problems: RecloomError[] = [];
  readonly #seen = new Set<string>();

  /** `earlier` are problems found before, e.g. those `parseConfig` returned; they are reported together with the new ones. */
  constructor(source: ProblemSource, earlier: readonly RecloomError[] = []) {
    this.#source = source;
    for (const problem of earlier) this.#push(problem);
  }

  /**
   * Adds a problem of the table at the place of a config path: of its value, or of its key with `target: 'key'`. One that only
   * follows from what was told already is left out.
   */
  add<Code extends ErrorCode>(code: Code, parameters: ErrorParameters<Code>, path: ConfigPath, target: 'key' | 'value' = 'value'): void {
    if (this.#source.isSettled?.(path) === true) return;
    this.#push(recloomError(code, parameters, { at: this.#at(path, target) }));
  }

  /**
   * Adds a problem that somebody else raised, at the place of a config path; what is no `RecloomError` is kept as the cause.
   * For an expression, whose problems know their offset in the text at that path, the place is that of the part that is wrong.
   */
  addError(error: unknown, path: ConfigPath, target: 'key' | 'value' = 'value'): void {
    if (this.#source.isSettled?.(path) === true) return;
    const at = this.#at(path, target);
    if (!isRecloomError(error)) {
      const what = error instanceof Error ? error.message : String(error);
      this.#push(recloomError('RECLOOM_PLG_COMPONENT_FAILED', { what }, { at, cause: error }));
      return;
    }
    const offset = (error.cause as { readonly offset?: unknown } | undefined)?.offset;
    const inside =
      error.code === 'RECLOOM_CFG_EXPRESSION' && typeof offset === 'number' ? this.#source.locateInside?.(path, offset) : undefined;
    this.#push(
      new RecloomError({
        code: error.code,
        message: error.message,
        hint: error.hint,
        retryable: error.retryable,
        cause: error.cause,
        problems: error.problems,
        at: { ...at, ...error.at, ...inside },
      }),
    );
  }

  /** Adds a problem that already knows its place. */
  addFound(problem: RecloomError): void {
    this.#push(problem);
  }

  /** How many there are. */
  get count(): number {
    return this.#problems.length;
  }

  /** All problems in file order: the main file first, then what it is based on; within a file by line and column. */
  get problems(): readonly RecloomError[] {
    const files = [...(this.#source.files ?? [this.#source.file])];
    const rank = (problem: RecloomError): number => {
      const place = files.indexOf(problem.at.file ?? '');
      return place < 0 ? files.length : place;
    };
    return this.#problems.toSorted(
      (left, right) =>
        rank(left) - rank(right) || (left.at.line ?? 0) - (right.at.line ?? 0) || (left.at.column ?? 0) - (right.at.column ?? 0),
    );
  }

  /**
   * Does nothing when there are no problems.
   *
   * @throws RECLOOM_CFG_INVALID with all of them under `problems`.
   */
  throwIfAny(): void {
    if (this.#problems.length === 0) return;
    const { file } = this.#source;
    throw recloomError('RECLOOM_CFG_INVALID', { count: this.#problems.length, file }, { at: { file }, problems: this.problems });
  }

  #push(problem: RecloomError): void {
    const identity = `${problem.at.file}:${problem.at.line}:${problem.at.column}:${problem.message}`;
    if (this.#problems.length >= mostProblems || this.#seen.has(identity)) return;
    this.#seen.add(identity);
    this.#problems.push(problem);
  }

  #at(path: ConfigPath, target: 'key' | 'value'): ErrorLocation {
    const position = this.#source.locate(path, target);
    const [section, name] = path;
    return {
      file: position.file,
      // An object has no lines: leaving them out says so, a zero would look like a place.
      ...(position.line > 0 ? { line: position.line, column: position.column } : {}),
      ...(section === 'components' && typeof name === 'string' ? { node: name } : {}),
      ...(section === 'surfaces' && typeof name === 'string' ? { surface: name } : {}),
    };
  }
}
