import { open } from 'node:fs/promises';

/**
 * Writes item vectors as a safetensors file: `values` [items, width] float32, `presence` [items] uint8 and `items`, the ids as a
 * UTF-8 JSON array in uint8. Row `r` of each speaks of the same item.
 */
export async function writeFeatureFile(
  path: string,
  ids: readonly string[],
  width: number,
  values: Float32Array,
  presence: Uint8Array,
): Promise<void> {
  const items = new TextEncoder().encode(JSON.stringify(ids));
  const tensors: readonly (readonly [string, string, readonly number[], ArrayBufferView])[] = [
    ['values', 'F32', [ids.length, width], values],
    ['items', 'U8', [items.length], items],
    ['presence', 'U8', [ids.length], presence],
  ];
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, dtype, shape, data] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const head = new Uint8Array(8 + headerBytes).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(text, 8);
  const file = await open(path, 'w');
  try {
    await file.appendFile(head);
    for (const [, , , data] of tensors) {
      // One write takes at most 2 GiB; this writes on until all is there.
      if (data.byteLength > 0) await file.appendFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  } finally {
    await file.close();
  }
}
