import type { CandidateSource, Proposals } from '../contracts/candidate-source.js';
import type { RequestBatch, RequestView } from './request-view.js';

/** Rows and scores of one request, best first. */
export interface RequestProposals {
  readonly rows: ArrayLike<number>;
  readonly scores: ArrayLike<number>;
}

/** Joins the lists of B requests into one flat `Proposals`; each list is cut at `limit`. */
export function joinProposals(lists: readonly (RequestProposals | undefined)[], limit: number): Proposals {
  const offsets = new Int32Array(lists.length + 1);
  for (let index = 0; index < lists.length; index++) {
    offsets[index + 1] = (offsets[index] ?? 0) + Math.min(lists[index]?.rows.length ?? 0, limit);
  }
  const total = offsets[lists.length] ?? 0;
  const rows = new Int32Array(total);
  const scores = new Float32Array(total);
  for (let index = 0; index < lists.length; index++) {
    const list = lists[index];
    if (list === undefined) continue;
    const start = offsets[index] ?? 0;
    const length = (offsets[index + 1] ?? start) - start;
    if (list.rows instanceof Int32Array && list.scores instanceof Float32Array) {
      // As bytes: a list may be the whole catalogue.
      rows.set(list.rows.subarray(0, length), start);
      scores.set(list.scores.subarray(0, length), start);
      continue;
    }
    for (let place = 0; place < length; place++) {
      rows[start + place] = list.rows[place] ?? 0;
      scores[start + place] = list.scores[place] ?? 0;
    }
  }
  return { offsets, rows, scores };
}

/** Adapts a function of one request to the batch contract; requests are answered one after the other, none after an abort. */
export function perRequest(
  propose: (
    request: RequestView,
    limit: number,
    batch: RequestBatch,
  ) => RequestProposals | undefined | Promise<RequestProposals | undefined>,
): CandidateSource['propose'] {
  return (batch, limit) => {
    batch.signal.throwIfAborted();
    const lists: (RequestProposals | undefined)[] = [];
    for (let index = 0; index < batch.requests.length; index++) {
      const request = batch.requests[index] as RequestView;
      const list = propose(request, limit, batch);
      if (list instanceof Promise) return continueAsync(propose, batch, limit, lists, list);
      lists.push(list);
    }
    return joinProposals(lists, limit);
  };
}

async function continueAsync(
  propose: (
    request: RequestView,
    limit: number,
    batch: RequestBatch,
  ) => RequestProposals | undefined | Promise<RequestProposals | undefined>,
  batch: RequestBatch,
  limit: number,
  lists: (RequestProposals | undefined)[],
  pending: Promise<RequestProposals | undefined>,
): Promise<Proposals> {
  lists.push(await pending);
  for (let index = lists.length; index < batch.requests.length; index++) {
    batch.signal.throwIfAborted();
    lists.push(await propose(batch.requests[index] as RequestView, limit, batch));
  }
  return joinProposals(lists, limit);
}
