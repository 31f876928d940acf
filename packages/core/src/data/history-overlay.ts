import type { HistoryStore, HistoryView } from '@recloom/plugin-api';
import type { OverlayTable } from './overlay-table.js';

/** An event a request brings along. */
export interface SessionEvent {
  readonly itemRow: number;
  /** Default: `event`. */
  readonly type?: string | undefined;
  /** Default: the request's `asOfMs`. */
  readonly timeMs?: number | undefined;
  /** Default: the usual weight of its type in the stored history, else 1. */
  readonly weight?: number | undefined;
}

export interface ViewOptions {
  readonly asOfMs: number;
  readonly session?: readonly SessionEvent[] | undefined;
}

export class HistoryOverlay {
  constructor(_store: HistoryStore, _users: OverlayTable, _options?: { readonly onRead?: ((label: string) => void) | undefined }) {}
  record(_userId: string, _itemRow: number, _typeName: string | undefined, _timeMs: number, _weight?: number): void {
    throw new Error('in work');
  }
  /** `userRow` -1: session events only. */
  view(_userRow: number, _options: ViewOptions): HistoryView {
    throw new Error('in work');
  }
}
