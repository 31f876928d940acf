import {
  type CandidateFilter,
  type CandidateSource,
  type ComponentDefinition,
  type ComponentSpec,
  type ContractName,
  columnValue,
  consentToken,
  type DataSource,
  defineCandidateFilter,
  defineCandidateSource,
  defineDataSource,
  defineFeatureExtractor,
  definePrivacyFilter,
  defineRanker,
  defineScorer,
  defineSideEffect,
  type Explainer,
  type FeatureExtractor,
  itemField,
  joinProposals,
  loggerToken,
  type NeedsSpec,
  type OptionsSchema,
  type PrivacyFilter,
  type Ranker,
  type RequestProposals,
  type RequestView,
  type Scorer,
  type SideEffect,
  type Table,
  tensor,
} from '@recloom/plugin-api';
import { textColumn } from '../host/columns.js';
import { type SampleOptions, sampleSchema } from './schema.js';

type Options = OptionsSchema<unknown, SampleOptions>;
type Spec<Provides extends ContractName, Needs extends NeedsSpec = Record<never, never>> = Partial<
  Omit<ComponentSpec<Provides, Options, Needs>, 'provides' | 'create' | 'inputs'>
>;

/** What a fault is made with: the healthy instance and what it was created from. */
export interface Patient<Instance> {
  readonly healthy: Instance;
  readonly items: Table;
  readonly rowsAtFit: number;
}

type Alter<Instance> = (patient: Patient<Instance>) => Partial<Instance>;
const unaltered = (): Record<string, never> => ({});

/** Counts events, likes what shares a cluster with the history; everything a source can be. */
export function sourceWith(alter: Alter<CandidateSource & Explainer> = unaltered, changes: Spec<'source'> = {}): ComponentDefinition {
  return defineCandidateSource({
    id: 'source',
    summary: 'Most events first.',
    options: sampleSchema(),
    capabilities: { filtersInside: true, explains: true, coldUser: true },
    stateVersion: 1,
    fit({ history, items, signal }) {
      signal.throwIfAborted();
      const counts = new Float32Array(items.rowCount);
      for (const item of history.items) counts[item] = (counts[item] ?? 0) + 1;
      return { counts: tensor(counts) };
    },
    create({ state, options, items }) {
      const counts = state['counts']?.data as Float32Array;
      const list = (request: RequestView, eligible: Uint8Array | undefined, limit: number): RequestProposals => {
        const seen = new Set(request.history.items);
        const rows = [...counts.keys()].filter((row) => eligible === undefined || eligible[row] === 1);
        const score = (row: number): number => (counts[row] ?? 0) * options.boost + (seen.has(row) ? 1 : 0);
        rows.sort((a, b) => score(b) - score(a) || a - b);
        return { rows: rows.slice(0, limit), scores: rows.slice(0, limit).map(score) };
      };
      const healthy: CandidateSource & Explainer = {
        propose({ requests, eligible, signal }, limit) {
          signal.throwIfAborted();
          return joinProposals(
            requests.map((request) => list(request, eligible, limit)),
            limit,
          );
        },
        reasons: (_request, rows) =>
          Array.from(rows, (row) => ({
            code: 'often-bought',
            text: 'Bought {count} times',
            values: { count: counts[row] ?? 0 },
            strength: 0.4,
          })),
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: counts.length }) };
    },
    ...changes,
  });
}

