import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CliIo } from './io.js';
import { runCli } from './run-cli.js';

/** Root of the repository. */
export const repository = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

export interface FixtureShop {
  readonly directory: string;
  /** Runs the command in the shop's folder, without a terminal unless told. */
  run(argv: readonly string[], options?: RunOptions): Promise<Captured>;
  write(file: string, text: string): void;
  remove(): void;
}

export interface RunOptions {
  readonly terminal?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly directory?: string;
}

export interface Captured {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A shop of 200 orders, 12 items and 20 users: users 0–9 buy lamps (a…), the others candles (b…). */
export function fixtureShop(): FixtureShop {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'recloom-cli-')));
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'));
  mkdirSync(join(directory, 'data'));
  const shop: FixtureShop = {
    directory,
    run: (argv, options = {}) => capture(argv, { directory, ...options }),
    write: (file, text) => writeFileSync(join(directory, file), text),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
  const orders = ['order,customer,sku,at,country'];
  for (let row = 0; row < 200; row++) {
    const user = row % 20;
    const item = `${user < 10 ? 'a' : 'b'}${(Math.floor(row / 20) + user) % 6}`;
    const day = String(1 + Math.floor(row / 10)).padStart(2, '0');
    orders.push(
      `${row % 3 === 0 ? 'C' : ''}${1000 + Math.floor(row / 2)},u${user},${item},2024-05-${day}T10:00:00,${user % 2 === 0 ? 'Norway' : 'Spain'}`,
    );
  }
  shop.write('data/orders.csv', `${orders.join('\n')}\n`);
  const items = ['sku,title,price'];
  for (let item = 0; item < 6; item++) {
    items.push(`a${item},Brass lamp number ${item},${10 + item}.50`);
    items.push(`b${item},Candle of beeswax number ${item},${item}.25`);
  }
  shop.write('data/items.csv', `${items.join('\n')}\n`);
  shop.write('shop.yaml', shopYaml);
  return shop;
}

/** Without a model, so that a build takes a second. */
export const shopYaml = `format: "1.0"
name: lamps
data:
  events:
    use: data-duckdb/events
    with:
      path: data/orders.csv
      drop: [{ reason: cancelled order, where: "\\"order\\" LIKE 'C%'" }]
      user: customer
      item: sku
      time: at
      type: { value: purchase }
      basket: order
  items:
    use: data-duckdb/items
    with: { path: data/items.csv, id: sku, fields: { title: title, price: price } }
  now: data
components:
  neighbours: { use: collaborative-neighbours/item-knn }
  recent: { use: popularity/recent, with: { decayDays: 5 } }
  words: { use: keyword-search/bm25, in: { text: item.title } }
  together: { use: graph/related, with: { relation: bought-together } }
  consent: { use: privacy-consent/purpose, with: { grants: { personalisation: [history] } } }
surfaces:
  home:
    sources: { neighbours: 10, recent: 10 }
    scorers: [neighbours, recent]
    privacy: [consent]
    attributes: [title, price]
  product: { needs: [item], sources: { neighbours: 10 }, attributes: [title] }
  search: { needs: [text], sources: { words: 10 }, attributes: [title] }
`;

async function capture(argv: readonly string[], options: RunOptions & { readonly directory: string }): Promise<Captured> {
  let stdout = '';
  let stderr = '';
  const isTTY = options.terminal === true;
  const io: CliIo = {
    stdout: { write: (text) => (stdout += text), isTTY, columns: 80 },
    stderr: { write: (text) => (stderr += text), isTTY, columns: 80 },
    env: options.env ?? {},
    directory: options.directory,
    signal: options.signal ?? new AbortController().signal,
  };
  const exitCode = await runCli(argv, io);
  return { exitCode, stdout, stderr };
}
