import { type CandidateBatch, type ComponentDefinition, columnValue, tensor } from '@recloom/plugin-api';
import type { ComponentFixture } from '../conformance/subject.js';
import { textColumn } from '../host/columns.js';
import { brokenModelTwins } from './broken-models.js';
import {
  contextFilterWith,
  dataWith,
  extractorWith,
  filterWith,
  isDescribed,
  itemFilterWith,
  privacyWith,
  rankerWith,
  scorerWith,
  sourceWith,
} from './healthy.js';
import type { SamplePackage } from './packages.js';
import { sampleSchema } from './schema.js';

/** A component with one fault, and the laws that must notice it. */
export interface BrokenTwin {
  /** The law it is broken for. */
  readonly law: string;
  /** What is wrong with it. */
  readonly fault: string;
  /** Laws that cannot hold either when this one does not. */
  readonly implies?: readonly string[];
  /** What the law must say, where the fault alone does not tell which part of the law noticed it. */
  readonly message?: string;
  readonly component: ComponentDefinition;
  readonly fixture?: ComponentFixture;
  /** The package on disk; default the healthy one. */
  readonly package?: SamplePackage;
}

/** A shared number: what no two instances may have. */
function sharedCounter(): { open: number } {
  return { open: 0 };
}

function brokenAll(): BrokenTwin[] {
  const counter = sharedCounter();
  let fits = 0;
  return [
    {
      law: 'ALL-01',
      fault: '{} is refused although nothing is required',
      component: scorerWith(undefined, { options: sampleSchema({ refuseEmpty: true }) }),
      fixture: { options: { boost: 2 } },
    },
    {
      law: 'ALL-02',
      fault: 'another default than the JSON schema says',
      component: scorerWith(undefined, { options: sampleSchema({ filledBoost: 2 }) }),
    },
    { law: 'ALL-03', fault: 'unknown keys pass', component: scorerWith(undefined, { options: sampleSchema({ lax: true }) }) },
    { law: 'ALL-04', fault: 'the entry imports a library', component: scorerWith(), package: 'eager' },
    { law: 'ALL-05', fault: 'a missing library surfaces as a raw error', component: scorerWith(), package: 'careless' },
    {
      law: 'ALL-06',
      fault: 'the signal is ignored',
      component: sourceWith(({ healthy }) => ({
        propose: (batch, limit) => healthy.propose({ ...batch, signal: new AbortController().signal }, limit),
      })),
    },
    {
      law: 'ALL-07',
      fault: 'the values of the list are overwritten',
      component: rankerWith(({ healthy }) => ({
        async rank(list, signal) {
          const order = await healthy.rank(list, signal);
          list.values.fill(0);
          return order;
        },
      })),
    },
    {
      law: 'ALL-08',
      fault: 'scores depend on how many instances are open',
      component: scorerWith(({ healthy }) => {
        counter.open++;
        let open = true;
        return {
          async score(batch, out, signal) {
            await healthy.score(batch, out, signal);
            for (let place = 0; place < batch.count; place++) out[place] = (out[place] ?? 0) + counter.open;
          },
          dispose() {
            if (open) counter.open--;
            open = false;
          },
        };
      }),
    },
    {
      law: 'ALL-09',
      fault: 'the batch is kept in a field across an await',
      component: scorerWith(({ healthy }) => {
        let current: CandidateBatch;
        return {
          async score(batch, out, signal) {
            signal.throwIfAborted();
            current = batch;
            await Promise.resolve();
            await healthy.score(current, out, signal);
          },
        };
      }),
    },
    {
      law: 'ALL-10',
      fault: 'the second dispose throws',
      component: rankerWith(() => {
        let open = true;
        return {
          dispose() {
            if (!open) throw new Error('already closed');
            open = false;
          },
        };
      }),
    },
    { law: 'ALL-11', fault: 'importing adds a global', component: scorerWith(), package: 'patching' },
    {
      law: 'ALL-12',
      fault: 'one reason too few',
      component: sourceWith(({ healthy }) => ({ reasons: (request, rows) => healthy.reasons(request, rows).slice(1) })),
    },
    {
      law: 'ALL-12',
      fault: 'it never has a reason',
      message: 'Not one reason was given for any of the requests; give a fixture (options, shop or request)',
      component: sourceWith(() => ({ reasons: (_request, rows) => Array.from(rows, () => undefined) })),
    },
    {
      law: 'FIT-01',
      fault: 'the state counts the fits',
      component: sourceWith(undefined, {
        fit({ history, items, signal }) {
          signal.throwIfAborted();
          const counts = new Float32Array(items.rowCount);
          for (const item of history.items) counts[item] = (counts[item] ?? 0) + 1;
          return { counts: tensor(counts), fits: tensor(Int32Array.of(fits++)) };
        },
      }),
    },
    {
      law: 'FIT-02',
      fault: 'a shape that does not fit its values',
      component: sourceWith(undefined, {
        fit({ history, items, signal }) {
          signal.throwIfAborted();
          const counts = new Float32Array(items.rowCount);
          for (const item of history.items) counts[item] = (counts[item] ?? 0) + 1;
          return { counts: tensor(counts, [items.rowCount, 2]) };
        },
      }),
    },
  ];
}

