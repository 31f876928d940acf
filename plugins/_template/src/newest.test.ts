import type { CandidateSource, Explainer } from '@recloom/plugin-api';
import { numberColumn, openComponent, requestBatch, requestView, shopFrom, tableFrom } from '@recloom/testing';
import { describeConformance } from '@recloom/testing/vitest';
import { describe, expect, it } from 'vitest';
import plugin, { newest } from './index.js';

const day = 86_400_000;
const now = 100 * day;
// Ages in days: a 10, b 0, c unknown, d 40, e in the future, f 10.
const items = tableFrom(['a', 'b', 'c', 'd', 'e', 'f'], {
  addedMs: numberColumn([now - 10 * day, now, null, now - 40 * day, now + day, now - 10 * day]),
});

async function propose(options: object, limit: number, eligible?: Uint8Array): Promise<{ rows: number[]; scores: number[] }> {
  const source = await openComponent<CandidateSource>(newest, { options, inputs: { added: 'item.addedMs' }, shop: shopFrom({ items }) });
  const { rows, scores } = await source.propose(requestBatch([{ asOfMs: now }], { eligible }), limit);
  return { rows: [...rows], scores: [...scores] };
}

describe('newest', () => {
  it('proposes the youngest first, ties by row, and neither undated nor future items', async () => {
    // Scores by hand with halfScoreDays 10: b 1/(1+0), a and f 1/(1+10/10), d 1/(1+40/10).
    const { rows, scores } = await propose({ halfScoreDays: 10 }, 10);
    expect(rows).toEqual([1, 0, 5, 3]);
    expect(scores).toEqual([1, 0.5, 0.5, expect.closeTo(0.2, 6)]);
  });

  it('stops at the limit and at the maximum age', async () => {
    expect((await propose({}, 2)).rows).toEqual([1, 0]);
    expect((await propose({ maximumAgeDays: 10 }, 10)).rows).toEqual([1, 0, 5]);
  });

  it('skips what is not eligible and fills up with what is', async () => {
    expect((await propose({}, 2, Uint8Array.of(1, 0, 1, 1, 1, 1))).rows).toEqual([0, 5]);
  });

  it('says since when', async () => {
    const source = await openComponent<Explainer>(newest, { inputs: { added: 'item.addedMs' }, shop: shopFrom({ items }) });
    const reasons = source.reasons(requestView({ asOfMs: now }), Int32Array.of(0, 2));
    expect(reasons).toEqual([expect.objectContaining({ code: 'newly-added', values: { days: 10 } }), undefined]);
  });
});

describeConformance(plugin, { fixtures: { newest: { inputs: { added: 'item.price' } } } });
