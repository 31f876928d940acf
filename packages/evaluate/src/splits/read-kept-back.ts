import { dirname, resolve } from 'node:path';
import { type BuildOptions, type ConfigSource, type Dataset, readPipelineData } from '@recloom/core';

/**
 * Reads what somebody kept back, for a `predefined` split: `file` is a data file, read as the config's own events are, or a
 * config (`.yaml`, `.yml`, `.json`) that brings its own data. `file` is relative to the config's folder.
 *
 * @throws RECLOOM_CFG_*, RECLOOM_DAT_*
 */
export async function readKeptBack(config: ConfigSource, file: string, options: BuildOptions = {}): Promise<Dataset> {
  const { directory = typeof config === 'string' ? dirname(resolve(config)) : process.cwd(), ...rest } = options;
  const path = resolve(directory, file);
  if (/\.(ya?ml|json)$/i.test(path)) return readPipelineData(path, rest);
  if (typeof config === 'string')
    return readPipelineData({ format: '1.0', base: resolve(config), data: { events: { with: { path } } } }, { ...rest, directory });
  const data = part(config['data']);
  const events = part(data['events']);
  return readPipelineData(
    { ...config, data: { ...data, events: { ...events, with: { ...part(events['with']), path } } } },
    { ...rest, directory },
  );
}

function part(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
