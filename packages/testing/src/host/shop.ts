import {
  type ContextValue,
  columnValue,
  createRandomStream,
  deriveSeed,
  type HistoryStore,
  type RandomStream,
  type RequestView,
} from '@recloom/plugin-api';
import { booleanColumn, categoryColumn, imageColumn, listColumn, numberColumn, type TestTable, tableFrom, textColumn } from './columns.js';
import { historyFrom, historyViewOf, type TestUserEvent } from './history.js';
import { type RequestParts, requestView } from './requests.js';

/** How large a synthetic shop is. */
export interface ShopSize {
  /** Default 120. */
  readonly users?: number;
  /** Default 80. */
  readonly items?: number;
  /** About how many events; default 20 per user. */
  readonly events?: number;
  /** Days from the first possible event to the last; default 120. */
  readonly days?: number;
  /** Default 7. */
  readonly seed?: number;
}

/** Catalogue, users and history that components are run on. */
export interface Shop {
  readonly items: TestTable;
  readonly users: TestTable;
  readonly history: HistoryStore;
  /** Time of the last event in milliseconds; 0 without events. */
  readonly asOfMs: number;
  /** A request of a user with the stored history (as far as granted), or of a guest for -1. `parts` override. */
  request(userRow: number, parts?: RequestParts): RequestView;
}

/**
 * A made-up shop: the same size and seed give the same bytes.
 * Item fields: title (text), category, brand (category), price, stock (number), available (boolean), tags (list),
 * description (text, missing for some), photo (image, missing for some; `pictureReader` reads them). User field: country (category, missing for some).
 * Event types view, cart, purchase with weights 1, 3, 5, and a basket number per visit.
 */
export interface SyntheticShop extends Shop {
  /** The hidden cluster of each item; people mostly stay within theirs. */
  readonly itemClusters: Int32Array;
  /** The favourite cluster of each user. */
  readonly userClusters: Int32Array;
}

/** A shop of the given tables and history. */
export function shopFrom(parts: { readonly items: TestTable; readonly users?: TestTable; readonly history?: HistoryStore }): Shop {
  const { items, users = tableFrom([]) } = parts;
  const history = parts.history ?? historyFrom([], { userCount: users.rowCount, itemCount: items.rowCount });
  const asOfMs = history.timesMs.reduce((latest, time) => Math.max(latest, time), 0);
  return {
    items,
    users,
    history,
    asOfMs,
    request(userRow, requestParts = {}) {
      const userFields: Record<string, ContextValue> = {};
      for (const field of users.fields) {
        const column = users.column(field);
        const value = column === undefined || userRow < 0 ? null : columnValue(column, userRow);
        if (value !== null && typeof value !== 'object') userFields[field] = value;
      }
      return requestView({ userRow, history: historyViewOf(history, userRow), userFields, asOfMs, ...requestParts });
    },
  };
}

const clusterNames = ['kitchen', 'garden', 'travel', 'office', 'sport', 'music', 'winter', 'party'];
const nouns: readonly (readonly string[])[] = [
  ['mug', 'teapot', 'pan', 'bowl', 'spoon', 'kettle'],
  ['spade', 'lantern', 'pot', 'hose', 'bench', 'seed box'],
  ['suitcase', 'neck pillow', 'map', 'flask', 'rucksack', 'adapter'],
  ['notebook', 'pen', 'stapler', 'desk lamp', 'folder', 'calendar'],
  ['ball', 'yoga mat', 'racket', 'skipping rope', 'bottle', 'whistle'],
  ['ukulele', 'drum', 'headphones', 'song book', 'tuner', 'shaker'],
  ['scarf', 'hand warmer', 'sledge', 'woollen hat', 'blanket', 'gloves'],
  ['balloon', 'candle', 'garland', 'paper plates', 'confetti', 'crown'],
];
const adjectives = ['red', 'blue', 'small', 'large', 'vintage', 'wooden', 'striped', 'folding', 'painted', 'classic', 'bright', 'soft'];
const brands = ['Alder', 'Birch', 'Cedar', 'Elm', 'Hazel'];
const countries = ['France', 'Germany', 'Norway', 'United Kingdom'];
const dayMs = 86_400_000;
/** 1 January 2024, 00:00 UTC. */
const startMs = 1_704_067_200_000;

/**
 * A synthetic shop with what recommenders live on: skewed (Zipf) popularity, hidden clusters of items and people, items
 * that follow each other within a visit, baskets, a trend over its days; and with what they stumble over: items and users
 * without any event, missing values, sold-out items, a user with a single event.
 */
