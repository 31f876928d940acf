// Puts the plugin template into the CLI's package, so that `recloom plugins new` works from an installed CLI. Run by `npm pack`.
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../../plugins/_template', import.meta.url));
const target = fileURLToPath(new URL('../template', import.meta.url));
rmSync(target, { recursive: true, force: true });
cpSync(source, target, { recursive: true, filter: (path) => !/[\\/](dist|node_modules)$/.test(path) });
