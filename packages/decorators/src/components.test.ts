import {
  type CandidateBatch,
  definePlugin,
  type Logger,
  loggerToken,
  metricsToken,
  type OptionsSchema,
  type RankedList,
  type Table,
  tensor,
} from '@recloom/plugin-api';
import { candidateBatch, createTestHost, fitComponent, openComponent, rankedList } from '@recloom/testing';
import { describeConformance } from '@recloom/testing/vitest';
import { describe, expect, it } from 'vitest';
import { CandidateFilter, Component, componentOf, Ranker, Scorer } from './components.js';
import { contextToken, inject, itemsToken, optionsToken, stateToken } from './injections.js';

// This file is compiled without `experimentalDecorators`, so it calls the decorators as the compiler would:
// parameters first, then the class. `toolchains.test.ts` compiles real decorator syntax.
const parameter = (target: object, index: number, token: Parameters<typeof inject>[0]): void => inject(token)(target, undefined, index);

const options: OptionsSchema<unknown, { readonly factor: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const { factor = 2, ...rest } = (value ?? {}) as { factor?: unknown };
      if (typeof factor !== 'number' || Object.keys(rest).length > 0) return { issues: [{ message: 'wrong', path: ['factor'] }] };
      return { value: { factor } };
    },
    jsonSchema: {
      input: () => ({
        type: 'object',
        properties: { factor: { type: 'number', default: 2, description: 'what rows are multiplied by' } },
        additionalProperties: false,
      }),
    },
  },
};
const spec = { id: 'sample', summary: 'A sample.', options, capabilities: {}, stateVersion: 1 };

class RowScorer {
  readonly table: Table;
  readonly settings: { readonly factor: number };
  constructor(settings: { readonly factor: number }, table: Table) {
    this.settings = settings;
    this.table = table;
  }
  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    for (let place = 0; place < batch.count; place++) out[place] = (batch.rows[place] ?? 0) * this.settings.factor + this.table.rowCount;
  }
}
parameter(RowScorer, 0, optionsToken);
parameter(RowScorer, 1, itemsToken);
Scorer(spec)(RowScorer);

describe('a decorated class', () => {
  it('becomes the component that define* would make', async () => {
    const definition = componentOf(RowScorer);
    expect(definition).toMatchObject({ id: 'sample', provides: ['scorer'], needs: {}, stateVersion: 1 });
    const host = createTestHost();
    const scorer = await host.open<Scorer>(definition, { options: { factor: 3 } });
    expect(scorer).toBeInstanceOf(RowScorer);
    const out = new Float32Array(2);
    await scorer.score(candidateBatch({ rows: [[4, 5]] }), out, new AbortController().signal);
    expect([...out]).toEqual([12 + host.shop.items.rowCount, 15 + host.shop.items.rowCount]);
  });

  it('gets services of the host by constructor and by field, and only those are needed', async () => {
    class Sample {
      logger!: Logger;
      readonly name: string;
      opened = false;
      constructor(context: { readonly name: string }) {
        this.name = context.name;
      }
      open(): void {
        this.opened = true;
        this.logger.info('ready');
      }
      rank(list: RankedList): Int32Array {
        return Int32Array.from({ length: list.count }, (_, place) => place);
      }
    }
    parameter(Sample, 0, contextToken);
    inject(loggerToken)(Sample.prototype, 'logger');
    Ranker(spec)(Sample);
    expect(Object.keys(componentOf(Sample).needs)).toEqual([loggerToken.id]);
    const host = createTestHost();
    const instance = await host.open<Sample>(componentOf(Sample), { name: 'mine' });
    expect([instance.name, instance.opened]).toEqual(['mine', true]);
    expect(host.logs.map((line) => line.message)).toEqual(['ready']);
    expect([...instance.rank(rankedList([7, 8], [2, 1]))]).toEqual([0, 1]);
  });

  it('learns through a static fit, with its services at hand', async () => {
    class Counting {
      static readonly start = 100;
      static fit(context: { readonly history: { readonly eventCount: number }; readonly deps: Readonly<Record<string, unknown>> }) {
        (context.deps[metricsToken.id] as { count(name: string): void }).count('fits');
        return { count: tensor(Float64Array.of(Counting.start, this.start + context.history.eventCount)) };
      }
      readonly state: Readonly<Record<string, { readonly data: ArrayLike<unknown> }>>;
      constructor(state: Readonly<Record<string, { readonly data: ArrayLike<unknown> }>>, _metrics: unknown) {
        this.state = state;
      }
      score(_batch: CandidateBatch, out: Float32Array): void {
        out.fill(Number(this.state['count']?.data[1]));
      }
    }
    parameter(Counting, 0, stateToken);
    parameter(Counting, 1, metricsToken);
    Scorer(spec)(Counting);
    const host = createTestHost();
    const expected = 100 + host.shop.history.eventCount;
    expect([...((await fitComponent(componentOf(Counting), {}, host))['count']?.data ?? [])]).toEqual([100, expected]);
    expect(host.measurements.map((one) => one.name)).toEqual(['fits']);
    const out = new Float32Array(1);
    await (await host.open<Scorer>(componentOf(Counting))).score(candidateBatch({ rows: [[0]] }), out, new AbortController().signal);
    expect(out[0]).toBe(expected);
  });

  it('may provide several contracts, and extend another class', async () => {
    class Base {
      readonly logger: Logger;
      constructor(logger: Logger) {
        this.logger = logger;
      }
      filter(): void {
        this.logger.info('filtered');
      }
    }
    parameter(Base, 0, loggerToken);
    class Both extends Base {
      removalReasons = ['never'];
      score(): void {
        this.logger.info('scored');
      }
    }
    Component(['filter', 'scorer'], spec)(Both);
    expect(componentOf(Both).provides).toEqual(['filter', 'scorer']);
    const host = createTestHost();
    const both = await host.open<Both>(componentOf(Both));
    both.filter();
    both.score();
    expect(host.logs.map((line) => line.message)).toEqual(['filtered', 'scored']);
    // A class that extends a component is none itself until it is decorated.
    class Third extends Both {}
    expect(() => componentOf(Third)).toThrow(expect.objectContaining({ code: 'RECLOOM_PLG_INVALID' }));
  });

  it('keeps classes apart', async () => {
    const make = (id: string) => {
      class Same {
        readonly removalReasons = [id];
        filter(): void {}
      }
      CandidateFilter({ ...spec, id })(Same);
      return componentOf(Same);
    };
    const [one, other] = [make('one'), make('other')];
    expect([one.id, other.id]).toEqual(['one', 'other']);
    expect((await openComponent<CandidateFilter>(one)).removalReasons).toEqual(['one']);
  });
});

describe('mistakes', () => {
  it('a constructor parameter without a token is found when the class is defined', () => {
    class Half {
      readonly parts: readonly unknown[];
      constructor(first: unknown, second: unknown) {
        this.parts = [first, second];
      }
      score(): void {}
    }
    parameter(Half, 0, loggerToken);
    expect(() => Scorer(spec)(Half)).toThrow(/Half.*parameter 2.*@inject/);
  });

  it('standard decorators are refused with the setting that is missing', () => {
    const standard = inject(loggerToken) as unknown as (value: undefined, context: object) => void;
    expect(() => standard(undefined, { kind: 'field', name: 'logger' })).toThrow(/experimentalDecorators/);
  });

  it('a class without a decorator is named', () => {
    class Plain {
      score(): void {}
    }
    expect(() => componentOf(Plain)).toThrow(/Plain/);
  });
});

describeConformance(definePlugin({ apiVersion: 1, id: 'decorated', components: [componentOf(RowScorer)] }));
