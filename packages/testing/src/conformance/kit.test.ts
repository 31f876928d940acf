import { rmSync } from 'node:fs';
import { type ComponentDefinition, definePlugin, type PluginDefinition } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenTwins } from '../broken/broken-plugins.js';
import {
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
import { type SamplePackage, writeSamplePackages } from '../broken/packages.js';
import { bindLaws, type ConformanceReport, conformanceLaws, laws, runBoundLaws } from './kit.js';
import { PackageInspector } from './package-check.js';
import type { ConformanceOptions } from './subject.js';

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
    const healthy = [
      scorerWith(),
      sourceWith(),
      filterWith(),
      itemFilterWith(),
      rankerWith(),
      extractorWith(),
      privacyWith(),
      dataWith(),
      effectWith(),
    ];
    const kept = new Set<string>();
    for (const component of healthy) {
      const report = await check(component);
      expect(report.broken, component.id).toEqual([]);
      for (const entry of report.kept) kept.add(entry.split(' ')[1] ?? '');
    }
    expect([...kept].sort()).toEqual(laws.map((law) => law.id).sort());
  });
});

describe('a broken twin for every law', () => {
  const twins = brokenTwins();

  it('there is exactly one', () => {
    expect(twins.map((twin) => twin.law).sort()).toEqual(laws.map((law) => law.id).sort());
    expect(new Set(laws.map((law) => law.id)).size).toBe(laws.length);
  });

  it.each(twins.map((twin) => [twin.law, twin.fault, twin] as const))('%s fails: %s', async (law, _fault, twin) => {
    const { broken } = await check(twin.component, twin.package, twin.fixture && { fixtures: { [twin.component.id]: twin.fixture } });
    const found = broken.map((one) => one.id).sort();
    expect(found, broken.map((one) => `${one.id}: ${one.message}`).join('\n')).toEqual([law, ...(twin.implies ?? [])].sort());
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
