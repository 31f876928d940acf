import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Plugin packages on disk: `careful` does everything right; the others each have one fault. */
export type SamplePackage = 'careful' | 'eager' | 'careless' | 'patching';

const pluginApi = import.meta.resolve('@recloom/plugin-api');

/** A scorer whose `create` needs the library `heavy-library`. */
function entryOf(kind: SamplePackage): string {
  const create =
    kind === 'careless'
      ? `await import('heavy-library');`
      : `await importLibrary('heavy-library', '1.2.3', () => import('heavy-library'));`;
  return `
import { importLibrary } from ${JSON.stringify(pluginApi)};
${kind === 'eager' ? `try { await import('heavy-library'); } catch {}` : ''}
${kind === 'patching' ? 'globalThis.zzRecloomTestingGlobal = 1;' : ''}
const options = { '~standard': { version: 1, vendor: 'x', validate: (value) => ({ value }), jsonSchema: { input: () => ({ type: 'object' }) } } };
const scorer = {
  id: 'scorer', summary: '', provides: ['scorer'], options, needs: {}, inputs: {}, reads: [], capabilities: {}, stateVersion: 1,
  async create() { ${create} return { score() {} }; },
};
export default { apiVersion: 1, id: 'sample', components: [scorer], errors: [] };
`;
}

/** Writes the packages into a new temporary folder and returns the folder of each; remove `root` afterwards. */
export function writeSamplePackages(): { readonly root: string; directoryOf(kind: SamplePackage): string } {
  const root = mkdtempSync(join(tmpdir(), 'recloom-testing-'));
  for (const kind of ['careful', 'eager', 'careless', 'patching'] as const) {
    const directory = join(root, kind);
    const library = join(directory, 'node_modules', 'heavy-library');
    mkdirSync(library, { recursive: true });
    writeFileSync(
      join(library, 'package.json'),
      JSON.stringify({ name: 'heavy-library', version: '1.2.3', type: 'module', exports: './index.js' }),
    );
    writeFileSync(join(library, 'index.js'), 'export const heavy = true;\n');
    writeFileSync(
      join(directory, 'package.json'),
      JSON.stringify({ name: `recloom-plugin-${kind}`, type: 'module', exports: './index.js', dependencies: { 'heavy-library': '1.2.3' } }),
    );
    writeFileSync(join(directory, 'index.js'), entryOf(kind));
  }
  return { root, directoryOf: (kind) => join(root, kind) };
}
