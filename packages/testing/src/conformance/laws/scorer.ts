import { type CandidateBatch, createRandomStream } from '@recloom/plugin-api';
import type { AnyInstance } from '../../host/host.js';
import { candidateBatch } from '../../host/requests.js';
import { hold, type Law, provides } from '../law.js';
import { emptyScores, furtherScores } from '../probes.js';
import { mixedRequests, type Subject, sampleCandidates, sampleRequests, shuffled, strangerRequest } from '../subject.js';

/** The main column, and the further ones behind it. */
async function scoreAll(instance: AnyInstance, batch: CandidateBatch): Promise<readonly Float32Array[]> {
  const out = emptyScores(batch.count);
  const further = furtherScores(instance, batch.count);
  await instance.score(batch, out, new AbortController().signal, further);
  return [out, ...further];
}

function same(left: number, right: number): boolean {
  if (!Number.isFinite(left) || !Number.isFinite(right)) return Object.is(left, right);
  return Math.abs(left - right) <= 1e-5 * Math.max(1, Math.abs(left));
}

const oneScoreEach: Law = {
  id: 'SCR-01',
  title: 'one finite score each, or none',
  law: 'Every candidate gets a finite score or stays NaN (missing); infinities are neither; over all sample requests something is scored, and not everything alike; nothing outside the column is written.',
  appliesTo: provides('scorer'),
  async run(subject) {
    const { instance } = await subject.open();
    const batch = sampleCandidates(subject, sampleRequests(subject));
    const guard = 5;
    const whole = new Float32Array(batch.count + 2 * guard).fill(-77);
    const out = whole.subarray(guard, guard + batch.count).fill(Number.NaN);
    await instance.score(batch, out, new AbortController().signal, furtherScores(instance, batch.count));
    hold(
      out.every((value) => Number.isFinite(value) || Number.isNaN(value)),
      'A score is infinite.',
    );
    hold(
      out.some((value) => Number.isFinite(value)),
      'Not one of the candidates got a score; give a fixture (options, shop or request) on which it has something to say.',
    );
    const first = out.find((value) => Number.isFinite(value));
    // A missing score is a verdict too: a scorer may give its one score to some and none to others.
    hold(
      out.some((value) => value !== first),
      'Every candidate got the same score; give a fixture (options, shop or request) on which they differ.',
    );
    hold(
      [...whole.subarray(0, guard), ...whole.subarray(guard + batch.count)].every((value) => value === -77),
      'It writes outside its column.',
    );
    await scoreAll(instance, withColumns(subject, candidateBatch({ rows: [] })));
    await scoreAll(instance, withColumns(subject, candidateBatch({ rows: [[]] })));
    await instance.dispose?.();
  },
};

const equivariant: Law = {
  id: 'SCR-02',
  title: 'the order of candidates does not matter',
  law: "Candidates in another order get the same scores: a candidate's place says nothing about it.",
  appliesTo: provides('scorer'),
  async run(subject) {
    if (subject.definition.capabilities.deterministic === false) return;
    const { instance } = await subject.open();
    const batch = sampleCandidates(subject, sampleRequests(subject));
    const random = createRandomStream(41);
    const order = Array.from({ length: batch.requests.length }, (_, request) => {
      const start = batch.offsets[request] ?? 0;
      return shuffled((batch.offsets[request + 1] ?? start) - start, random).map((place) => start + place);
    }).flat();
    const move = (array: Float32Array): Float32Array => Float32Array.from(order, (place) => array[place] ?? 0);
    const moved: CandidateBatch = {
      ...batch,
      rows: Int32Array.from(order, (place) => batch.rows[place] ?? 0),
      sources: batch.sources.map(({ name, scores, ranks }) => ({
        name,
        scores: move(scores),
        ranks: Int32Array.from(order, (place) => ranks[place] ?? 0),
      })),
      column: (name) => {
        const column = batch.column(name);
        return column === undefined ? undefined : move(column);
      },
    };
    const before = await scoreAll(instance, batch);
    const after = await scoreAll(instance, moved);
    before.forEach((column, which) => {
      order.forEach((place, index) => {
        hold(same(column[place] ?? 0, after[which]?.[index] ?? 0), 'A score depends on the place of its candidate.');
      });
    });
    await instance.dispose?.();
  },
};

const unknownUserAndItem: Law = {
  id: 'SCR-03',
  title: 'unknown users and items are normal',
  law: 'A guest, a user and items that joined after the fit get finite or missing scores, no error.',
  appliesTo: provides('scorer'),
  async run(subject) {
    const { grownShop: shop } = subject;
    const { instance } = await subject.open({ shop });
    const newItem = shop.items.rowCount - 1;
    const rows = [newItem, 0, newItem - 1, 4];
    const draw = [1, Number.NaN, 0.5, 2];
    const twelve = [...draw, ...draw, ...draw];
    const batch = candidateBatch({
      rows: [rows, rows, rows],
      requests: [
        strangerRequest(subject, -1),
        strangerRequest(subject, shop.users.rowCount - 1, { items: [newItem], text: 'zzzz unheard of' }),
        strangerRequest(subject, 0, {
          history: [{ item: newItem, type: subject.shop.history.typeNames[0] ?? 'view', timeMs: shop.asOfMs }],
        }),
      ],
      sources: { first: twelve, second: twelve },
      columns: {
        'score.first': twelve,
        'score.second': twelve,
        'feature.first': twelve,
        ...Object.fromEntries((subject.fixture.columns ?? []).map((name) => [name, twelve])),
      },
    });
    const columns = await scoreAll(instance, batch);
    hold(
      columns.every((column) => column.every((value) => Number.isFinite(value) || Number.isNaN(value))),
      'A stranger gets an infinite score.',
    );
    await instance.dispose?.();
  },
};