/** Removes what the history holds. */
export function filterWith(alter: Alter<CandidateFilter> = unaltered): ComponentDefinition {
  return defineCandidateFilter({
    id: 'filter',
    summary: 'Hides what was seen.',
    options: sampleSchema(),
    capabilities: {},
    stateVersion: 1,
    create({ items }) {
      const healthy: CandidateFilter = {
        removalReasons: ['seen'],
        filter(batch, removed, signal) {
          signal.throwIfAborted();
          batch.requests.forEach((request, index) => {
            const seen = new Set(request.history.items);
            for (let place = batch.offsets[index] ?? 0; place < (batch.offsets[index + 1] ?? 0); place++) {
              if (seen.has(batch.rows[place] ?? -1)) removed[place] = 1;
            }
          });
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
  });
}

/** Removes items that are sold out; decides by the item alone. */
export function itemFilterWith(alter: Alter<CandidateFilter> = unaltered): ComponentDefinition {
  return defineCandidateFilter({
    id: 'item-filter',
    summary: 'Hides what is sold out.',
    options: sampleSchema(),
    inputs: { stock: itemField({ description: 'units in stock', types: ['number'] }) },
    capabilities: {},
    stateVersion: 1,
    create({ items, inputs }) {
      const gone = (row: number): number => {
        const column = inputs.stock.column();
        return column?.type === 'number' && (column.values[row] ?? 0) > 3 ? 0 : 1;
      };
      const healthy: CandidateFilter = {
        removalReasons: ['sold-out'],
        filter(batch, removed, signal) {
          signal.throwIfAborted();
          batch.rows.forEach((row, place) => {
            removed[place] = gone(row);
          });
        },
        filterItems(removed) {
          for (let row = 0; row < items.rowCount; row++) removed[row] = gone(row);
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
  });
}

/** Removes what costs more than the request wants to spend; a request that names no price keeps everything. */
export function contextFilterWith(alter: Alter<CandidateFilter> = unaltered): ComponentDefinition {
  return defineCandidateFilter({
    id: 'context-filter',
    summary: 'Hides what is too dear for the request.',
    options: sampleSchema(),
    inputs: { price: itemField({ description: 'price', types: ['number'] }) },
    capabilities: {},
    stateVersion: 1,
    create({ items, inputs }) {
      const healthy: CandidateFilter = {
        removalReasons: ['too-dear'],
        filter(batch, removed, signal) {
          signal.throwIfAborted();
          const column = inputs.price.column();
          batch.requests.forEach((request, index) => {
            const maximum = Number(request.context['maximumPrice'] ?? Number.POSITIVE_INFINITY);
            for (let place = batch.offsets[index] ?? 0; place < (batch.offsets[index + 1] ?? 0); place++) {
              const price = column?.type === 'number' ? (column.values[batch.rows[place] ?? -1] ?? 0) : 0;
              if (price > maximum) removed[place] = 1;
            }
          });
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
  });
}

/** Adds up what the sources say. */
export function scorerWith(alter: Alter<Scorer> = unaltered, changes: Spec<'scorer'> = {}): ComponentDefinition {
  return defineScorer({
    id: 'scorer',
    summary: 'Sum of the source scores.',
    options: sampleSchema(),
    capabilities: {},
    stateVersion: 1,
    create({ items, options }) {
      const healthy: Scorer = {
        score(batch, out, signal) {
          signal.throwIfAborted();
          for (let place = 0; place < batch.count; place++) {
            let sum = 0;
            for (const { scores } of batch.sources) {
              const score = scores[place] ?? Number.NaN;
              if (!Number.isNaN(score)) sum += score;
            }
            out[place] = sum * options.boost;
          }
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
    ...changes,
  });
}

/** What has a description comes first; else as the list comes. */
export function rankerWith(alter: Alter<Ranker> = unaltered): ComponentDefinition {
  return defineRanker({
    id: 'ranker',
    summary: 'Items with a description first.',
    options: sampleSchema(),
    capabilities: {},
    stateVersion: 1,
    create({ items }) {
      const healthy: Ranker = {
        rank(list, signal) {
          signal.throwIfAborted();
          const places = Array.from({ length: list.count }, (_, place) => place);
          const described = (place: number): number => (isDescribed(items, list.rows[place] ?? -1) ? 0 : 1);
          return Int32Array.from(places.sort((a, b) => described(a) - described(b) || a - b));
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
  });
}

/** True when the item has a description; the shop leaves some without. */
export function isDescribed(items: Table, row: number): boolean {
  const column = items.column('description');
  return column !== undefined && columnValue(column, row) !== null;
}

/** Two numbers of a text: its length and its vowels. */
export function extractorWith(alter: Alter<FeatureExtractor> = unaltered): ComponentDefinition {
  return defineFeatureExtractor({
    id: 'extractor',
    summary: 'Length and vowels of a text.',
    options: sampleSchema(),
    inputs: { text: itemField({ description: 'words', types: ['text'] }) },
    capabilities: { scopes: ['item', 'query'], modality: 'text' },
    stateVersion: 1,
    create({ items }) {
      const healthy: FeatureExtractor = {
        width: 2,
        extract(batch, out) {
          batch.signal.throwIfAborted();
          const column = batch.columns['text']?.[0];
          for (let row = 0; row < batch.count; row++) {
            const text = column?.type === 'text' ? column.values[row] : null;
            if (text === null || text === undefined) continue;
            out.presence[row] = 1;
            out.values[row * 2] = text.length;
            out.values[row * 2 + 1] = text.replace(/[^aeiou]/g, '').length;
          }
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
  });
}

/** Grants history to those who agreed, and withholds nothing but item row 1. */
export function privacyWith(
  alter: (patient: Patient<PrivacyFilter> & { readonly log: (message: string) => void }) => Partial<PrivacyFilter> = unaltered,
): ComponentDefinition {
  return definePrivacyFilter({
    id: 'privacy',
    summary: 'History for those who agreed.',
    options: sampleSchema(),
    needs: { consent: consentToken, logger: loggerToken },
    capabilities: {},
    stateVersion: 1,
    create({ items, deps }) {
      const healthy: PrivacyFilter = {
        async gate({ purposes, userId, signal }) {
          signal.throwIfAborted();
          let agreed = purposes;
          try {
            agreed ??= await deps.consent.purposes(userId);
          } catch {
            return [];
          }
          return agreed.includes('personalisation') ? ['history'] : [];
        },
        filterResult(list, removed) {
          list.rows.forEach((row, place) => {
            if (row === 1) removed[place] = 1;
          });
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount, log: (message) => deps.logger.info(message) }) };
    },
  });
}

/** Five items in two batches, one row dropped. */
export function dataWith(alter: Alter<DataSource> = unaltered): ComponentDefinition {
  return defineDataSource({
    id: 'data',
    summary: 'Five items.',
    options: sampleSchema(),
    capabilities: { data: 'items' },
    stateVersion: 1,
    create({ items }) {
      const healthy: DataSource = {
        // eslint-disable-next-line @typescript-eslint/require-await
        async *read({ signal }) {
          for (const ids of [
            ['a', 'b', 'c'],
            ['d', 'e'],
          ]) {
            signal.throwIfAborted();
            yield { rowCount: ids.length, columns: { id: textColumn(ids), title: textColumn(ids) } };
          }
        },
        report: () => ({ rowsRead: 6, rowsKept: 5, dropped: [{ reason: 'no-id', count: 1 }], warnings: [] }),
        fingerprint: async (signal) => {
          signal.throwIfAborted();
          return Promise.resolve('0123456789abcdef0123456789abcdef');
        },
      };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
  });
}

/** Does nothing with an answer. */
export function effectWith(alter: Alter<SideEffect> = unaltered): ComponentDefinition {
  return defineSideEffect({
    id: 'effect',
    summary: 'Does nothing.',
    options: sampleSchema(),
    capabilities: {},
    stateVersion: 1,
    create({ items }) {
      const healthy: SideEffect = { onAnswer: () => undefined };
      return { ...healthy, ...alter({ healthy, items, rowsAtFit: items.rowCount }) };
    },
  });
}
