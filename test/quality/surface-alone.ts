// A config with one page alone, so that what other pages need is not fitted. Used by ranker.ts and measure.ts.
import { basename, dirname } from 'node:path';
import { loadConfig } from '@recloom/core';

/** A config object over `file`, to be opened with the file's folder as its directory. @throws Error when there is no such surface */
export async function surfaceAlone(
  file: string,
  surface: string,
): Promise<{ readonly config: Record<string, unknown>; readonly components: readonly string[]; readonly directory: string }> {
  const { config } = await loadConfig(file);
  const wanted = config.surfaces[surface];
  if (wanted === undefined) throw new Error(`${file} has no surface "${surface}"`);
  const used = new Set<string>();
  const use = (name: string): void => {
    if (used.has(name) || !Object.hasOwn(config.components, name)) return;
    used.add(name);
    for (const input of Object.values(config.components[name]?.in ?? {}).flat()) use(input);
  };
  for (const name of Object.keys(wanted.sources)) use(name);
  for (const { name } of [...wanted.filters, ...wanted.features, ...wanted.scorers, ...wanted.rankers, ...wanted.privacy]) use(name);
  const none = (names: readonly string[]): Record<string, null> => Object.fromEntries(names.map((name) => [name, null]));
  return {
    config: {
      base: `./${basename(file)}`,
      components: none(Object.keys(config.components).filter((name) => !used.has(name))),
      surfaces: none(Object.keys(config.surfaces).filter((name) => name !== surface)),
    },
    components: [...used],
    directory: dirname(file),
  };
}
