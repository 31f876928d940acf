import { createHash, type Hash } from 'node:crypto';

/** Hex SHA-256 over a value: typed arrays by type and bytes, plain objects by sorted keys; functions are passed over. */
export function digest(value: unknown): string {
  const hash = createHash('sha256');
  add(hash, value, new Set());
  return hash.digest('hex');
}

function add(hash: Hash, value: unknown, path: Set<object>): void {
  if (typeof value === 'function') return;
  if (typeof value !== 'object' || value === null) {
    hash.update(`${typeof value}:${Object.is(value, -0) ? '-0' : String(value)};`);
    return;
  }
  if (path.has(value)) {
    hash.update('loop;');
    return;
  }
  if (ArrayBuffer.isView(value)) {
    hash.update(`${value.constructor.name}:${value.byteLength}:`);
    hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    return;
  }
  path.add(value);
  if (Array.isArray(value)) {
    hash.update(`[${value.length}:`);
    for (const entry of value) add(hash, entry, path);
  } else if (value instanceof Map) {
    add(hash, [...value.entries()], path);
  } else {
    hash.update('{');
    for (const key of Object.keys(value).sort()) {
      hash.update(`${key}=`);
      add(hash, (value as Record<string, unknown>)[key], path);
    }
  }
  path.delete(value);
}