const brokenData: readonly BrokenTwin[] = [
  {
    law: 'DAT-01',
    fault: 'a column is shorter than its batch',
    component: dataWith(() => ({
      // eslint-disable-next-line @typescript-eslint/require-await
      async *read({ signal }) {
        signal.throwIfAborted();
        yield { rowCount: 5, columns: { id: textColumn(['a', 'b', 'c', 'd', 'e']), title: textColumn(['a']) } };
      },
    })),
  },
  {
    law: 'DAT-02',
    fault: 'a row is lost without a reason',
    component: dataWith(({ healthy }) => ({ report: () => ({ ...healthy.report(), dropped: [] }) })),
  },
  {
    law: 'DAT-03',
    fault: 'the fingerprint is no digest',
    component: dataWith(() => ({
      fingerprint: (signal) => {
        signal.throwIfAborted();
        return Promise.resolve('yesterday');
      },
    })),
  },
];

const brokenExtractors: readonly BrokenTwin[] = [
  {
    law: 'EXT-01',
    fault: 'absent rows are written',
    component: extractorWith(({ healthy }) => ({
      async extract(batch, out) {
        await healthy.extract(batch, out);
        out.presence.forEach((mark, row) => {
          if (mark === 0) out.values[row * 2] = 5;
        });
      },
    })),
    // The titles of the shop are all there; its descriptions are not.
    fixture: { inputs: { text: 'item.description' } },
  },
  {
    law: 'EXT-02',
    fault: 'long texts give NaN',
    component: extractorWith(({ healthy }) => ({
      async extract(batch, out) {
        await healthy.extract(batch, out);
        for (let row = 0; row < batch.count; row++) if ((out.values[row * 2] ?? 0) > 15) out.values[row * 2] = Number.NaN;
      },
    })),
  },
  {
    law: 'EXT-03',
    fault: 'an empty batch throws',
    component: extractorWith(({ healthy }) => ({
      async extract(batch, out) {
        if (batch.count === 0) throw new Error('nothing to do');
        await healthy.extract(batch, out);
      },
    })),
  },
  {
    law: 'EXT-04',
    fault: 'values depend on the size of the batch',
    // Searches come in batches as well.
    implies: ['EXT-07'],
    component: extractorWith(({ healthy }) => ({
      async extract(batch, out) {
        await healthy.extract(batch, out);
        for (let row = 0; row < batch.count; row++)
          if (out.presence[row] === 1) out.values[row * 2 + 1] = (out.values[row * 2 + 1] ?? 0) + batch.count;
      },
    })),
  },
  {
    law: 'EXT-05',
    fault: 'a missing text is passed off as zeros',
    // A search without words is such a row.
    implies: ['EXT-07'],
    component: extractorWith(({ healthy }) => ({
      async extract(batch, out) {
        await healthy.extract(batch, out);
        out.presence.fill(1);
      },
    })),
  },
];

