import { describe, expect, it } from 'vitest';
import { createExitGate, enterGate, leaveGate, shutGate } from './exit-gate.js';

describe('the exit gate', () => {
  it('lets tasks start until it is shut, and shutting waits for the one under way', () => {
    const gate = createExitGate();
    expect(enterGate(gate)).toBe(true);
    expect(shutGate(gate, 5)).toBe(false);
    leaveGate(gate);
    expect(shutGate(gate, 5)).toBe(true);
    expect(enterGate(gate)).toBe(false);
    expect(shutGate(gate, 5)).toBe(true);
  });
});
