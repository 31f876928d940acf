// Protocols Q1 to Q5 as splits of data: files checked, ids made sortable, cases and masks as the protocol says. Used by run-protocol.ts.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { datasetFromArrays, loadConfig, readPipelineData } from '@recloom/core';
import { predefinedSplit, type Split, type TestCase, temporalSplit } from '@recloom/evaluate';
import { root } from '../bench/online-retail.js';
import type { ProtocolId } from './reference-figures.js';

/** The comparison data; they are lent and lie outside the repository. */
export const sharedData = process.env['RECLOOM_SHARED_DATA'] ?? '/work/shared/data';

/** `valid` to choose options on; `test` is looked at once per final model. */
export type Part = 'valid' | 'test';

/** Column A: fitted on train. Column B: fitted on train + valid. They differ on test alone. */
export type Column = 'A' | 'B';

export interface ProtocolSplit extends Split {
  /** What every user did between the fit and the question (column A of leave-last-out): recorded in the opened pipeline. */
  readonly after: readonly { readonly user: string; readonly item: string; readonly time: number }[];
}

type DatasetArrays = Parameters<typeof datasetFromArrays>[0];
type DatasetRecord = NonNullable<DatasetArrays['items']>[number];
type EventRecord = NonNullable<DatasetArrays['events']>[number];

interface FileFacts {
  readonly rows: number;
  /** Of the unpacked file. */
  readonly sha256: string;
}

interface Folder {
  readonly name: string;
  readonly users: number;
  readonly items: number;
  readonly files: Readonly<Record<'train' | 'valid' | 'test', FileFacts>> & { readonly item_attributes?: FileFacts };
  /** `none`: the files know no order. `position`: rows of a user are in order. `timestamp`: seconds, equal ones in file order. */
  readonly order: 'none' | 'position' | 'timestamp';
}

/** From the READMEs of /work/shared/data. */
const folders: Readonly<Record<Exclude<ProtocolId, 'q1'>, Folder>> = {
  q2: {
    name: 'ml100k-random',
    users: 943,
    items: 1682,
    order: 'none',
    files: {
      train: { rows: 80_808, sha256: '152d21ef62cce35ecb340c3b48089f6334a57ae8467e67c7230eac54bd9d0629' },
      valid: { rows: 9_596, sha256: '12aad2f82604409d963ab3dd3d9b719bffb3b8a14ccf1d10a729b8b0f64e7507' },
      test: { rows: 9_596, sha256: 'b5d8b98b28b36cd73ade7d62e1e5613124565232fea01c941bfe414c0dd5d12c' },
    },
  },
  q3: {
    name: 'ml100k-last',
    users: 943,
    items: 1682,
    order: 'timestamp',
    files: {
      train: { rows: 98_114, sha256: '7f45a79ad9d55aae2d021a584a97ae390970e36f8cd8f28a8731c3df03013a73' },
      valid: { rows: 943, sha256: 'fc1acf7b1916b726a07668f4620bb89e6445c72ba812834f5cb7951d9dfc8677' },
      test: { rows: 943, sha256: '6dd0090bc96fcf40815be125484ad123f5609fcd460203ed86abca2642cf4d43' },
    },
  },
  q4: {
    name: 'beauty-last',
    users: 22_363,
    items: 12_101,
    order: 'position',
    files: {
      train: { rows: 153_776, sha256: 'bb6676b87dc86c4e2ad1f9eec032fca0114a8c447a1a73af81525d1c903665b3' },
      valid: { rows: 22_363, sha256: 'be17f9e9a62d166616ebc77d935c71fa3fccc7e944eec37a9e1e81465c843625' },
      test: { rows: 22_363, sha256: '24c3a5650bb5f92cbec4576fc82176ee97ab3eff53a33c22c6ed6f29daa2a47b' },
      item_attributes: { rows: 45_037, sha256: '49d805adbb9124cd95cf3de5eff5ec5bb8de7f3aecc281cb659f502965973dff' },
    },
  },
  q5: {
    name: 'baby-diffmm',
    users: 19_445,
    items: 7050,
    order: 'none',
    files: {
      train: { rows: 118_551, sha256: '1c56387ef6ca5543bf3bc75742c6dbf2637c680912b161fa174d037a35a8008f' },
      valid: { rows: 21_682, sha256: 'f2e854aca4fa0d0d5b6e3d59ae48f8a6bb8ffc9d41076ca5dfba57e8a8f0dfb6' },
      test: { rows: 20_559, sha256: 'bd587f101517d838c191b4c3934a9ea6c5d4302a113ed1f12b9958692793425a' },
    },
  },
};

/** What Q1 must come out as, from quality.md and reference.md. */
const onlineRetail: Readonly<
  Record<Part, Readonly<Record<'trainUsers' | 'trainItems' | 'trainPairs' | 'testUsers' | 'testPairs', number>>>
