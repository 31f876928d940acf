import type { PlainError } from './protocol.js';

/** One call of a function of opened work. */
export interface BackgroundCall {
  readonly call: number;
  readonly key: string;
  readonly name: string;
  readonly parameters: readonly unknown[];
}

/**
 * Host to background thread. Messages are taken in order, and each with calls is answered by one message with as many answers; but
 * calls of what was opened as `overlapping` are begun at once, and each is answered by a message of its own.
 */
export type BackgroundMessage =
  /** `key` is the host's name for what is opened and the handle of later messages. */
  | {
      readonly kind: 'open';
      readonly call: number;
      readonly key: string;
      readonly module: string;
      readonly settings: unknown;
      readonly overlapping: boolean;
    }
  | { readonly kind: 'calls'; readonly calls: readonly BackgroundCall[] }
  | { readonly kind: 'release'; readonly key: string }
  | { readonly kind: 'stop' };

/** Background thread to host. */
export interface BackgroundAnswer {
  readonly call: number;
  readonly value?: unknown;
  readonly error?: PlainError;
}
