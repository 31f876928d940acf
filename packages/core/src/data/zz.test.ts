import { expect, test } from 'vitest';
import { datasetFromArrays } from './dataset-from-arrays.js';
import { readDataset } from './read-dataset.js';
test('smoke', async () => {
  const d = datasetFromArrays({ items: [{ id: 'b', price: 2 }, { id: 'a', price: 1 }], events: [{ user: 'u', item: 'b', timeMs: 1e12 + 1 }, { user: 'u', item: 'a', timeMs: 1e12 }] });
  expect(d.items.ids).toEqual(['a', 'b']);
  expect([...d.history.items]).toEqual([0, 1]);
  const n = 541909;
  const users = Array.from({ length: 4372 }, (_, i) => String(12346 + i));
  const items = Array.from({ length: 4070 }, (_, i) => `${10000 + i}A`);
  const cat = (k: number, list: string[]) => ({ type: 'category' as const, codes: Int32Array.from({ length: n }, (_, i) => (i * 7919 + (i >> 5) * 13) % list.length + k), categories: list });
  const user = cat(0, users), item = cat(0, items), basket = cat(0, Array.from({ length: 25900 }, (_, i) => String(500000 + i)));
  for (let i = 0; i < n; i += 4) user.codes[i] = -1;
  const times = Float64Array.from({ length: n }, (_, i) => 1.2e12 + i * 50000);
  const source = (chunk: number, shuffled: boolean) => ({
    async *read() {
      for (let s = 0; s < n; s += chunk) {
        const e = Math.min(n, s + chunk);
        const t = times.slice(s, e); if (shuffled) t.reverse();
        yield { rowCount: e - s, columns: { user: { ...user, codes: user.codes.subarray(s, e) }, item: { ...item, codes: item.codes.subarray(s, e) }, basket: { ...basket, codes: basket.codes.subarray(s, e) }, timeMs: { type: 'number' as const, values: t } } };
      }
    },
    report: () => ({ rowsRead: n, rowsKept: n, dropped: [], warnings: [] }), fingerprint: async () => 'x',
  });
  for (const [c, sh] of [[2048, false], [2048, false], [2048, true], [n, true]] as const) {
    let k0=process.cpuUsage(); for await (const b of source(c,sh).read()) { void b; } const k=process.cpuUsage(k0); k0=process.cpuUsage(); const t0 = performance.now();
    const r = await readDataset({ events: source(c, sh) }, { signal: new AbortController().signal, progress() {}, nowMs: 2e12, warn() {} });
    const k2=process.cpuUsage(k0); console.log(c, sh, 'source cpu ms', (k.user+k.system)/1000, 'read cpu', k2.user/1000, k2.system/1000, performance.now() - t0, r.history.eventCount, r.reports.events?.dropped);
  }
});
