import type { CandidateBatch } from '@recloom/plugin-api';
import type { AnyInstance } from '../../host/host.js';
import { candidateBatch } from '../../host/requests.js';
import { hold, type Law, provides } from '../law.js';
import { mixedRequests, sampleCandidates, sampleRequests, strangerRequest } from '../subject.js';

async function removedBy(instance: AnyInstance, batch: CandidateBatch): Promise<Uint8Array> {
  const removed = new Uint8Array(batch.count);
  await instance.filter(batch, removed, new AbortController().signal);
  return removed;
}

function slice(batch: CandidateBatch, request: number): CandidateBatch {
  const start = batch.offsets[request] ?? 0;
  const end = batch.offsets[request + 1] ?? start;
  const view = batch.requests[request];
  return {
    requests: view === undefined ? [] : [{ ...view, index: 0 }],
    count: end - start,
    offsets: Int32Array.from([0, end - start]),
    rows: batch.rows.slice(start, end),
    sources: batch.sources.map(({ name, scores, ranks }) => ({ name, scores: scores.slice(start, end), ranks: ranks.slice(start, end) })),
    column: (name) => batch.column(name)?.slice(start, end),
  };
}

const reasonsNamed: Law = {
  id: 'FLT-01',
  title: 'reasons have names',
  law: 'A filter names at least one reason; names are kebab case, differ, and stay the same while it works.',
  appliesTo: provides('filter'),
  async run(subject) {
    const { instance } = await subject.open();
    const reasons = [...instance.removalReasons];
    hold(reasons.length > 0 && reasons.length < 255, `There are ${reasons.length} reasons.`);
    hold(new Set(reasons).size === reasons.length, 'Two reasons have the same name.');
    for (const reason of reasons) hold(/^[a-z][a-z0-9-]*$/.test(reason), `The reason "${reason}" is not in kebab case.`);
    await removedBy(instance, sampleCandidates(subject, sampleRequests(subject)));
    hold(instance.removalReasons.join() === reasons.join(), 'The reasons changed while it worked.');
    await instance.dispose?.();
  },
};

const maskWithinReasons: Law = {
  id: 'FLT-02',
  title: 'a reason for each removal',
  law: 'Every mask value is 0 or one of the reasons (1 + index), and nothing outside the mask is written; over all sample requests something is removed.',
  appliesTo: provides('filter'),
  async run(subject) {
    const { instance } = await subject.open();
    const batch = sampleCandidates(subject, sampleRequests(subject));
    const guard = 5;
    const whole = new Uint8Array(batch.count + 2 * guard).fill(99);
    const removed = whole.subarray(guard, guard + batch.count).fill(0);
    await instance.filter(batch, removed, new AbortController().signal);
    hold(
      removed.every((value) => value <= instance.removalReasons.length),
      'A candidate was removed for a reason that is not listed.',
    );
    hold(
      [...whole.subarray(0, guard), ...whole.subarray(guard + batch.count)].every((value) => value === 99),
      'It writes outside its mask.',
    );
    hold(
      removed.some((value) => value > 0),
      'Nothing was removed for any request; give a fixture (options, shop or request) on which it removes something.',
    );
    if (instance.filterItems !== undefined) {
      const items = new Uint8Array(subject.shop.items.rowCount);
      instance.filterItems(items);
      hold(
        items.every((value) => value <= instance.removalReasons.length),
        'An item was removed for a reason that is not listed.',
      );
    }
    await removedBy(instance, candidateBatch({ rows: [] }));
    await instance.dispose?.();
  },
};

const itemFilterAgrees: Law = {
  id: 'FLT-03',
  title: 'item filter and candidate filter agree',
  law: 'Where a filter decides by the item alone, it decides for the whole catalogue what it decides for candidates; otherwise sources would hide what the filter lets pass.',
  appliesTo: provides('filter'),
  async run(subject) {
    const { instance } = await subject.open();
    if (instance.filterItems !== undefined) {
      const { rowCount } = subject.shop.items;
      const items = new Uint8Array(rowCount);
      instance.filterItems(items);
      const rows = Array.from({ length: rowCount }, (_, row) => row);
      for (const request of sampleRequests(subject)) {
        const removed = await removedBy(instance, candidateBatch({ rows: [rows], requests: [request] }));
        hold(removed.join() === items.join(), 'The item filter and the candidate filter decide differently.');
      }
    }
    await instance.dispose?.();
  },
};

const batchIsSeparate: Law = {
  id: 'FLT-04',
  title: 'a batch equals separate runs',
  law: 'Who goes is decided for a request alone as in a batch.',
  appliesTo: provides('filter'),
  async run(subject) {
    if (subject.definition.capabilities.deterministic === false) return;
    const { instance } = await subject.open();
    for (const requests of [sampleRequests(subject), mixedRequests(subject)]) {
      const batch = sampleCandidates(subject, requests);
      const together = await removedBy(instance, batch);
      for (let request = 0; request < batch.requests.length; request++) {
        const alone = await removedBy(instance, slice(batch, request));
        const start = batch.offsets[request] ?? 0;
        hold(
          alone.every((value, place) => value === together[start + place]),
          `The decisions for request ${request} depend on the other requests of the batch.`,
        );
      }
    }
    await instance.dispose?.();
  },
};

const unknownUserAndItem: Law = {
  id: 'FLT-05',
  title: 'unknown users and items are normal',
  law: 'A guest, a user and items that joined after the fit: a decision, no error.',
  appliesTo: provides('filter'),
  async run(subject) {
    const { grownShop: shop } = subject;
    const { instance } = await subject.open({ shop });
    const newItem = shop.items.rowCount - 1;
    const rows = [newItem, 0, newItem - 1];
    const batch = candidateBatch({
      rows: [rows, rows, rows],
      requests: [
        strangerRequest(subject, -1),
        strangerRequest(subject, shop.users.rowCount - 1, { items: [newItem] }),
        strangerRequest(subject, 0, {
          history: [{ item: newItem, type: subject.shop.history.typeNames[0] ?? 'view', timeMs: shop.asOfMs }],
        }),
      ],
      sources: { first: [1, 2, 3, 1, 2, 3, 1, 2, 3] },
    });
    await removedBy(instance, batch);
    instance.filterItems?.(new Uint8Array(shop.items.rowCount));
    await instance.dispose?.();
  },
};

/** Laws of candidate filters. */
export const filterLaws: readonly Law[] = [reasonsNamed, maskWithinReasons, itemFilterAgrees, batchIsSeparate, unknownUserAndItem];