> = {
  valid: { trainUsers: 3462, trainItems: 2963, trainPairs: 194_628, testUsers: 1003, testPairs: 21_138 },
  test: { trainUsers: 3818, trainItems: 3066, trainPairs: 228_926, testUsers: 1262, testPairs: 25_995 },
};

/** Why a protocol cannot be run here; undefined when it can. */
export function missingData(id: ProtocolId): string | undefined {
  if (id === 'q1') return undefined;
  const folder = join(sharedData, folders[id].name);
  return existsSync(join(folder, 'train.csv.gz')) ? undefined : `${folder} is not here (RECLOOM_SHARED_DATA names another folder)`;
}

/**
 * Reads and splits. Q1's data are those that `pipeline` reads where it reads any: the events must come out as the protocol has
 * them, but what an item is called is the config's business (shop.yaml takes the most frequent title, shop-full.yaml the first
 * that was told), and a pipeline that looks at titles is to be measured on those that it serves with.
 *
 * @throws Error when a file or a count is not the protocol's.
 */
export async function readProtocol(
  id: ProtocolId,
  part: Part,
  column: Column = 'B',
  options: { readonly attributes?: boolean; readonly pipeline?: string } = {},
): Promise<ProtocolSplit> {
  return id === 'q1' ? readOnlineRetail(part, options.pipeline) : readFolder(id, part, column, options.attributes ?? false);
}

async function readOnlineRetail(part: Part, pipeline: string | undefined): Promise<ProtocolSplit> {
  const full = join(root, 'examples', 'online-retail', 'shop-full.yaml');
  const hasData = pipeline !== undefined && (await loadConfig(pipeline)).config.data.events !== undefined;
  const dataset = await readPipelineData(hasData ? pipeline : full);
  const split = temporalSplit(dataset, {
    cutMs: part === 'test' ? Date.UTC(2011, 10, 9) : Date.UTC(2011, 9, 9),
    ...(part === 'test' ? {} : { untilMs: Date.UTC(2011, 10, 9) }),
    minimumItemUsers: 5,
    minimumUserItems: 5,
  });
  for (const [name, count] of Object.entries(onlineRetail[part])) {
    const found = split.report[name as 'trainUsers'];
    if (found !== count) throw new Error(`Q1, ${part}: ${name} is ${found}; the protocol has ${count}.`);
  }
  return { ...split, after: [] };
}

/** Rows of one file in file order. */
interface Rows {
  readonly users: readonly number[];
  readonly items: readonly number[];
  /** Seconds; empty without such a column. */
  readonly timestamps: readonly number[];
}

async function readFolder(id: Exclude<ProtocolId, 'q1'>, part: Part, column: Column, attributes: boolean): Promise<ProtocolSplit> {
  const folder = folders[id];
  const read = (name: 'train' | 'valid' | 'test'): Rows => {
    const columns = readColumns(folder, name, folder.files[name]);
    return { users: columns['user'] as number[], items: columns['item'] as number[], timestamps: columns['timestamp'] ?? [] };
  };
  const [train, valid, test] = [read('train'), read('valid'), read('test')];
  const ids = sortableIds([train, valid, test], folder);
  const fitted = part === 'test' && column === 'B' ? [train, valid] : [train];
  // What is known of a user when the question is asked; leave-last-out asks for what follows valid, whatever was fitted.
  const known = part === 'test' && (column === 'B' || folder.order !== 'none') ? [train, valid] : [train];
  const times = timesOf(folder.order, known);
  const events = (files: readonly Rows[]): EventRecord[] =>
    files.flatMap((rows) =>
      rows.users.map((user, row): EventRecord => {
        const item = rows.items[row] as number;
        return { user: ids.user(user), item: ids.item(item), timeMs: times.of(rows, row) };
      }),
    );
  const items = catalogue(folder, ids, attributes);
  const dataset = datasetFromArrays({ items, events: events(fitted), ...(attributes ? { types: { items: { attributes: 'list' } } } : {}) });
  const asked = part === 'test' ? test : valid;
  const questions = datasetFromArrays({
    items: items.map(({ id }) => ({ id })),
    events: asked.users.map(
      (user, row): EventRecord => ({ user: ids.user(user), item: ids.item(asked.items[row] as number), timeMs: lastDayMs }),
    ),
  });
  const split = predefinedSplit(dataset, questions);
  // Q2 masks what valid holds in both columns; Q5's column A does not, as DiffMM's code does not.
  const masked = id === 'q2' && part === 'test' && column === 'A' ? [train, valid] : known;
  const maskOf = new Map<string, string[]>();
  for (const rows of masked) {
    rows.users.forEach((user, row) => {
      const name = ids.user(user);
      const list = maskOf.get(name) ?? [];
      list.push(ids.item(rows.items[row] as number));
      maskOf.set(name, list);
    });
  }
  const cases = split.cases.map(
    (testCase): TestCase => ({
      user: testCase.user,
      known: maskOf.get(testCase.user) ?? [],
      relevant: testCase.relevant,
      asOfMs: times.now(testCase.user, ids),
    }),
  );
  const pairs = cases.reduce((sum, { relevant }) => sum + relevant.length, 0);
  if (pairs !== asked.users.length) throw new Error(`${id}, ${part}: ${pairs} answers; the file has ${asked.users.length}.`);
  return {
    ...split,
    cases,
    after:
      known.length > fitted.length ? events([valid]).map(({ user, item, timeMs }) => ({ user: user as string, item, time: timeMs })) : [],
  };
}