const brokenSources: readonly BrokenTwin[] = [
  {
    law: 'SRC-01',
    fault: 'a row comes twice when everything is asked for',
    component: sourceWith(({ healthy, items }) => ({
      async propose(batch, limit) {
        const proposals = await healthy.propose(batch, limit);
        if (limit > items.rowCount) proposals.rows[1] = proposals.rows[0] ?? 0;
        return proposals;
      },
    })),
  },
  {
    law: 'SRC-02',
    fault: 'one more than asked for',
    component: sourceWith(({ healthy }) => ({ propose: (batch, limit) => healthy.propose(batch, limit + 1) })),
  },
  {
    law: 'SRC-03',
    fault: 'the best comes last',
    component: sourceWith(({ healthy }) => ({
      async propose(batch, limit) {
        const { offsets, rows, scores } = await healthy.propose(batch, limit);
        return { offsets, rows, scores: scores.map((score) => -score) };
      },
    })),
  },
  {
    law: 'SRC-04',
    fault: "everybody gets the first request's list",
    component: sourceWith(({ healthy }) => ({
      propose: (batch, limit) =>
        healthy.propose({ ...batch, requests: batch.requests.map(() => batch.requests[0] as (typeof batch.requests)[0]) }, limit),
    })),
  },
  {
    law: 'SRC-05',
    fault: 'items that joined after the fit are an error',
    component: sourceWith(({ healthy, rowsAtFit }) => ({
      propose(batch, limit) {
        for (const { items, history } of batch.requests) {
          if ([...items, ...history.items].some((row) => row >= rowsAtFit)) throw new RangeError('row out of range');
        }
        return healthy.propose(batch, limit);
      },
    })),
  },
  {
    law: 'SRC-06',
    fault: 'the eligible rows are ignored',
    component: sourceWith(({ healthy }) => ({ propose: (batch, limit) => healthy.propose({ ...batch, eligible: undefined }, limit) })),
  },
];

const brokenFilters: readonly BrokenTwin[] = [
  { law: 'FLT-01', fault: 'two reasons with one name', component: filterWith(() => ({ removalReasons: ['seen', 'seen'] })) },
  {
    law: 'FLT-02',
    fault: 'a removal for a reason that is not listed',
    component: filterWith(({ healthy }) => ({
      async filter(batch, removed, signal) {
        await healthy.filter(batch, removed, signal);
        removed.forEach((value, place) => {
          removed[place] = value * 9;
        });
      },
    })),
  },
  {
    law: 'FLT-02',
    fault: 'the mask is never written',
    message: 'Nothing was removed for any request; give a fixture (options, shop or request)',
    component: filterWith(() => ({ filter: (_batch, _removed, signal) => signal.throwIfAborted() })),
  },
  {
    // Healthy as it is: without a request that names a price, no law could tell it from one that does nothing.
    law: 'FLT-02',
    fault: 'no sample request names what it acts on',
    message: 'Nothing was removed for any request; give a fixture (options, shop or request)',
    component: contextFilterWith(),
  },
  {
    law: 'FLT-02',
    fault: 'the context is read by a wrong name',
    message: 'Nothing was removed for any request; give a fixture (options, shop or request)',
    component: contextFilterWith(({ healthy }) => ({
      filter: (batch, removed, signal) =>
        healthy.filter(
          {
            ...batch,
            requests: batch.requests.map((request) => ({ ...request, context: { maximumPrice: request.context['maximum'] ?? null } })),
          },
          removed,
          signal,
        ),
    })),
    fixture: { inputs: { price: 'item.price' }, request: { context: { maximumPrice: 5 } } },
  },
  {
    law: 'FLT-03',
    fault: 'the item filter lets everything pass',
    component: itemFilterWith(() => ({ filterItems: (removed) => void removed.fill(0) })),
  },
  {
    law: 'FLT-04',
    fault: "everybody is filtered by the first request's history",
    component: filterWith(({ healthy }) => ({
      filter: (batch, removed, signal) =>
        healthy.filter({ ...batch, requests: batch.requests.map(() => batch.requests[0] as (typeof batch.requests)[0]) }, removed, signal),
    })),
  },
  {
    law: 'FLT-04',
    fault: "everybody is filtered by the first request's context",
    component: contextFilterWith(({ healthy }) => ({
      filter: (batch, removed, signal) =>
        healthy.filter({ ...batch, requests: batch.requests.map(() => batch.requests[0] as (typeof batch.requests)[0]) }, removed, signal),
    })),
    fixture: { inputs: { price: 'item.price' }, request: { context: { maximumPrice: 5 } } },
  },
  {
    law: 'FLT-05',
    fault: 'an item without a title is an error',
    component: filterWith(({ healthy, items }) => ({
      filter(batch, removed, signal) {
        const title = items.column('title');
        for (const row of batch.rows)
          if (title === undefined || columnValue(title, row) === null) throw new TypeError('An item has no title.');
        return healthy.filter(batch, removed, signal);
      },
    })),
  },
];

