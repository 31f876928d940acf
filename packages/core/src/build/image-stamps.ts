import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { imageReaderToken } from '@recloom/plugin-api';
import { hashOf } from '../canonical-json.js';
import type { Dataset } from '../data/dataset.js';
import { takesImages } from '../pipeline/extraction.js';
import type { Plan, PlannedNode } from '../pipeline/plan.js';

/** Files asked about at once. */
const width = 64;

/**
 * What tells whether the pictures a component reads are still the same: which of them may be read, and size and time of change of
 * those that are files. The references alone do not tell when a file was replaced. Undefined for a component that reads none.
 */
export async function imageStamps(node: PlannedNode, plan: Plan, dataset: Dataset): Promise<string | undefined> {
  if (!Object.values(node.definition.needs).some((token) => token.id === imageReaderToken.id)) return undefined;
  const { directories, hosts } = plan.loaded.config.images;
  const references = new Set<string>();
  for (const [input, { entries }] of node.inputs) {
    const spec = node.definition.inputs[input];
    if (spec === undefined || !takesImages(spec, node.definition.capabilities.modality)) continue;
    for (const entry of entries) {
      const column = entry.kind === 'item-field' ? dataset.items.column(entry.field) : undefined;
      if (column?.type !== 'image' && column?.type !== 'text') continue;
      for (const value of column.values) if (value !== null && isPath(value)) references.add(value);
    }
  }
  const files = [...references].sort();
  const stamps: string[] = [];
  for (let start = 0; start < files.length; start += width) {
    stamps.push(...(await Promise.all(files.slice(start, start + width).map((file) => stampOf(resolve(plan.loaded.directory, file))))));
  }
  return hashOf({ directories, hosts, stamps });
}

/** A file of this machine: no address, and no share of another, which Windows would log in to at a mere look. */
function isPath(reference: string): boolean {
  return !/^(?:[a-z][a-z0-9+.-]+:|[\\/]{2})/i.test(reference);
}

async function stampOf(path: string): Promise<string> {
  try {
    const { size, mtimeMs } = await stat(path);
    return `${size} ${mtimeMs}`;
  } catch {
    return 'missing';
  }
}