const batchIsSeparate: Law = {
  id: 'SCR-04',
  title: 'a batch equals separate runs',
  law: 'The candidates of a request are scored in a batch as they would be alone.',
  appliesTo: provides('scorer'),
  async run(subject) {
    if (subject.definition.capabilities.deterministic === false) return;
    const { instance } = await subject.open();
    for (const requests of [sampleRequests(subject), mixedRequests(subject)]) {
      const batch = sampleCandidates(subject, requests);
      const together = await scoreAll(instance, batch);
      for (const [index, request] of batch.requests.entries()) {
        const start = batch.offsets[index] ?? 0;
        const end = batch.offsets[index + 1] ?? start;
        const alone = await scoreAll(instance, {
          requests: [{ ...request, index: 0 }],
          count: end - start,
          offsets: Int32Array.from([0, end - start]),
          rows: batch.rows.slice(start, end),
          sources: batch.sources.map(({ name, scores, ranks }) => ({
            name,
            scores: scores.slice(start, end),
            ranks: ranks.slice(start, end),
          })),
          column: (name) => batch.column(name)?.slice(start, end),
        });
        alone.forEach((column, which) => {
          column.forEach((value, place) => {
            const there = together[which]?.[start + place] ?? 0;
            hold(same(value, there), `The scores of request ${index} depend on the other requests of the batch.`);
          });
        });
      }
    }
    await instance.dispose?.();
  },
};

/** A batch without candidates still has the columns of the surface. */
function withColumns(subject: Subject, batch: CandidateBatch): CandidateBatch {
  const names = new Set(['score.first', 'score.second', 'feature.first', ...(subject.fixture.columns ?? [])]);
  return { ...batch, column: (name) => (names.has(name) ? new Float32Array(batch.count) : undefined) };
}

const furtherFilled: Law = {
  id: 'SCR-05',
  title: 'further columns are filled and aligned',
  law: 'Every name of `furtherColumns` is a word of its own; each of its columns holds finite or missing scores, something among them, and nothing outside is written; a caller that wants none gets the same main column.',
  appliesTo: provides('scorer'),
  async run(subject) {
    const { instance } = await subject.open();
    const names = [...(instance.furtherColumns ?? [])];
    hold(new Set(names).size === names.length, 'Two further columns have one name.');
    for (const name of names) hold(/^[A-Za-z_]\w*$/.test(name), `"${name}" is no name for a column.`);
    const batch = sampleCandidates(subject, sampleRequests(subject));
    const guard = 5;
    const whole = names.map(() => new Float32Array(batch.count + 2 * guard).fill(-77));
    const further = whole.map((column) => column.subarray(guard, guard + batch.count).fill(Number.NaN));
    const out = emptyScores(batch.count);
    await instance.score(batch, out, new AbortController().signal, further);
    names.forEach((name, which) => {
      const column = further[which] ?? new Float32Array(0);
      hold(
        column.every((value) => Number.isFinite(value) || Number.isNaN(value)),
        `A value of the further column "${name}" is infinite.`,
      );
      hold(
        column.some((value) => Number.isFinite(value)),
        `Nothing was written into the further column "${name}".`,
      );
      const all = whole[which] ?? new Float32Array(0);
      const around = [...all.subarray(0, guard), ...all.subarray(guard + batch.count)];
      hold(
        around.every((value) => value === -77),
        `It writes outside the further column "${name}".`,
      );
    });
    if (names.length > 0) {
      const alone = emptyScores(batch.count);
      await instance.score(batch, alone, new AbortController().signal);
      const deterministic = subject.definition.capabilities.deterministic !== false;
      hold(!deterministic || alone.every((value, place) => same(value, out[place] ?? 0)), 'Without further columns the scores are others.');
    }
    hold([...(instance.furtherColumns ?? [])].join() === names.join(), 'The names of the further columns changed.');
    await instance.dispose?.();
  },
};

const columnsDeclared: Law = {
  id: 'SCR-06',
  title: 'it reads the columns it says it reads',
  law: 'Every `score.*` and `feature.*` column it reads stands in `readsColumns`, so that it is finished by then; what is missing in them gives finite or missing scores.',
  appliesTo: provides('scorer'),
  async run(subject) {
    const { instance } = await subject.open();
    const declared = new Set(instance.readsColumns ?? []);
    const batch = sampleCandidates(subject, sampleRequests(subject));
    for (const name of declared) {
      hold(/^(?:score|feature)\.\w/.test(name), `"${name}" in readsColumns is neither a score.* nor a feature.* column.`);
      hold(
        batch.column(name) !== undefined,
        `It reads "${name}"; name it under \`columns\` of the fixture, so that the candidates have it.`,
      );
    }
    const read = new Set<string>();
    const spied: CandidateBatch = {
      ...batch,
      column(name) {
        if (/^(?:score|feature)\./.test(name)) read.add(name);
        return batch.column(name);
      },
    };
    await scoreAll(instance, spied);
    for (const name of read) hold(declared.has(name), `It reads "${name}", which is not in readsColumns: it may come too late.`);
    for (const gone of declared) {
      const columns = await scoreAll(instance, {
        ...batch,
        column: (name) => (name === gone ? emptyScores(batch.count) : batch.column(name)),
      });
      hold(
        columns.every((column) => column.every((value) => Number.isFinite(value) || Number.isNaN(value))),
        `Without any value in "${gone}" a score is infinite.`,
      );
    }
    await instance.dispose?.();
  },
};

/** Laws of scorers. */
export const scorerLaws: readonly Law[] = [oneScoreEach, equivariant, unknownUserAndItem, batchIsSeparate, furtherFilled, columnsDeclared];
