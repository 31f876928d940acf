import { dirname } from 'node:path';
import type { PluginDefinition } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { conformanceLaws } from './conformance/kit.js';
import { findPackageDirectory } from './conformance/package-check.js';
import type { ConformanceOptions } from './conformance/subject.js';

/**
 * Registers every law that applies to a plugin as a vitest test: `describeConformance(plugin)`.
 * Compile the plugin first (`tsc -b`): three laws (ALL-04, ALL-05, ALL-11) look at the compiled package. Its folder is found from the test file.
 */
export function describeConformance(plugin: PluginDefinition, options: ConformanceOptions = {}): void {
  const { testPath } = expect.getState();
  const packageDirectory = options.packageDirectory ?? (testPath === undefined ? undefined : findPackageDirectory(dirname(testPath)));
  const bound = conformanceLaws(plugin, packageDirectory === undefined ? options : { ...options, packageDirectory });
  describe(`conformance of ${plugin.id}`, () => {
    for (const component of plugin.components) {
      describe(component.id, () => {
        for (const law of bound.filter((one) => one.component === component.id)) it(`${law.id} ${law.title}`, () => law.run());
      });
    }
  });
}
