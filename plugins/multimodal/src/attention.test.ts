import { createRandomStream, type HistoryStore, readTensor, type Warning } from '@recloom/plugin-api';
import { historyFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { Attention, ContrastiveLoss, catalogueOf, fitAttention, Gates } from './attention.js';
import { batchOf, extracted, featureOf, queryBatch } from './fixtures.test-support.js';
import { modalitiesOf } from './modalities.js';
import { attentionOptions } from './options.js';
import { Weighted } from './weighted.js';

const signal = new AbortController().signal;
type Features = Parameters<typeof batchOf>[0];

async function fit(features: Features, history: HistoryStore, given: object = {}) {
  const options = attentionOptions.parse(given);
  const warnings: Warning[] = [];
  const state = await fitAttention({
    options,
    features,
    history,
    random: createRandomStream(5),
    signal,
    progress: () => {},
    warn: (warning) => warnings.push(warning),
  });
  return { attention: new Attention(options, features, state), state, warnings };
}

/**
 * 120 items of 6 groups that people stay within. Of even items the text tells the group and the picture is noise, of odd
 * items the other way round; the first number says which, so that a gate can tell.
 */
function plantedShop() {
  const random = createRandomStream(12);
  const width = 10;
  const noise = (): number => 0.4 * random.normal();
  const told = (group: number): number[] => Array.from({ length: width }, (_, at) => (at === 0 ? 1 : at === group + 1 ? 2 : 0) + noise());
  const untold = (): number[] => Array.from({ length: width }, (_, at) => (at === 0 ? -1 : 1.2 * random.normal()));
  const items = Array.from({ length: 120 }, (_, row) => row);
  const text = featureOf(
    'text',
    items.map((row) => (row % 2 === 0 ? told(row % 6) : untold())),
  );
  const picture = featureOf(
    'picture',
    items.map((row) => (row % 2 === 1 ? told(row % 6) : untold())),
  );
  const events = Array.from({ length: 300 }, (_, user) => {
    const group = random.integer(6);
    return Array.from({ length: 6 }, () => ({ user, item: group + 6 * random.integer(20), timeMs: user }));
  }).flat();
  return { text, picture, history: historyFrom(events, { itemCount: 120 }) };
}

describe('ContrastiveLoss', () => {
  it('has the gradient that finite differences give', () => {
    const random = createRandomStream(3);
    const draw = (): number[] => Array.from({ length: 4 }, () => random.normal());
    const features = [
      featureOf('text', [draw(), draw(), draw(), null, draw()]),
      featureOf('picture', [draw(), null, draw(), draw(), draw()]),
    ];
    const modalities = modalitiesOf(features, { text: 2 });
    const gates = new Gates(
      modalities,
      4,
      Float64Array.from({ length: 10 }, () => 0.3 * random.normal()),
    );
    const loss = new ContrastiveLoss(catalogueOf(modalities, 4, features, 5), 0.2);
    const pairs = [
      [0, 1],
      [2, 3],
      [4, 0],
    ] as const;
    const negatives = [1, 2, 3, 4];
    const gradient = new Float64Array(10);
    loss.of(gates, pairs, negatives, gradient);
    for (let place = 0; place < 10; place++) {
      const step = 1e-5;
      const before = gates.values[place] as number;
      gates.values[place] = before + step;
      const above = loss.of(gates, pairs, negatives, undefined);
      gates.values[place] = before - step;
      const below = loss.of(gates, pairs, negatives, undefined);
      gates.values[place] = before;
      expect(gradient[place]).toBeCloseTo((above - below) / 2 / step, 5);
    }
  });
});

describe('Attention', () => {
  it('learns from co-purchase which feature of an item to trust', async () => {
    const { text, picture, history } = plantedShop();
    const { attention, warnings } = await fit([text, picture], history, { steps: 300 });
    expect(warnings).toEqual([]);
    const share = (row: number): number => (attention.inspectItem(row) as { weights: Record<string, number> }).weights['text'] as number;
    const mean = (rows: readonly number[]): number => rows.reduce((sum, row) => sum + share(row), 0) / rows.length;
    const even = Array.from({ length: 60 }, (_, index) => 2 * index);
    expect(mean(even)).toBeGreaterThan(0.75);
    expect(mean(even.map((row) => row + 1))).toBeLessThan(0.25);
  });

  it('gives the same bytes for the same seed', async () => {
    const { text, picture, history } = plantedShop();
    const first = await fit([text, picture], history, { steps: 60 });
    const second = await fit([text, picture], history, { steps: 60 });
    expect(first.state).toEqual(second.state);
    expect(readTensor(first.state, 'gates', Float32Array).some((value) => value !== 0)).toBe(true);
  });

  it('is `weighted`, with a warning, when there is too little behaviour', async () => {
    const { text, picture } = plantedShop();
    const history = historyFrom(
      [
        { user: 0, item: 1 },
        { user: 0, item: 2 },
      ],
      { itemCount: 120 },
    );
    const weights = { text: 3 };
    const { attention, warnings } = await fit([text, picture], history, { weights });
    expect(warnings).toEqual([expect.objectContaining({ code: 'MULTIMODAL_LITTLE_BEHAVIOUR', count: 1 })]);
    const plain = new Weighted({ weights }, [text, picture]);
    const rows = [0, 1, 2, 3];
    const [own, reference] = [
      await extracted(attention, batchOf([text, picture], rows)),
      await extracted(plain, batchOf([text, picture], rows)),
    ];
    own
      .flatMap((row) => row ?? [])
      .forEach((value, at) => expect(value).toBeCloseTo(reference.flatMap((row) => row ?? [])[at] as number, 6));
  });

  it('says so when nothing it learns holds for other items', async () => {
    // Two features that are the same: no weights are better than others.
    const { text, history } = plantedShop();
    const twin = { ...text, name: 'twin' };
    const { warnings, state } = await fit([text, twin], history, { steps: 100 });
    expect(warnings.map(({ code }) => code)).toEqual(['MULTIMODAL_NOTHING_LEARNED']);
    expect(readTensor(state, 'gates', Float32Array).every((value) => value === 0)).toBe(true);
  });

  it('has weights over what an item has, which sum to one', async () => {
    const { text, history } = plantedShop();
    const picture = featureOf(
      'picture',
      Array.from({ length: 120 }, (_, row) => (row % 3 === 0 ? null : Array.from({ length: 10 }, (_unused, at) => at + row))),
    );
    const { attention } = await fit([text, picture], history, { steps: 100 });
    const weightsOf = (row: number) => (attention.inspectItem(row) as { weights: Record<string, number> }).weights;
    expect(weightsOf(0)).toEqual({ text: 1 });
    expect(Object.values(weightsOf(1)).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
    expect(attention.inspectItem(500)).toEqual({ weights: {} });
    // Alone, text is itself at length 1; a query is weighed by the same gates.
    const [lone] = (await extracted(attention, batchOf([text, picture], [0]))) as number[][];
    expect(Math.hypot(...(lone as number[]))).toBeCloseTo(1, 6);
    expect(await extracted(attention, queryBatch([text, picture], [1]))).toEqual(await extracted(attention, batchOf([text, picture], [1])));
    expect(await extracted(attention, batchOf([text, picture], [500]))).toEqual([null]);
  });

  it('refuses features of different spaces', async () => {
    const { text, history } = plantedShop();
    await expect(fit([text, featureOf('wide', [[1, 2, 3]])], history)).rejects.toMatchObject({ code: 'MULTIMODAL_WIDTHS' });
  });

  it('warns of event types that no event has', async () => {
    const { text, picture, history } = plantedShop();
    const { warnings } = await fit([text, picture], history, { eventTypes: ['hug'] });
    expect(warnings.map(({ code }) => code)).toEqual(['MULTIMODAL_EVENT_TYPE_UNKNOWN', 'MULTIMODAL_LITTLE_BEHAVIOUR']);
  });

  it('stops at an abort', async () => {
    const { text, picture, history } = plantedShop();
    const options = attentionOptions.parse({});
    const fitting = fitAttention({
      options,
      features: [text, picture],
      history,
      random: createRandomStream(1),
      signal: AbortSignal.timeout(1),
      progress: () => {},
      warn: () => {},
    });
    await expect(fitting).rejects.toMatchObject({ name: 'TimeoutError' });
  });
});
