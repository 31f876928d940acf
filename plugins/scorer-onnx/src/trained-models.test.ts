import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { candidateBatch, shopFrom, tableFrom } from '@recloom/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { largestDifference, openWorkshop, scored, type Workshop } from './test-models.fixture.js';

// Models and numbers are made by fixtures/make.fixture.py with LightGBM 4.7.0, XGBoost 3.2.0, scikit-learn 1.9.1 and PyTorch 2.15;
// `trainer` is what the trainer itself predicts in float64, `onnxruntime` what onnxruntime 1.32 gives for the file.
const folder = fileURLToPath(new URL('./fixtures/', import.meta.url));

interface Case {
  readonly gaps: boolean;
  readonly output: string;
  readonly column: number;
  readonly trainer: readonly number[];
  readonly onnxruntime: readonly number[];
}
interface Expected {
  readonly rows: readonly (readonly (number | null)[])[];
  readonly wholeRows: readonly (readonly number[])[];
  readonly models: Readonly<Record<string, Case>>;
  readonly attention: {
    readonly inputs: { readonly features: readonly (readonly number[])[]; readonly item: readonly number[] };
    readonly known: { readonly click: readonly number[]; readonly buy: readonly number[] };
    readonly guest: { readonly click: readonly number[]; readonly buy: readonly number[] };
  };
}

const width = 6;
let expected: Expected;
let workshop: Workshop;
beforeAll(async () => {
  expected = JSON.parse(await readFile(`${folder}expected.fixture.json`, 'utf8')) as Expected;
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

/** A batch whose columns feature.f0 … hold the given rows. */
function batchOf(rows: readonly (readonly (number | null)[])[]): ReturnType<typeof candidateBatch> {
  const columns = Object.fromEntries(
    Array.from({ length: width }, (_, index) => [`feature.f${index}`, rows.map((row) => row[index] ?? Number.NaN)]),
  );
  return candidateBatch({ rows: [Array.from(rows, (_, row) => row)], columns });
}

const names = [
  'lightgbm-lambdarank',
  'lightgbm-binary',
  'lightgbm-binary-zipmap',
  'lightgbm-multiclass',
  'xgboost-binary',
  'xgboost-regression',
  'sklearn-logistic',
  'sklearn-linear',
];

describe.each(names)('%s', (name) => {
  const open = (engine: string): ReturnType<Workshop['open']> => {
    const { output, column } = expected.models[name] as Case;
    const input = name.startsWith('sklearn') ? 'X' : 'features';
    const columns = Array.from({ length: width }, (_, index) => `feature.f${index}`);
    return workshop.open({
      model: `${folder}${name}.fixture.onnx`,
      engine,
      inputs: { [input]: { columns, missing: 'nan' } },
      outputs: { main: { output, column } },
    });
  };
  const rowsOf = (): Expected['rows'] => ((expected.models[name] as Case).gaps ? expected.rows : expected.wholeRows);

  it('the kernels are chosen, and give what onnxruntime gives', async () => {
    const scorer = await open('auto');
    expect(scorer.models()[0]).toMatchObject({ file: `${name}.fixture.onnx`, device: 'kernels' });
    const [scores] = (await scored(scorer, batchOf(rowsOf()))) as [Float32Array];
    const given = (expected.models[name] as Case).onnxruntime.map(Math.fround);
    if (name === 'lightgbm-lambdarank' || name === 'xgboost-regression') {
      // Trees alone: the very same float32 sums.
      expect([...scores]).toEqual(given);
    } else {
      // An exponential follows, or a sum in another order.
      expect(largestDifference(scores, given)).toBeLessThan(5e-7);
    }
  });

  it('and what the trainer predicts, to single precision', async () => {
    const [scores] = (await scored(await open('kernels'), batchOf(rowsOf()))) as [Float32Array];
    expect(largestDifference(scores, (expected.models[name] as Case).trainer)).toBeLessThan(1e-6);
  });

  it('onnxruntime on a worker gives the same, where it can', async () => {
    if (name.endsWith('zipmap')) {
      // Lists of maps never leave onnxruntime for Node.
      await expect(open('onnx')).rejects.toMatchObject({
        code: 'SCORER_ONNX_OUTPUT',
        message: expect.stringContaining('convert the model without ZipMap') as string,
      });
      return;
    }
    const scorer = await open('onnx');
    expect(scorer.models()[0]?.device).toBe('cpu');
    const [scores] = (await scored(scorer, batchOf(rowsOf()))) as [Float32Array];
    expect(largestDifference(scores, (expected.models[name] as Case).trainer)).toBeLessThan(1e-6);
  });
});

describe('torch-attention', () => {
  it('gives what PyTorch gives, for a known user and for a guest', async () => {
    const { inputs, known, guest } = expected.attention;
    const ids = Array.from({ length: 8 }, (_, index) => `item-${index + 1}`);
    const shop = shopFrom({ items: tableFrom([...ids, 'item-new'], {}) });
    const scorer = await workshop.open(
      {
        model: `${folder}torch-attention.fixture.onnx`,
        inputs: {
          features: { columns: Array.from({ length: width }, (_, index) => `feature.f${index}`) },
          item: { category: 'item.id', vocabulary: ids },
          history: { history: 'ids', length: 5, vocabulary: ids },
          age_days: { history: 'ageDays', length: 5 },
          mask: { history: 'mask', length: 5 },
        },
        outputs: { buy: { output: 'buy', kind: 'probability' }, click: { output: 'click', kind: 'score' } },
        main: 'click',
      },
      { shop },
    );
    expect(scorer.furtherColumns).toEqual(['buy']);
    expect(scorer.models()[0]?.device).toBe('cpu');
    const asOfMs = Date.UTC(2026, 0, 15);
    const event = (item: number, ageDays: number): { item: number; type: string; timeMs: number } => ({
      item: item - 1,
      type: 'view',
      timeMs: asOfMs - ageDays * 86_400_000,
    });
    // Item 0 of the model is what is not in the vocabulary: row 8.
    const rows = inputs.item.map((item) => (item === 0 ? 8 : item - 1));
    const feature = (index: number): number[] => [...inputs.features, ...inputs.features].map((row) => row[index] as number);
    const batch = candidateBatch({
      rows: [rows, rows],
      requests: [{ history: [event(3, 12.5), event(4, 3), event(8, 0.25)], asOfMs }, { asOfMs }],
      columns: Object.fromEntries(Array.from({ length: width }, (_, index) => [`feature.f${index}`, feature(index)])),
    });
    const [click, buy] = (await scored(scorer, batch)) as [Float32Array, Float32Array];
    expect(largestDifference(click, [...known.click, ...guest.click])).toBeLessThan(2e-6);
    expect(largestDifference(buy, [...known.buy, ...guest.buy])).toBeLessThan(1e-6);
  });
});
