import type { CandidateSource, ComponentState, Explainer, Scorer } from '@recloom/plugin-api';
import { createTestHost, historyFrom, openComponent, requestBatch, requestView, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { rp3beta } from './index.js';

type Rp3 = CandidateSource & Scorer & Explainer;

function shopOf(matrix: readonly (readonly number[])[]) {
  const items = matrix[0]?.length ?? 0;
  const events = matrix.flatMap((values, user) => values.flatMap((weight, item) => (weight > 0 ? [{ user, item, weight }] : [])));
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(matrix.map((_, row) => `u${row}`)),
    history: historyFrom(events, { itemCount: items }),
  };
}

function expectLinks(state: ComponentState, expected: readonly (readonly number[])[]): void {
  const offsets = state['offsets']?.data as Int32Array;
  const columns = state['neighbours']?.data as Int32Array;
  const stored = state['similarities']?.data as Float32Array;
  const found = expected.map((row) => row.map(() => 0));
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let entry = offsets[row] as number; entry < (offsets[row + 1] as number); entry++) {
      (found[row] as number[])[columns[entry] as number] = stored[entry] as number;
    }
  }
  found.forEach((row, i) => row.forEach((value, j) => expect(value, `cell ${i}, ${j}`).toBeCloseTo(expected[i]?.[j] as number, 5)));
}

const binary = [
  [1, 1, 0, 0, 1],
  [1, 1, 1, 0, 0],
  [0, 1, 1, 0, 0],
  [1, 0, 0, 1, 0],
  [0, 1, 1, 1, 0],
  [1, 1, 0, 0, 1],
];
const weighted = [
  [1, 0.5, 0, 0, 0.25],
  [0.5, 1, 0.25, 0, 0],
  [0, 0.25, 0.5, 0, 0],
  [0.25, 0, 0, 0.5, 0],
  [0, 1, 0.5, 0.25, 0],
  [1, 0.5, 0, 0, 1],
];

describe('rp3beta against numpy', () => {
  // common.py's rp3(sp.csr_matrix(X), k, alpha=.7, beta=.6):
  //   n, c = np.maximum(X.sum(1), 1), np.maximum(X.sum(0), 1); Pu, Pi = (X / n[:, None]) ** alpha, (X.T / c[:, None]) ** alpha
  //   S = Pi @ Pu * c ** -beta; S's diagonal = 0; the k largest of each row
  const options = { alpha: 0.7, beta: 0.6, minimumItemUsers: 1 };

  it('gives its links on binary data', async () => {
    expectLinks(await createTestHost().fit(rp3beta, { shop: shopOf(binary), options: { ...options, neighbours: 5 } }), [
      [0, 0.2005914, 0.0908449, 0.153893, 0.2317315],
      [0.196165, 0, 0.2586265, 0.0991102, 0.1982203],
      [0.0934963, 0.272181, 0, 0.1417138, 0],
      [0.1649385, 0.1086206, 0.1475779, 0, 0],
      [0.2483637, 0.2172412, 0, 0, 0],
    ]);
  });

  it('keeps the strongest per history item', async () => {
    expectLinks(await createTestHost().fit(rp3beta, { shop: shopOf(binary), options: { ...options, neighbours: 2 } }), [
      [0, 0.2005914, 0, 0, 0.2317315],
      [0, 0, 0.2586265, 0, 0.1982203],
      [0, 0.272181, 0, 0.1417138, 0],
      [0.1649385, 0, 0.1475779, 0, 0],
      [0.2483637, 0.2172412, 0, 0, 0],
    ]);
  });

  it('gives its links on weighted data', async () => {
    expectLinks(await createTestHost().fit(rp3beta, { shop: shopOf(weighted), options: { ...options, neighbours: 5, useWeights: true } }), [
      [0, 0.2807933, 0.0679253, 0.1148958, 0.3372077],
      [0.2761415, 0, 0.3470479, 0.1122311, 0.1846677],
      [0.0734977, 0.3818447, 0, 0.134857, 0],
      [0.1271269, 0.1262704, 0.1379, 0, 0],
      [0.3648713, 0.2031834, 0, 0, 0],
    ]);
  });
});

describe('rp3beta', () => {
  it('proposes and explains from a history', async () => {
    const component = await openComponent<Rp3>(rp3beta, { shop: shopOf(binary), options: { alpha: 0.7, beta: 0.6, minimumItemUsers: 1 } });
    const request = requestView({ userRow: 1, history: [{ item: 4 }] });
    const proposals = await component.propose(requestBatch([request]), 10);
    expect([...proposals.rows]).toEqual([0, 1]);
    expect(proposals.scores[0]).toBeCloseTo(0.2483637, 5);
    expect(component.reasons(request, proposals.rows)[1]).toMatchObject({ code: 'because-you-bought', items: [4] });
  });

  it('links nothing to a single event and gives the same bytes twice', async () => {
    const host = createTestHost();
    expect(await host.fit(rp3beta)).toEqual(await host.fit(rp3beta));
    const lonely = await host.fit(rp3beta, { shop: shopOf([[1, 0]]), options: { minimumItemUsers: 1 } });
    expect(lonely['similarities']?.data.length).toBe(0);
  });
});
