import type { Column, FeatureMatrix, RankedList } from '@recloom/plugin-api';
import { tableFrom } from '../../host/columns.js';
import { featureMatrix, rankedList } from '../../host/requests.js';
import { hold, type Law, provides } from '../law.js';
import { pickRows } from '../probes.js';
import { type Subject, sampleList, sampleRequests } from '../subject.js';

const signal = (): AbortSignal => new AbortController().signal;

function lists(subject: Subject): readonly RankedList[] {
  const requests = sampleRequests(subject);
  const samples = requests.map((request) => sampleList(subject, request));
  const [first] = requests;
  const values = [3, 2, 1, Number.NEGATIVE_INFINITY, Number.NaN];
  return [
    ...samples,
    rankedList([], [], { request: first ?? {}, limit: 5 }),
    rankedList([4], [1], { request: first ?? {}, limit: 5 }),
    rankedList([4, 9, 2, 7, 1], values, { request: first ?? {}, limit: 5 }),
  ];
}

const uniqueIndices: Law = {
  id: 'RNK-01',
  title: 'indices are unique and in range',
  law: 'A ranker returns places of the list it was given, each at most once: it can order and cut, not add; over all sample requests it does something.',
  appliesTo: provides('ranker'),
  async run(subject) {
    const { instance } = await subject.open();
    const samples = sampleRequests(subject).length;
    let changed = false;
    for (const [number, list] of lists(subject).entries()) {
      const order = await instance.rank(list, signal());
      // Only the sample requests count: the lists after them are edge cases, with values that have no order.
      if (number < samples) changed ||= order.length < list.count || order.some((place, position) => place !== position);
      hold(order instanceof Int32Array, 'The order is no Int32Array.');
      hold(
        order.every((place) => place >= 0 && place < list.count),
        `A place outside the list of ${list.count}.`,
      );
      const repeats = order.length - new Set(order).size;
      // More than there are is another law's matter.
      hold(repeats === 0 || order.length > list.count, 'A place comes twice.');
    }
    hold(changed, 'Every list came back as it was; give a fixture (options, shop or request) on which it orders or cuts something.');
    await instance.dispose?.();
  },
};

const noMoreThanGiven: Law = {
  id: 'RNK-02',
  title: 'not more than were given',
  law: 'A ranker returns at most as many places as the list has, and at least one of a list that has any.',
  appliesTo: provides('ranker'),
  async run(subject) {
    const { instance } = await subject.open();
    for (const list of lists(subject)) {
      const order = await instance.rank(list, signal());
      hold(order.length <= list.count, `${order.length} places for a list of ${list.count}.`);
      hold(order.length > 0 || list.count === 0, `Nothing is left of a list of ${list.count}.`);
    }
    await instance.dispose?.();
  },
};

const stableTies: Law = {
  id: 'RNK-03',
  title: 'equals keep their order',
  law: 'Of two items that are alike in everything (value, fields, features) the earlier stays the earlier.',
  appliesTo: provides('ranker'),
  async run(subject) {
    const { shop, inputs } = subject;
    const { rowCount } = shop.items;
    // Every item gets a twin: the same in all but its id.
    const doubled = [...Array.from({ length: rowCount }, (_, row) => row), ...Array.from({ length: rowCount }, (_, row) => row)];
    const columns: Record<string, Column> = {};
    for (const [field, column] of Object.entries(shop.items.columns)) columns[field] = pickRows(column, doubled);
    const items = tableFrom([...shop.items.ids, ...shop.items.ids.map((id) => `zz-twin-of-${id}`)], columns, shop.items.version);
    const twinInputs = Object.fromEntries(
      Object.entries(inputs).map(([name, given]) => [
        name,
        Array.isArray(given)
          ? given.map((one: string | FeatureMatrix) => twinFeature(one, rowCount))
          : twinFeature(given as string | FeatureMatrix, rowCount),
      ]),
    );
    const { instance } = await subject.open({ shop: { ...shop, items }, inputs: twinInputs });
    for (const request of sampleRequests(subject)) {
      const sample = sampleList(subject, request, 10);
      const rows = [...sample.rows].flatMap((row) => [row, row + rowCount]);
      const values = [...sample.values].flatMap((value) => [value, value]);
      const order = await instance.rank(rankedList(rows, values, { request, limit: rows.length }), signal());
      const placed = new Map([...order].map((place, position) => [place, position]));
      for (let place = 0; place < rows.length; place += 2) {
        const earlier = placed.get(place);
        const later = placed.get(place + 1);
        hold(later === undefined || (earlier !== undefined && earlier < later), 'Of two equal candidates the later one came first.');
      }
    }
    await instance.dispose?.();
  },
};

function twinFeature(given: string | FeatureMatrix, rowCount: number): string | FeatureMatrix {
  if (typeof given === 'string') return given;
  const values = new Float32Array(2 * rowCount * given.width);
  const presence = new Uint8Array(2 * rowCount);
  for (const start of [0, rowCount]) {
    values.set(given.values.subarray(0, rowCount * given.width), start * given.width);
    presence.set(given.presence.subarray(0, rowCount), start);
  }
  return featureMatrix(given.name, given.width, values, presence);
}

/** Laws of rankers. */
export const rankerLaws: readonly Law[] = [uniqueIndices, noMoreThanGiven, stableTies];
