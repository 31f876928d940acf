import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readOnnxFacts } from './onnx-facts.js';
import { dynamicModel, scaleModel, writeOnnx } from './onnx-writer.fixture.js';
import { joinBytes, writeBytes, writeNumber, writeText } from './protobuf.js';

describe('facts of an ONNX file', () => {
  it('finds dynamic quantisation and external data, and neither where there is none', () => {
    expect(readOnnxFacts(writeOnnx(scaleModel))).toEqual({
      inputs: [{ name: 'x', type: 'float32', dims: ['rows', 3] }],
      optionalInputs: [],
      outputs: [{ name: 'y', type: 'float32', dims: ['rows', 3] }],
      irVersion: 8,
      operatorSets: new Map([['', 17]]),
      domains: [],
      precompiled: false,
      externalData: [],
      batchDependent: false,
    });
    expect(readOnnxFacts(writeOnnx(dynamicModel)).batchDependent).toBe(true);
    const tensor = (name: string, externalLocation: string) => ({ name, dims: [3], values: new Float32Array(0), externalLocation });
    const external = writeOnnx({ ...scaleModel, initializers: [tensor('w', 'b.bin'), tensor('v', 'a.bin'), tensor('u', 'b.bin')] });
    expect(readOnnxFacts(external).externalData).toEqual(['a.bin', 'b.bin']);
  });

  it('refuses a field whose number other readers would take for that of external data', () => {
    const entry = joinBytes([writeText(1, 'location'), writeText(2, '../secret.bin')]);
    const model = (tag: readonly number[]): Uint8Array =>
      joinBytes([
        writeNumber(1, 8),
        writeBytes(7, writeBytes(5, joinBytes([writeText(8, 'w'), Uint8Array.from([...tag, entry.length]), entry]))),
      ]);
    // Field 13, length-delimited: 106; in five bytes; and with a bit beyond the 32 that onnxruntime's reader keeps.
    expect(readOnnxFacts(model([0x6a])).externalData).toEqual(['../secret.bin']);
    expect(readOnnxFacts(model([0xea, 0x80, 0x80, 0x80, 0x00])).externalData).toEqual(['../secret.bin']);
    expect(() => readOnnxFacts(model([0xea, 0x80, 0x80, 0x80, 0x10]))).toThrow(RangeError);
  });

  it('refuses what is cut off at any byte that matters, and never fails otherwise than with a RangeError', () => {
    const whole = writeOnnx(scaleModel);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 12 }), (length) => {
        expect(() => readOnnxFacts(whole.subarray(0, length))).toThrow(RangeError);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readOnnxFacts(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});