interface Ids {
  user(id: number): string;
  item(id: number): string;
  readonly items: readonly number[];
}

/** Padded with zeros, so that rows (ascending by text) stand in ascending numeric order: ties then break as in the reference. */
function sortableIds(files: readonly Rows[], folder: Folder): Ids {
  const items = [...new Set(files.flatMap((rows) => rows.items))].sort((left, right) => left - right);
  const users = new Set(files.flatMap((rows) => rows.users));
  if (items.length !== folder.items || users.size !== folder.users)
    throw new Error(`${folder.name}: ${users.size} × ${items.length}; the protocol has ${folder.users} × ${folder.items}.`);
  const pad = (id: number): string => String(id).padStart(6, '0');
  return { user: pad, item: pad, items };
}

const dayMs = 86_400_000;
const lastDayMs = Date.UTC(2014, 0, 1);

/**
 * `position`: a user's last known event was on one and the same day, the one before it a day earlier, and so on: ages are counted
 * in events, and "now" is the last one. `timestamp`: the file's seconds; "now" is the user's last known event, since the time of
 * the event that is asked for would tell something about it. `none`: all at once.
 */
function timesOf(
  order: Folder['order'],
  known: readonly Rows[],
): { of(rows: Rows, row: number): number; now(user: string, ids: Ids): number } {
  if (order === 'none') return { of: () => lastDayMs, now: () => lastDayMs };
  if (order === 'timestamp') {
    const newest = new Map<number, number>();
    for (const { users, timestamps } of known) {
      users.forEach((user, row) => newest.set(user, Math.max(newest.get(user) ?? 0, timestamps[row] as number)));
    }
    return {
      of: ({ timestamps }, row) => (timestamps[row] as number) * 1000,
      now: (user) => (newest.get(Number(user)) as number) * 1000,
    };
  }
  const left = new Map<number, number>();
  const ages = new Map<Rows, Int32Array>();
  for (const rows of [...known].reverse()) {
    const age = new Int32Array(rows.users.length);
    for (let row = rows.users.length - 1; row >= 0; row--) {
      const user = rows.users[row] as number;
      age[row] = left.get(user) ?? 0;
      left.set(user, (age[row] as number) + 1);
    }
    ages.set(rows, age);
  }
  return { of: (rows, row) => lastDayMs - (ages.get(rows)?.[row] as number) * dayMs, now: () => lastDayMs };
}

function catalogue(folder: Folder, ids: Ids, attributes: boolean): DatasetRecord[] {
  const facts = folder.files.item_attributes;
  if (!attributes) return ids.items.map((item) => ({ id: ids.item(item) }));
  if (facts === undefined) throw new Error(`${folder.name} has no attributes.`);
  const columns = readColumns(folder, 'item_attributes', facts);
  const byItem = new Map<number, string[]>();
  (columns['item'] as number[]).forEach((item, row) => {
    const list = byItem.get(item) ?? [];
    list.push(`a${columns['attribute']?.[row]}`);
    byItem.set(item, list);
  });
  return ids.items.map((item) => ({ id: ids.item(item), attributes: byItem.get(item) ?? [] }));
}

/** The numeric columns of a file, by name. @throws Error when the file is another than the README's. */
function readColumns(folder: Folder, name: string, facts: FileFacts): Record<string, number[]> {
  const path = join(sharedData, folder.name, `${name}.csv.gz`);
  const text = gunzipSync(readFileSync(path));
  const sha256 = createHash('sha256').update(text).digest('hex');
  if (sha256 !== facts.sha256) throw new Error(`${path} is not the protocol's file: sha256 ${sha256}, expected ${facts.sha256}.`);
  const lines = text.toString('utf8').trimEnd().split(/\r?\n/);
  const names = (lines[0] as string).split(',');
  const columns = names.map((): number[] => []);
  for (let line = 1; line < lines.length; line++) {
    const cells = (lines[line] as string).split(',');
    for (let place = 0; place < names.length; place++) columns[place]?.push(Number(cells[place]));
  }
  if (columns[0]?.length !== facts.rows) throw new Error(`${path} has ${columns[0]?.length} rows; the protocol has ${facts.rows}.`);
  return Object.fromEntries(names.map((column, place) => [column, columns[place] as number[]]));
}
