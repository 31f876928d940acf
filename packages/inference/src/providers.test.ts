import { describe, expect, it } from 'vitest';
import { expandDevices } from './providers.js';

describe('devices', () => {
  it('auto ends with the CPU on every platform, and each device is tried once', () => {
    expect(expandDevices(['auto'], 'linux')).toEqual(['cuda', 'cpu']);
    expect(expandDevices(['auto'], 'win32')).toEqual(['dml', 'cpu']);
    expect(expandDevices(['auto'], 'darwin')).toEqual(['coreml', 'cpu']);
    expect(expandDevices(['webgpu', 'auto', 'cpu', 'cuda'], 'linux')).toEqual(['webgpu', 'cuda', 'cpu']);
  });
});