const brokenScorers: readonly BrokenTwin[] = [
  {
    law: 'SCR-01',
    fault: 'an infinite score',
    component: scorerWith(({ healthy }) => ({
      async score(batch, out, signal) {
        await healthy.score(batch, out, signal);
        batch.rows.forEach((row, place) => {
          if (row % 8 === 7 && row < 48) out[place] = Number.POSITIVE_INFINITY;
        });
      },
    })),
  },
  {
    law: 'SCR-01',
    fault: 'everything gets the same score',
    message: 'Every candidate got the same score; give a fixture (options, shop or request)',
    component: scorerWith(() => ({
      score(_batch, out, signal) {
        signal.throwIfAborted();
        out.fill(0.5);
      },
    })),
  },
  {
    law: 'SCR-02',
    fault: 'the place of a candidate counts',
    component: scorerWith(({ healthy }) => ({
      async score(batch, out, signal) {
        await healthy.score(batch, out, signal);
        for (let request = 0; request < batch.requests.length; request++) {
          const start = batch.offsets[request] ?? 0;
          for (let place = start; place < (batch.offsets[request + 1] ?? start); place++)
            out[place] = (out[place] ?? 0) + (place - start) * 0.1;
        }
      },
    })),
  },
  {
    law: 'SCR-03',
    fault: 'items that joined later are an error',
    component: scorerWith(({ healthy, items }) => ({
      score(batch, out, signal) {
        const title = items.column('title');
        for (const row of batch.rows)
          if (title === undefined || columnValue(title, row) === null) throw new TypeError('An item has no title.');
        return healthy.score(batch, out, signal);
      },
    })),
  },
  {
    law: 'SCR-04',
    fault: 'scores are divided by the best of the whole batch',
    component: scorerWith(({ healthy }) => ({
      async score(batch, out, signal) {
        await healthy.score(batch, out, signal);
        const best = out.reduce((most, score) => Math.max(most, score), 1e-9);
        for (let place = 0; place < batch.count; place++) out[place] = (out[place] ?? 0) / best;
      },
    })),
  },
];

const brokenRankers: readonly BrokenTwin[] = [
  {
    law: 'RNK-01',
    fault: 'the first place comes twice',
    component: rankerWith(({ healthy }) => ({
      async rank(list, signal) {
        const order = await healthy.rank(list, signal);
        if (order.length > 1) order[1] = 0;
        return order;
      },
    })),
  },
  {
    law: 'RNK-01',
    fault: 'every list comes back as it was',
    message: 'Every list came back as it was; give a fixture (options, shop or request)',
    component: rankerWith(() => ({
      rank(list, signal) {
        signal.throwIfAborted();
        return Int32Array.from({ length: list.count }, (_, place) => place);
      },
    })),
  },
  {
    law: 'RNK-02',
    fault: 'one more than were given',
    component: rankerWith(({ healthy }) => ({
      async rank(list, signal) {
        const order = await healthy.rank(list, signal);
        return list.count === 0 ? order : Int32Array.of(...order, list.count - 1);
      },
    })),
  },
  {
    law: 'RNK-03',
    fault: 'of equals the later comes first',
    component: rankerWith(({ items }) => ({
      rank(list, signal) {
        signal.throwIfAborted();
        const order = Int32Array.from({ length: list.count }, (_, place) => place);
        const described = (place: number): number => (isDescribed(items, list.rows[place] ?? -1) ? 0 : 1);
        return order.sort((a, b) => described(a) - described(b) || (list.values[b] ?? 0) - (list.values[a] ?? 0) || b - a);
      },
    })),
  },
];

const brokenPrivacy: readonly BrokenTwin[] = [
  {
    law: 'PRV-01',
    fault: 'the mask is cleared first',
    component: privacyWith(({ healthy }) => ({
      filterResult(list, removed) {
        removed.fill(0);
        return healthy.filterResult?.(list, removed);
      },
    })),
  },
  {
    law: 'PRV-02',
    fault: 'who is not known is taken to agree',
    component: privacyWith(({ healthy }) => ({
      gate: (context) => healthy.gate?.({ ...context, purposes: context.purposes ?? ['personalisation'] }) ?? [],
    })),
  },
  {
    law: 'PRV-03',
    fault: 'the user id is logged',
    component: privacyWith(({ healthy, log }) => ({
      gate(context) {
        log(`asking for ${context.userId}`);
        return healthy.gate?.(context) ?? [];
      },
    })),
  },
];

/** At least one broken twin per law. A function: some of them must share state between their instances, and nobody else's. */
export function brokenTwins(): readonly BrokenTwin[] {
  return [
    ...brokenAll(),
    ...brokenData,
    ...brokenExtractors,
    ...brokenSources,
    ...brokenFilters,
    ...brokenScorers,
    ...brokenRankers,
    ...brokenPrivacy,
    ...brokenModelTwins(),
  ];
}
