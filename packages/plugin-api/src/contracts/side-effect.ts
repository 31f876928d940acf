/** What a side effect is told about an answer, after it was given. */
export interface AnswerEvent {
  readonly attributionId: string;
  readonly surface: string;
  readonly snapshotId: string;
  readonly asOfMs: number;
  /** Ids in the order shown. */
  readonly items: readonly string[];
  readonly totalMs: number;
  readonly warningCodes: readonly string[];
}

/** Runs after the answer and never delays it; its errors are logged and counted. */
export interface SideEffect {
  onAnswer(event: AnswerEvent): void | Promise<void>;
  dispose?(): void | Promise<void>;
}
