import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readOnnxFacts } from './onnx-facts.js';
import { dynamicModel, scaleModel, writeOnnx } from './onnx-writer.fixture.js';

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
