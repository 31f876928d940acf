import { rmSync } from 'node:fs';
import { type ComponentDefinition, definePlugin, type PluginDefinition } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fusedFixture } from '../broken/broken-models.js';
import { brokenTwins } from '../broken/broken-plugins.js';
import {
  contextFilterWith,
  dataWith,
  effectWith,
  extractorWith,
  filterWith,
  itemFilterWith,
  privacyWith,
  rankerWith,
  scorerWith,
  sourceWith,
} from '../broken/healthy.js';
import { fusedExtractorWith, modelFixture, modelScorerWith, pictureExtractorWith } from '../broken/healthy-models.js';
import { type SamplePackage, writeSamplePackages } from '../broken/packages.js';
import { bindLaws, type ConformanceReport, conformanceLaws, laws, runBoundLaws } from './kit.js';
import { PackageInspector } from './package-check.js';
import {
  type ComponentFixture,
  type ConformanceOptions,
  createSubject,
  mixedRequests,
  type RequestFixture,
  sampleRequests,
} from './subject.js';

let packages: ReturnType<typeof writeSamplePackages>;
const inspectors = new Map<SamplePackage, PackageInspector>();
beforeAll(() => {
  packages = writeSamplePackages();
});
afterAll(() => {
  rmSync(packages.root, { recursive: true, force: true });
});

const pluginOf = (...components: PluginDefinition['components']): PluginDefinition =>
  definePlugin({ apiVersion: 1, id: 'sample', components });

/** All laws, with one look at each package on disk for all twins. The scorer is what those packages hold. */
function check(
  component: ComponentDefinition,
  kind: SamplePackage = 'careful',
  options: ConformanceOptions = {},
): Promise<ConformanceReport> {
  const inspector = inspectors.get(kind) ?? new PackageInspector(pluginOf(scorerWith()), { packageDirectory: packages.directoryOf(kind) });
  inspectors.set(kind, inspector);
  return runBoundLaws(bindLaws(pluginOf(component), options, inspector));
}

describe('a healthy plugin', () => {
  it('keeps every law', async () => {
    const healthy: readonly (readonly [ComponentDefinition, ComponentFixture?])[] = [
      [scorerWith()],
      [sourceWith()],
      [filterWith()],
      [itemFilterWith()],
      [rankerWith()],
      [extractorWith()],
      [pictureExtractorWith(), modelFixture()],
      [fusedExtractorWith(), fusedFixture()],
      [modelScorerWith(), modelFixture()],
      [privacyWith()],
      [dataWith()],
      [effectWith()],
    ];
    const kept = new Set<string>();
    for (const [component, fixture] of healthy) {
      const report = await check(component, 'careful', fixture && { fixtures: { [component.id]: fixture } });
      expect(report.broken, component.id).toEqual([]);
      for (const entry of report.kept) kept.add(entry.split(' ')[1] ?? '');
    }
    expect([...kept].sort()).toEqual(laws.map((law) => law.id).sort());
  });
});

describe('the request of a fixture', () => {
  const fixture = { inputs: { price: 'item.price' }, request: { context: { maximumPrice: 5 } } };

  it('gives a filter that acts on the context something to do', async () => {
    const { broken } = await check(contextFilterWith(), 'careful', { fixtures: { 'context-filter': fixture } });
    expect(broken).toEqual([]);
  });

  it('reaches every sample request, and leaves who asks and what the kit brings as it is', () => {
    const definition = contextFilterWith();
    const subjectOf = (request?: RequestFixture) =>
      createSubject(pluginOf(definition), definition, {
        fixtures: { 'context-filter': { inputs: fixture.inputs, ...(request === undefined ? {} : { request }) } },
      });
    const bare = sampleRequests(subjectOf());
    const merged = sampleRequests(subjectOf({ context: { maximumPrice: 5 }, items: [7], limit: 3 }));
    expect(bare.map(({ context }) => context)).toEqual([{}, {}, { country: 'France' }, {}, {}]);
    expect(merged.map(({ context }) => context)).toEqual([
      { maximumPrice: 5 },
      { maximumPrice: 5 },
      { country: 'France', maximumPrice: 5 },
      { maximumPrice: 5 },
      { maximumPrice: 5 },
    ]);
    for (const [index, request] of merged.entries()) {
      expect(request).toMatchObject({ userRow: bare[index]?.userRow, history: bare[index]?.history, text: bare[index]?.text, limit: 3 });
      expect([...request.items]).toEqual([7]);
    }
    // Every other one without: a batch in which the first request's context would be seen in its neighbours.
    const mixed = mixedRequests(subjectOf({ context: { maximumPrice: 5 } }));
    expect(mixed.map(({ context }) => context['maximumPrice'])).toEqual([5, undefined, 5, undefined, 5]);
    expect(mixed.map(({ seed }) => seed)).toEqual(bare.map(({ seed }) => seed));
  });
});

describe('a broken twin for every law', () => {
  const twins = brokenTwins();

  it('there is at least one, and none for a law that is not there', () => {
    expect([...new Set(twins.map((twin) => twin.law))].sort()).toEqual(laws.map((law) => law.id).sort());
    expect(new Set(laws.map((law) => law.id)).size).toBe(laws.length);
  });

  it.each(twins.map((twin) => [twin.law, twin.fault, twin] as const))('%s fails: %s', async (law, _fault, twin) => {
    const { broken } = await check(twin.component, twin.package, twin.fixture && { fixtures: { [twin.component.id]: twin.fixture } });
    const found = broken.map((one) => one.id).sort();
    expect(found, broken.map((one) => `${one.id}: ${one.message}`).join('\n')).toEqual([law, ...(twin.implies ?? [])].sort());
    if (twin.message !== undefined) expect(broken.find((one) => one.id === law)?.message).toContain(twin.message);
  });
});

describe('conformanceLaws', () => {
  it('binds only what the component publishes', () => {
    const bound = conformanceLaws(pluginOf(rankerWith()));
    expect(bound.map((law) => law.id).filter((id) => !id.startsWith('ALL'))).toEqual(['RNK-01', 'RNK-02', 'RNK-03']);
  });

  it('refuses a fixture for a component that is not there', () => {
    expect(() => conformanceLaws(pluginOf(rankerWith()), { fixtures: { rankr: {} } })).toThrow(/rankr/);
  });
});
