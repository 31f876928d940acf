import { type ComponentState, tensor } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeSafetensors, encodeSafetensors } from './safetensors.js';

// Written by the reference implementation, safetensors 0.6.2 with numpy 2.4.6 in Python 3:
//   save({"weights": array([[1.5,-2.0,0.25],[3,4,5]], float32), "offsets": array([0,2,3], int32), "text": "häßlich" as uint8,
//         "times": array([1e12,2.5], float64), "big": array([2**53+1,-1], int64), "small": array([-1,2,3], int8),
//         "short": array([-300,300], int16), "empty": zeros((0,4), float32)}, metadata={"format":"np"})
// It also read back whole snapshots that `SnapshotStore` had written (`safe_open` on every file, values compared).
const fromPython =
  'AAIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJucCJ9LCJiaWciOnsiZHR5cGUiOiJJNjQiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOlswLDE2XX0sInRpbWVzIjp7ImR0eXBlIjoiRjY0Iiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpbMTYsMzJdfSwiZW1wdHkiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzAsNF0sImRhdGFfb2Zmc2V0cyI6WzMyLDMyXX0sIndlaWdodHMiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzIsM10sImRhdGFfb2Zmc2V0cyI6WzMyLDU2XX0sIm9mZnNldHMiOnsiZHR5cGUiOiJJMzIiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOls1Niw2OF19LCJzaG9ydCI6eyJkdHlwZSI6IkkxNiIsInNoYXBlIjpbMl0sImRhdGFfb2Zmc2V0cyI6WzY4LDcyXX0sInNtYWxsIjp7ImR0eXBlIjoiSTgiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOls3Miw3NV19LCJ0ZXh0Ijp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzldLCJkYXRhX29mZnNldHMiOls3NSw4NF19fSAgICAgIAEAAAAAACAA//////////8AAACilBptQgAAAAAAAARAAADAPwAAAMAAAIA+AABAQAAAgEAAAKBAAAAAAAIAAAADAAAA1P4sAf8CA2jDpMOfbGljaA==';

const sameTensors: ComponentState = {
  weights: tensor(Float32Array.of(1.5, -2, 0.25, 3, 4, 5), [2, 3]),
  offsets: tensor(Int32Array.of(0, 2, 3)),
  text: tensor(new TextEncoder().encode('häßlich')),
  times: tensor(Float64Array.of(1e12, 2.5)),
  big: tensor(BigInt64Array.of(9007199254740993n, -1n)),
  small: tensor(Int8Array.of(-1, 2, 3)),
  short: tensor(Int16Array.of(-300, 300)),
  empty: tensor(new Float32Array(0), [0, 4]),
};

function encode(tensors: ComponentState, metadata?: Record<string, string>): Uint8Array {
  return new Uint8Array(Buffer.concat(encodeSafetensors(tensors, metadata)));
}

function fileOf(header: string, data = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(header);
  const head = new Uint8Array(8);
  new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
  return new Uint8Array(Buffer.concat([head, json, data]));
}

