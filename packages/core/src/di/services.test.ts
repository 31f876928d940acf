import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Inference, inferenceToken, type Logger, loggerToken, type Metrics, metricsToken } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ServiceContainer } from './container.js';
import { defaultServices, type ServiceSettings } from './services.js';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'recloom-services-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** y = Identity(x), float32 [rows], written by hand (field numbers of onnx.proto). */
function identityModel(): Uint8Array {
  const field = (number: number, bytes: readonly number[]): number[] => [(number << 3) | 2, bytes.length, ...bytes];
  const text = (number: number, value: string): number[] => field(number, [...new TextEncoder().encode(value)]);
  const shape = field(2, field(1, text(2, 'rows')));
  const value = (number: number, name: string): number[] => field(number, [...text(1, name), ...field(2, field(1, [8, 1, ...shape]))]);
  const node = field(1, [...text(1, 'x'), ...text(2, 'y'), ...text(4, 'Identity')]);
  const graph = [...node, ...text(2, 'tiny'), ...value(11, 'x'), ...value(12, 'y')];
  return Uint8Array.from([8, 8, ...field(7, graph), ...field(8, [...text(1, ''), 16, 17])]);
}

/** Child processes of this one. */
function children(): number[] {
  return readdirSync('/proc/self/task').flatMap((thread) => {
    const list = readFileSync(`/proc/self/task/${thread}/children`, 'utf8').trim();
    return list === '' ? [] : list.split(' ').map(Number);
  });
}

describe('the default inference service', () => {
  it.skipIf(process.platform !== 'linux')('tells the host’s metrics of its runs, and the host’s logger of a worker that died', async () => {
    const told = new Map<string, { value: number; labels: Readonly<Record<string, string>> | undefined }>();
    const note: Metrics['observe'] = (name, value, labels) => void told.set(name, { value, labels });
    const metrics: Metrics = { count: (name, value = 1, labels) => note(name, value, labels), observe: note };
    const warned: string[] = [];
    const nothing = (): void => undefined;
    const logger: Logger = { debug: nothing, info: nothing, warn: (message) => void warned.push(message), error: nothing };
    const settings: ServiceSettings = {
      directory,
      cacheDirectory: directory,
      modelCache: undefined,
      allowDownload: false,
      threads: undefined,
      inference: { isolation: 'process', workers: 1, queueLimit: undefined },
      images: {} as ServiceSettings['images'],
    };
    const services = new ServiceContainer(defaultServices(settings), [
      [metricsToken, metrics],
      [loggerToken, logger],
    ]);
    const file = join(directory, 'identity.onnx');
    await writeFile(file, identityModel());
    const before = new Set(children());
    const inference = await services.get<Inference>(inferenceToken.id);
    const session = await inference.load({ file, device: 'cpu' });
    const { y } = await session.run({ x: { type: 'float32', dims: [3], data: Float32Array.of(1, 2, 3) } });
    expect(y?.data).toEqual(Float32Array.of(1, 2, 3));
    const labels = { isolation: 'process' };
    expect(told.get('recloom.inference.runs')).toEqual({ value: 1, labels: { ...labels, provider: 'cpu' } });
    expect(told.get('recloom.inference.run.rows')?.value).toBe(3);
    expect(told.get('recloom.inference.wait.milliseconds')?.value).toBeGreaterThanOrEqual(0);
    expect(told.get('recloom.inference.workers')).toEqual({ value: 1, labels });
    for (const child of children()) if (!before.has(child)) process.kill(child, 'SIGKILL');
    await expect.poll(() => warned).toEqual(['an inference worker died and is replaced']);
    expect(told.get('recloom.inference.deaths')).toEqual({ value: 1, labels });
    await session.close();
    await services.close();
  });
});
