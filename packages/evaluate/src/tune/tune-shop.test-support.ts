import { type Dataset, datasetFromArrays } from '@recloom/core';
import {
  defineCandidateSource,
  defineComponent,
  definePlugin,
  type OptionsSchema,
  type PluginDefinition,
  perRequest,
  type RequestView,
  readTensor,
  recloomError,
  type SchemaIssue,
  tensor,
} from '@recloom/plugin-api';

const day = 86_400_000;
export const start = Date.UTC(2024, 0, 1);
/** Items i00 … i29. */
export const itemCount = 30;
export const step = 5;
export const cut = '2024-01-31';
export const until = '2024-02-20';

const id = (row: number): string => `i${String(row % itemCount).padStart(2, '0')}`;

/** People who take something on days 2, 25 and 40, each five places after the one before (one in six people: seven). Confirmation window: 21–31 January; validation: 31 January–20 February; from then on they take something else, the test. */
export function tuneShop(people = 240, priced = true): Dataset {
  const events: { user: string; item: string; timeMs: number }[] = [];
  for (let person = 0; person < people; person++) {
    const user = `u${String(person).padStart(3, '0')}`;
    const first = (person * 7) % itemCount;
    for (const [visit, atDay] of [2, 25, 40].entries()) {
      // One in six breaks the rule, so that figures have a spread.
      const odd = person % 6 === 0 ? 2 * visit : 0;
      events.push({ user, item: id(first + visit * step + odd), timeMs: start + atDay * day + person });
    }
    events.push({ user, item: id(first + 17), timeMs: start + 60 * day + person });
  }
  return datasetFromArrays({
    items: Array.from({ length: itemCount }, (_, row) => ({ id: id(row), ...(priced ? { price: row + 1 } : {}) })),
    events,
  });
}

/** What the components of a test met. */
export interface Seen {
  /** Options of each fit of `jump`. */
  readonly fits: unknown[];
  /** Fits of `steady`. */
  steady: number;
  /** Newest event that any fit was given, in milliseconds. */
  newestMs: number;
  /** Names of the side effects that ran. */
  readonly effects: string[];
}

export function nothingSeen(): Seen {
  return { fits: [], steady: 0, newestMs: Number.NEGATIVE_INFINITY, effects: [] };
}

interface JumpOptions {
  readonly shift: number;
  readonly pull: number;
  readonly mode: 'near' | 'far';
  readonly broken: boolean;
}

/** A schema by hand: this package needs no library for it. */
function schema<Options>(
  properties: Record<string, unknown>,
  check: (value: Record<string, unknown>) => SchemaIssue[],
  defaults: Options,
): OptionsSchema<unknown, Options> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => {
        const issues = check(value as Record<string, unknown>);
        return issues.length > 0 ? { issues } : { value: { ...defaults, ...(value as object) } };
      },
      jsonSchema: { input: () => ({ type: 'object', properties, additionalProperties: false }) },
    },
  };
}

const jumpOptions = schema<JumpOptions>(
  { shift: { type: 'integer' }, pull: { type: 'number' }, mode: { enum: ['near', 'far'] }, broken: { type: 'boolean' } },
  (value) => {
    const issues: SchemaIssue[] = [];
    const { shift = 0, pull = 0, mode = 'near' } = value as Partial<JumpOptions>;
    if (!(Number.isInteger(shift) && shift >= 0 && shift <= 20))
      issues.push({ message: 'Invalid input: expected a whole number from 0 to 20', path: ['shift'] });
    if (!(typeof pull === 'number' && pull >= 0 && pull <= 1))
      issues.push({ message: 'Invalid input: expected a number from 0 to 1', path: ['pull'] });
    if (!['near', 'far'].includes(mode)) issues.push({ message: 'Invalid option: expected near or far', path: ['mode'] });
    return issues;
  },
  { shift: 0, pull: 0, mode: 'near', broken: false },
);
const noOptions = schema({}, () => [], {});

/**
 * `jump` proposes the catalogue by distance from the item `shift` places after the last one: best at 5, `far` is the reverse,
 * `pull` mixes in a fixed disorder and is best at 0, `broken` fails. `steady` is fitted and proposes nothing new.
 */
export function tunePlugin(seen: Seen): PluginDefinition {
  const look = (history: { readonly timesMs: Float64Array }): void => {
    for (const timeMs of history.timesMs) seen.newestMs = Math.max(seen.newestMs, timeMs);
  };
  const jump = defineCandidateSource({
    id: 'jump',
    summary: 'Items some places after the last one.',
    options: jumpOptions,
    reads: ['history'],
    capabilities: {},
    stateVersion: 1,
    fit({ options, history }) {
      look(history);
      seen.fits.push(options);
      if (options.broken) throw recloomError('RECLOOM_DAT_EMPTY', { what: 'sense' });
      return { settings: tensor(Float64Array.of(options.shift, options.pull, options.mode === 'far' ? -1 : 1)) };
    },
    create({ state, items }) {
      const [shift = 0, pull = 0, sign = 1] = readTensor(state, 'settings', Float64Array);
      return {
        propose: perRequest((request: RequestView) => {
          const last = request.history.items[request.history.length - 1] ?? 0;
          const rows = Array.from({ length: items.rowCount }, (_, row) => row);
          const scores = rows.map((row) => {
            const gap = (row - last - shift + 3 * itemCount) % itemCount;
            const distance = Math.min(gap, itemCount - gap);
            return -sign * ((1 - pull) * distance + pull * ((row * 11) % 13));
          });
          return { rows, scores };
        }),
      };
    },
  });
  const steady = defineComponent({
    id: 'steady',
    summary: 'Fitted once.',
    provides: ['scorer'],
    options: noOptions,
    capabilities: {},
    stateVersion: 1,
    fit({ history }) {
      look(history);
      seen.steady++;
      return { ones: tensor(new Float32Array(history.itemCount).fill(1)) };
    },
    create({ state }) {
      const ones = readTensor(state, 'ones', Float32Array);
      return {
        score(batch, out) {
          for (let row = 0; row < out.length; row++) out[row] = ones[batch.rows[row] as number] ?? 0;
        },
      };
    },
  });
  const log = defineComponent({
    id: 'log',
    summary: 'Notes that it ran.',
    provides: ['effect'],
    options: noOptions,
    capabilities: {},
    stateVersion: 1,
    create: () => ({
      onAnswer: () => {
        seen.effects.push('log');
      },
    }),
  });
  return definePlugin({ apiVersion: 1, id: 'tuned', components: [jump, steady, log] });
}

/** The config as an object; `tune` is laid over a search of `shift` and `pull`. */
export function tuneConfig(tune: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    format: '1.0',
    name: 'tuned',
    data: {},
    components: {
      jump: { use: 'tuned/jump', with: { shift: 12 } },
      steady: { use: 'tuned/steady' },
      log: { use: 'tuned/log' },
      idle: { use: 'tuned/jump' },
    },
    surfaces: {
      home: { sources: { jump: 10 }, scorers: ['steady'], value: '1.0 * source.jump.score + 0.1 * score.steady', effects: ['log'] },
      other: { sources: { idle: 10 } },
    },
    tune: {
      split: { kind: 'temporal', cut, until },
      options: { 'jump.shift': { from: 0, to: 20 }, 'jump.pull': { from: 0, to: 1 } },
      trials: 25,
      ...tune,
    },
  };
}
