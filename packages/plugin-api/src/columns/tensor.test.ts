import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { isRecloomError } from '../errors/recloom-error.js';
import { type ComponentState, jsonTensor, readJsonTensor, readTensor, tensor } from './tensor.js';

function failure(work: () => unknown): { code: string; message: string } {
  try {
    work();
  } catch (error) {
    if (isRecloomError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('readTensor', () => {
  const rates = Float32Array.of(0.5, 0.25);
  const state: ComponentState = { rates: tensor(rates), counts: tensor(Int32Array.of(3)), labels: jsonTensor(['a']) };

  it('gives the very data, typed', () => {
    const read: Float32Array = readTensor(state, 'rates', Float32Array);
    expect(read).toBe(rates);
    expect(readTensor(state, 'counts', Int32Array)).toEqual(Int32Array.of(3));
    expect(readTensor({ times: tensor(BigInt64Array.of(7n)) }, 'times', BigInt64Array)[0]).toBe(7n);
  });

  it('names a tensor that is not there, also one that every object inherits', () => {
    for (const name of ['rate', 'constructor', '__proto__'])
      expect(failure(() => readTensor(state, name, Float32Array))).toEqual({
        code: 'RECLOOM_DAT_STATE_TENSOR',
        message: `The state has no tensor "${name}"; a Float32Array was expected.`,
      });
  });

  it('says what it found instead', () => {
    expect(failure(() => readTensor(state, 'counts', Float32Array))).toEqual({
      code: 'RECLOOM_DAT_STATE_TENSOR',
      message: 'The tensor "counts" of the state is a Int32Array, not a Float32Array.',
    });
    // The same width of element is not the same type.
    expect(failure(() => readTensor(state, 'labels', Int8Array)).message).toContain('is a Uint8Array, not a Int8Array');
  });

  it('knows the arrays of another realm', () => {
    const foreign = runInNewContext('Float32Array.of(1, 2)') as Float32Array;
    expect(foreign instanceof Float32Array).toBe(false);
    expect([...readTensor({ rates: tensor(foreign) }, 'rates', Float32Array)]).toEqual([1, 2]);
  });
});

describe('jsonTensor', () => {
  it('is read back, and undefined when it is not there', () => {
    expect(readJsonTensor(jsonTensor({ b: [1, null], a: 'ü' }))).toEqual({ b: [1, null], a: 'ü' });
    expect(readJsonTensor(undefined)).toBeUndefined();
  });
});