export function syntheticShop(size: ShopSize = {}): SyntheticShop {
  const userCount = size.users ?? 120;
  const itemCount = size.items ?? 80;
  const eventTarget = size.events ?? userCount * 20;
  const days = size.days ?? 120;
  if (!(days > 0 && days < Number.POSITIVE_INFINITY)) throw new RangeError(`syntheticShop: a shop cannot span ${days} days.`);
  const seed = size.seed ?? 7;
  const clusterCount = Math.max(2, Math.min(clusterNames.length, Math.floor(itemCount / 6)));
  const random = createRandomStream(deriveSeed(seed, 'shop'));

  const itemClusters = Int32Array.from({ length: itemCount }, (_, row) => row % clusterCount);
  const items = makeItems(itemCount, itemClusters, random);
  const userClusters = Int32Array.from({ length: userCount }, () => random.integer(clusterCount));
  const users = tableFrom(
    Array.from({ length: userCount }, (_, row) => `user-${String(row).padStart(5, '0')}`),
    {
      country: categoryColumn(
        Array.from({ length: userCount }, (_, row) => (row % 11 === 10 ? null : (countries[random.integer(countries.length)] ?? null))),
      ),
    },
  );
  const history = historyFrom(makeEvents(userCount, eventTarget, days, itemClusters, userClusters, clusterCount, random), {
    userCount,
    itemCount,
    typeNames: ['view', 'cart', 'purchase'],
  });
  return { ...shopFrom({ items, users, history }), itemClusters, userClusters };
}

function makeItems(itemCount: number, clusters: Int32Array, random: RandomStream): TestTable {
  const rows = Array.from({ length: itemCount }, (_, row) => row);
  const pick = <T>(values: readonly T[]): T => values[random.integer(values.length)] as T;
  const titles = rows.map((row) => `${pick(adjectives)} ${pick(adjectives)} ${pick(nouns[clusters[row] ?? 0] ?? [])}`);
  return tableFrom(
    rows.map((row) => `item-${String(row).padStart(5, '0')}`),
    {
      title: textColumn(titles),
      description: textColumn(rows.map((row) => (row % 9 === 8 ? null : `${titles[row]} for the ${clusterNames[clusters[row] ?? 0]}`))),
      category: categoryColumn(rows.map((row) => (row % 23 === 22 ? null : (clusterNames[clusters[row] ?? 0] ?? null)))),
      brand: categoryColumn(rows.map(() => pick(brands))),
      price: numberColumn(rows.map((row) => (row % 29 === 28 ? null : Math.round(Math.exp(1.5 + random.normal() * 0.8) * 100) / 100))),
      stock: numberColumn(rows.map((row) => (row % 13 === 12 ? 0 : 1 + random.integer(200)))),
      available: booleanColumn(rows.map((row) => (row % 31 === 30 ? null : row % 17 !== 16))),
      tags: listColumn(rows.map((row) => (row % 7 === 6 ? null : [clusterNames[clusters[row] ?? 0] ?? '', pick(['gift', 'sale', 'new'])]))),
      photo: imageColumn(rows.map((row) => (row % 10 === 9 ? null : `picture:${row}`))),
    },
  );
}

function makeEvents(
  userCount: number,
  eventTarget: number,
  days: number,
  itemClusters: Int32Array,
  userClusters: Int32Array,
  clusterCount: number,
  random: RandomStream,
): TestUserEvent[] {
  const members: number[][] = Array.from({ length: clusterCount }, () => []);
  // Every 20th item has no event, so that cold items occur.
  for (let row = 0; row < itemClusters.length; row++) if (row % 20 !== 19) members[itemClusters[row] ?? 0]?.push(row);
  const events: TestUserEvent[] = [];
  let basket = 0;
  // The last user has no event and the one before a single view.
  const active = Math.max(1, userCount - 2);
  const perUser = eventTarget / active;
  for (let user = 0; user < active; user++) {
    const wanted = Math.max(2, Math.round(perUser * (0.4 + 1.2 * random.next())));
    let made = 0;
    while (made < wanted) {
      const cluster = random.next() < 0.8 ? (userClusters[user] ?? 0) : random.integer(clusterCount);
      const shelf = members[cluster] ?? [];
      // People come more often lately.
      let timeMs = startMs + Math.floor(Math.sqrt(random.next()) * days * dayMs);
      let place = skewed(shelf.length, random);
      const visit = 1 + random.integer(5);
      for (let step = 0; step < visit && made < wanted; step++) {
        const item = shelf[place];
        if (item === undefined) break;
        const draw = random.next();
        const type = draw < 0.6 ? 'view' : draw < 0.75 ? 'cart' : 'purchase';
        events.push({ user, item, type, timeMs, weight: type === 'view' ? 1 : type === 'cart' ? 3 : 5, basket });
        made++;
        timeMs += 60_000 + random.integer(300_000);
        // What comes next is often the neighbour on the shelf: something for sequence models to learn.
        place = random.next() < 0.6 ? (place + 1) % shelf.length : skewed(shelf.length, random);
      }
      basket++;
    }
  }
  if (userCount >= 3) events.push({ user: userCount - 2, item: members[0]?.[0] ?? 0, type: 'view', timeMs: startMs, weight: 1, basket });
  return events;
}

/** A place in [0, length), the lower the likelier: about Zipf with exponent 1. */
function skewed(length: number, random: RandomStream): number {
  return Math.min(length - 1, Math.floor((length + 1) ** random.next()) - 1);
}