describe('safetensors', () => {
  test('writes the very bytes that Python writes', () => {
    expect(Buffer.from(encode(sameTensors, { format: 'np' })).toString('base64')).toBe(fromPython);
  });

  test('reads what Python wrote', () => {
    const { tensors, metadata } = decodeSafetensors(new Uint8Array(Buffer.from(fromPython, 'base64')));
    expect(tensors).toEqual(sameTensors);
    expect(metadata).toEqual({ format: 'np' });
  });

  test('the order in which tensors are given does not matter', () => {
    const reversed = Object.fromEntries(Object.entries(sameTensors).reverse());
    expect(encode(reversed)).toEqual(encode(sameTensors));
  });

  test('reads back what it wrote, whatever the types, sizes and names', () => {
    const data = fc.oneof(
      fc.float32Array({ maxLength: 9 }),
      fc.float64Array({ maxLength: 9 }),
      fc.int8Array({ maxLength: 9 }),
      fc.uint8Array({ maxLength: 9 }),
      fc.int16Array({ maxLength: 9 }),
      fc.int32Array({ maxLength: 9 }),
      fc.bigInt64Array({ maxLength: 9 }),
    );
    const name = fc
      .oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor', '', 'a.b'))
      .filter((text) => text !== '__metadata__');
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, data), { selector: ([key]) => key, maxLength: 6 }), (entries) => {
        const tensors = Object.fromEntries(entries.map(([key, values]): [string, ComponentState[string]] => [key, tensor(values)]));
        const bytes = encode(tensors);
        const found = decodeSafetensors(bytes).tensors;
        expect(Object.keys(found).sort()).toEqual(Object.keys(tensors).sort());
        for (const [key, values] of entries) expect(found[key]).toEqual(tensor(values));
      }),
      { numRuns: 80 },
    );
  });

  test('data are views of the bytes, in any position of a larger buffer', () => {
    const bytes = encode(sameTensors);
    expect(decodeSafetensors(bytes).tensors['weights']?.data.buffer).toBe(bytes.buffer);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeSafetensors(shifted.subarray(3)).tensors).toEqual(sameTensors);
  });

  test('tensors in shared memory are copied, not refused', () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([1, 2]);
    expect(encode({ a: tensor(shared) })).toEqual(encode({ a: tensor(Float32Array.of(1, 2)) }));
  });

  test('a shape that does not fit and a reserved name are refused', () => {
    expect(() => encodeSafetensors({ a: tensor(new Float32Array(5), [2, 3]) })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_LAW_SHAPE' }),
    );
    expect(() => encodeSafetensors({ a: tensor(new Float32Array(6), [-2, -3]) })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_LAW_SHAPE' }),
    );
    expect(() => encodeSafetensors({ __metadata__: tensor(new Float32Array(1)) })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_LAW_SHAPE' }),
    );
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /shorter than its header/],
    ['a header of 2^62 bytes', new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0x40, 0]), /size of the header/],
    ['a header that ends after the file', fileOf('{}').subarray(0, 9), /shorter than its header/],
    ['a header that is no JSON', fileOf('{"a":'), /no JSON/],
    ['a header that is no UTF-8', new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0, 0x22, 0xff, 0x22]), /no JSON/],
    ['a header that is a list', fileOf('[]'), /no JSON object/],
    ['metadata that are no texts', fileOf('{"__metadata__":{"a":1}}'), /metadata/],
    ['an unknown type', fileOf('{"a":{"dtype":"F13","shape":[],"data_offsets":[0,0]}}'), /unsupported/],
    ['a type out of the prototype', fileOf('{"a":{"dtype":"constructor","shape":[],"data_offsets":[0,0]}}'), /unsupported/],
    ['a negative size', fileOf('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}'), /shape/],
    ['no offsets', fileOf('{"a":{"dtype":"U8","shape":[0]}}'), /offsets/],
    ['three offsets', fileOf('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}'), /offsets/],
    ['offsets the wrong way round', fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}', new Uint8Array(1)), /does not fit/],
    ['a shape larger than its bytes', fileOf('{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,1]}}', new Uint8Array(1)), /does not fit/],
    [
      'an overlap',
      fileOf(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
        new Uint8Array(3),
      ),
      /overlaps/,
    ],
    ['a gap', fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', new Uint8Array(2)), /gap/],
    [
      'bytes that belong to no tensor',
      fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(2)),
      /2 bytes of data/,
    ],
    ['data that end early', fileOf('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', new Uint8Array(1)), /1 bytes of data/],
    [
      'a float that is not aligned',
      fileOf(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}',
        new Uint8Array(5),
      ),
      /not aligned/,
    ],
  ])('%s is refused and the file named', (_, bytes, why) => {
    expect(() => decodeSafetensors(bytes, 'x.safetensors')).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SNAPSHOT_CORRUPT', message: expect.stringMatching(why) }),
    );
    expect(() => decodeSafetensors(bytes, 'x.safetensors')).toThrow(/x\.safetensors/);
  });

  test('no mangled header does anything but throw a coded error', () => {
    const bytes = encode(sameTensors);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (place, flip) => {
        const mangled = bytes.slice();
        mangled[place] = (mangled[place] as number) ^ flip;
        try {
          decodeSafetensors(mangled);
        } catch (error) {
          expect(error).toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_CORRUPT' });
        }
      }),
      { numRuns: 300 },
    );
  });
});
