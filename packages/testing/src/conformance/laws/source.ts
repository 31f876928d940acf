import type { ComponentDefinition, Proposals, RequestView } from '@recloom/plugin-api';
import type { AnyInstance } from '../../host/host.js';
import { requestBatch } from '../../host/requests.js';
import { hold, type Law, provides } from '../law.js';
import { mixedRequests, type Subject, sampleRequests, strangerRequest } from '../subject.js';

interface Run {
  readonly proposals: Proposals;
  readonly limit: number;
}

async function runs(subject: Subject, instance: AnyInstance): Promise<readonly Run[]> {
  const requests = sampleRequests(subject);
  const limits = [1, 7, subject.shop.items.rowCount + 5];
  const all: Run[] = [];
  for (const limit of limits) all.push({ limit, proposals: await instance.propose(requestBatch(requests), limit) });
  return all;
}

function slice({ offsets, rows, scores }: Proposals, request: number): { rows: Int32Array; scores: Float32Array } {
  const start = offsets[request] ?? 0;
  const end = offsets[request + 1] ?? start;
  return { rows: rows.subarray(start, end), scores: scores.subarray(start, end) };
}

function checkRows({ offsets, rows, scores }: Proposals, requestCount: number, rowCount: number): void {
  hold(offsets.length === requestCount + 1 && offsets[0] === 0, `There are ${offsets.length} offsets for ${requestCount} requests.`);
  for (let request = 0; request < requestCount; request++) {
    hold((offsets[request] ?? 0) <= (offsets[request + 1] ?? -1), 'The offsets do not ascend.');
  }
  const end = offsets[requestCount] ?? -1;
  hold(
    end === rows.length && end === scores.length,
    `The offsets end at ${end}, there are ${rows.length} rows and ${scores.length} scores.`,
  );
  for (let request = 0; request < requestCount; request++) {
    const own = rows.subarray(offsets[request], offsets[request + 1]);
    hold(
      own.every((row) => row >= 0 && row < rowCount),
      `Request ${request} got a row outside the catalogue.`,
    );
    hold(new Set(own).size === own.length, `Request ${request} got a row twice.`);
  }
}

const uniqueRows: Law = {
  id: 'SRC-01',
  title: 'rows are unique and in range',
  law: 'Flat proposals whose offsets, rows and scores fit together; within a request each row occurs once and is in the catalogue; over all sample requests something is proposed.',
  appliesTo: provides('source'),
  async run(subject) {
    const { instance } = await subject.open();
    let proposed = 0;
    for (const { proposals } of await runs(subject, instance)) {
      checkRows(proposals, 5, subject.shop.items.rowCount);
      proposed += proposals.rows.length;
    }
    hold(
      proposed > 0,
      'Nothing was proposed for any of the requests; give a fixture (options, shop or request) on which it has something to say.',
    );
    checkRows(await instance.propose(requestBatch([]), 5), 0, subject.shop.items.rowCount);
    await instance.dispose?.();
  },
};

const withinLimit: Law = {
  id: 'SRC-02',
  title: 'at most as many as asked for',
  law: 'No request gets more than `limit` rows.',
  appliesTo: provides('source'),
  async run(subject) {
    const { instance } = await subject.open();
    for (const { proposals, limit } of await runs(subject, instance)) {
      for (let request = 0; request < 5; request++) {
        const { length } = slice(proposals, request).rows;
        hold(length <= limit, `${length} rows for a limit of ${limit}.`);
      }
    }
    await instance.dispose?.();
  },
};

const descending: Law = {
  id: 'SRC-03',
  title: 'scores are finite and descend',
  law: 'Within a request the scores are finite and the best comes first.',
  appliesTo: provides('source'),
  async run(subject) {
    const { instance } = await subject.open();
    for (const { proposals } of await runs(subject, instance)) {
      for (let request = 0; request < 5; request++) {
        const { scores } = slice(proposals, request);
        scores.forEach((score, place) => {
          hold(Number.isFinite(score), `Request ${request} got the score ${score}.`);
          hold(place === 0 || score <= (scores[place - 1] ?? 0), `Request ${request}: the scores do not descend.`);
        });
      }
    }
    await instance.dispose?.();
  },
};

