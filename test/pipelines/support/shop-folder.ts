import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRandomStream } from '@recloom/plugin-api';
import { onTestFinished } from 'vitest';

/** What stands in user ids and user fields of the small shop: it must never turn up in a message, a warning or a log. */
export const canary = 'CANARY7391';

/** How many rows the files of the small shop have, without their headers. */
export const smallShop = { events: 200, items: 25, users: 40 } as const;

const firstDayMs = Date.UTC(2024, 0, 1);
const hourMs = 3_600_000;
const words = ['Red', 'Blue', 'Paper', 'Tin', 'Wool', 'Glass', 'Heart', 'Bird', 'Lantern', 'Mug', 'Frame', 'Bunting'];

/** `u01` … with the canary in every id. */
export function userId(index: number): string {
  return `${canary}-u${String(index).padStart(2, '0')}`;
}

/** `i01` … */
export function itemId(index: number): string {
  return `i${String(index).padStart(2, '0')}`;
}

/** Header and 200 lines of events: user, item, time, kind, basket. Users like one of two halves of the catalogue, so that there is something to learn. */
export function eventsCsv(): string {
  const random = createRandomStream(20_240_101);
  const lines = ['user,item,time,kind,basket'];
  for (let event = 0; event < smallShop.events; event++) {
    const user = event % smallShop.users;
    const half = user % 2 === 0 ? 0 : 12;
    const item = 1 + half + Math.floor(random.next() * random.next() * 13);
    const kind = random.next() < 0.6 ? 'purchase' : 'view';
    const time = new Date(firstDayMs + event * 5 * hourMs).toISOString();
    lines.push(`${userId(user + 1)},${itemId(item)},${time},${kind},b${Math.floor(event / 2)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Header and 25 lines of items: sku, title, price, category. */
export function itemsCsv(): string {
  const lines = ['sku,title,price,category'];
  for (let item = 1; item <= smallShop.items; item++) {
    const title = `${words[item % 5]} ${words[5 + (item % 7)]} ${item}`;
    lines.push(`${itemId(item)},${title},${(item * 1.5).toFixed(2)},${item <= 12 ? 'kitchen' : 'garden'}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Header and 40 lines of users: id, country, name; the name holds the canary. */
export function usersCsv(): string {
  const lines = ['id,country,name'];
  for (let user = 1; user <= smallShop.users; user++)
    lines.push(`${userId(user)},${user % 3 === 0 ? 'France' : 'Norway'},${canary} Name ${user}`);
  return `${lines.join('\n')}\n`;
}

/** The `data:` of the small shop, as it stands in a config. */
export const dataYaml = `data:
  events:
    use: data-duckdb/events
    with: { path: events.csv, user: user, item: item, time: time, type: kind, basket: basket, weights: { view: 1, purchase: 3 } }
  items:
    use: data-duckdb/items
    with: { path: items.csv, id: sku, fields: { title: text, price: number, category: category } }
  users:
    use: data-duckdb/users
    with: { path: users.csv, id: id, fields: { country: category, name: text } }
  now: data
  labels: { country: location }
`;

/** A shop.yaml of plugins that need no model: two sources, a filter, a scorer, a gate. */
export const shopYaml = `format: "1.0"
name: shop
${dataYaml}
components:
  habits: { use: collaborative-linear/ease, with: { lambda: 20 } }
  neighbours: { use: collaborative-neighbours/item-knn }
  popular: { use: popularity/popular, in: { segment: user.country } }
  together: { use: graph/related }
  words: { use: keyword-search/bm25, in: { text: item.title } }
  seen: { use: rules/seen, with: { types: [purchase] } }
  consent: { use: privacy-consent/purpose }

surfaces:
  home:
    sources: { habits: 20, neighbours: 20, popular: { limit: 25, fallback: true } }
    filters: [seen]
    scorers: [habits, popular]
    value: "zscore(score.habits) + 0.1 * rank(score.popular)"
    privacy: [consent]
    attributes: [title, price]
  product:
    needs: [item]
    sources: { together: 20, neighbours: 20, popular: { limit: 25, fallback: true } }
    privacy: [consent]
    attributes: [title]
  search:
    needs: [text]
    sources: { words: 20 }
    attributes: [title]
`;

/** A folder of a small shop on disk; `file` gives the path of a file in it. */
export interface ShopFolder {
  readonly directory: string;
  /** Absolute path of its shop.yaml. */
  readonly config: string;
  file(name: string): string;
  write(name: string, content: string | Uint8Array): Promise<void>;
  /** Removes the folder; only needed with `keep`. */
  remove(): Promise<void>;
}

/** Makes a temporary shop of 200 events; `files` replaces or adds files (null leaves one out). Without `keep` it is removed when the test ends. */
export async function makeShop(
  files: Readonly<Record<string, string | Uint8Array | null>> = {},
  options: { readonly keep?: boolean } = {},
): Promise<ShopFolder> {
  const directory = await mkdtemp(join(tmpdir(), 'recloom-shop-'));
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  if (options.keep !== true) onTestFinished(remove);
  const all: Record<string, string | Uint8Array | null> = {
    'shop.yaml': shopYaml,
    'events.csv': eventsCsv(),
    'items.csv': itemsCsv(),
    'users.csv': usersCsv(),
    ...files,
  };
  for (const [name, content] of Object.entries(all)) if (content !== null) await writeFile(join(directory, name), content);
  return {
    directory,
    config: join(directory, 'shop.yaml'),
    file: (name) => join(directory, name),
    write: (name, content) => writeFile(join(directory, name), content),
    remove,
  };
}
