import { columnLength, type DataBatch } from '@recloom/plugin-api';
import type { AnyInstance } from '../../host/host.js';
import { hold, type Law, provides } from '../law.js';

async function readAll(instance: AnyInstance): Promise<readonly DataBatch[]> {
  const batches: DataBatch[] = [];
  for await (const batch of instance.read({ signal: new AbortController().signal, progress: () => undefined })) batches.push(batch);
  return batches;
}

const columnsFit: Law = {
  id: 'DAT-01',
  title: 'columns fit together',
  law: 'Every batch has the same columns, each with exactly its row count; items and users bring `id`, events `user`, `item` and `timeMs`.',
  appliesTo: provides('data'),
  async run(subject) {
    const { instance } = await subject.open();
    const batches = await readAll(instance);
    hold(batches.length > 0, 'Nothing was read; give a fixture (options or directory) with some rows.');
    const names = Object.keys(batches[0]?.columns ?? {}).join();
    const wanted = subject.definition.capabilities.data === 'events' ? ['user', 'item', 'timeMs'] : ['id'];
    for (const { rowCount, columns } of batches) {
      hold(Object.keys(columns).join() === names, 'Two batches have different columns.');
      for (const name of wanted) hold(Object.hasOwn(columns, name), `The column "${name}" is missing.`);
      for (const [name, column] of Object.entries(columns)) {
        hold(columnLength(column) === rowCount, `The column "${name}" has ${columnLength(column)} rows in a batch of ${rowCount}.`);
      }
    }
    await instance.dispose?.();
  },
};

const reportAddsUp: Law = {
  id: 'DAT-02',
  title: 'the report adds up',
  law: 'Rows kept are the events handed over (items and users may be put together from several), and every row read was kept or is counted with a reason: nothing is dropped silently.',
  appliesTo: provides('data'),
  async run(subject) {
    const { instance } = await subject.open();
    const handedOver = (await readAll(instance)).reduce((sum, batch) => sum + batch.rowCount, 0);
    const { rowsRead, rowsKept, dropped } = instance.report();
    // Items and users may be put together from several rows each; events may not.
    const fits = subject.definition.capabilities.data === 'events' ? rowsKept === handedOver : rowsKept >= handedOver;
    hold(fits, `The report says ${rowsKept} rows were kept, ${handedOver} were handed over.`);
    const lost = dropped.reduce((sum, { count }) => sum + count, 0);
    hold(rowsRead === rowsKept + lost, `${rowsRead} rows were read, ${rowsKept} kept and ${lost} dropped: that does not add up.`);
    await instance.dispose?.();
  },
};

const fingerprintRepeats: Law = {
  id: 'DAT-03',
  title: 'the fingerprint repeats',
  law: 'The fingerprint is a hex digest, the same for the same data in every instance, so that an unchanged source is recognised.',
  appliesTo: provides('data'),
  async run(subject) {
    const fingerprints: string[] = [];
    for (let time = 0; time < 2; time++) {
      const { instance } = await subject.open();
      fingerprints.push(await instance.fingerprint(new AbortController().signal));
      await instance.dispose?.();
    }
    hold(/^[0-9a-f]{16,}$/.test(fingerprints[0] ?? ''), 'The fingerprint is no hex digest.');
    hold(fingerprints[0] === fingerprints[1], 'The fingerprint of unchanged data changed.');
  },
};

/** Laws of data sources. */
export const dataLaws: readonly Law[] = [columnsFit, reportAddsUp, fingerprintRepeats];