const batchIsSeparate: Law = {
  id: 'SRC-04',
  title: 'a batch equals separate runs',
  law: 'A request is answered in a batch as it would be alone.',
  appliesTo: provides('source'),
  async run(subject) {
    if (subject.definition.capabilities.deterministic === false) return;
    const { instance } = await subject.open();
    for (const requests of [sampleRequests(subject), mixedRequests(subject)]) {
      const together = await instance.propose(requestBatch(requests), 9);
      for (const [index, request] of requests.entries()) {
        const alone = slice(await instance.propose(requestBatch([request]), 9), 0);
        const batched = slice(together, index);
        hold(alone.rows.join() === batched.rows.join(), `Request ${index} gets other rows in a batch than alone.`);
        alone.scores.forEach((score, place) => {
          const other = batched.scores[place] ?? 0;
          hold(
            Math.abs(score - other) <= 1e-4 * Math.max(Math.abs(score), 1e-6),
            `Request ${index} gets other scores in a batch than alone.`,
          );
        });
      }
    }
    await instance.dispose?.();
  },
};

const unknownUserAndItem: Law = {
  id: 'SRC-05',
  title: 'unknown users and items are normal',
  law: 'A guest, a user and items that joined after the fit: an answer (perhaps empty), no error.',
  appliesTo: provides('source'),
  async run(subject) {
    const { grownShop: shop } = subject;
    const { instance } = await subject.open({ shop });
    const newItem = shop.items.rowCount - 1;
    const strangers: RequestView[] = [
      strangerRequest(subject, -1),
      strangerRequest(subject, shop.users.rowCount - 1, { items: [newItem], text: 'zzzz unheard of' }),
      strangerRequest(subject, 0, {
        history: [{ item: newItem, type: subject.shop.history.typeNames[0] ?? 'view', timeMs: shop.asOfMs }],
        items: [newItem - 1],
      }),
    ];
    const proposals = await instance.propose(requestBatch(strangers), 10);
    checkRows(proposals, strangers.length, shop.items.rowCount);
    hold(
      proposals.scores.every((score) => Number.isFinite(score)),
      'A stranger gets scores that are not finite.',
    );
    await instance.dispose?.();
  },
};

const eligibleInside: Law = {
  id: 'SRC-06',
  title: 'whoever filters inside, does',
  law: 'With the capability `filtersInside` no ineligible row is proposed, and a list is filled up from the eligible ones.',
  appliesTo: (definition: ComponentDefinition) => provides('source')(definition) && definition.capabilities.filtersInside === true,
  async run(subject) {
    const { instance } = await subject.open();
    const requests = sampleRequests(subject);
    const { rowCount } = subject.shop.items;
    const all = await instance.propose(requestBatch(requests), rowCount);
    const top = await instance.propose(requestBatch(requests), 3);
    const eligible = new Uint8Array(rowCount).fill(1);
    for (const row of top.rows) eligible[row] = 0;
    const rest = await instance.propose(requestBatch(requests, { eligible }), 3);
    for (let request = 0; request < requests.length; request++) {
      const got = slice(rest, request).rows;
      hold(
        got.every((row) => eligible[row] === 1),
        `Request ${request} got a row that is not eligible.`,
      );
      const possible = slice(all, request).rows.filter((row) => eligible[row] === 1).length;
      hold(
        got.length >= Math.min(3, possible),
        `Request ${request} got ${got.length} rows though ${possible} eligible ones are proposed without a filter.`,
      );
    }
    await instance.dispose?.();
  },
};

/** Laws of candidate sources. */
export const sourceLaws: readonly Law[] = [uniqueRows, withinLimit, descending, batchIsSeparate, unknownUserAndItem, eligibleInside];
