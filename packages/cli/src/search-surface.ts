import type { Pipeline, RecommendRequest } from '@recloom/core';
import { RecloomError, recloomError } from '@recloom/plugin-api';
import { hostOptions } from './command.js';
import type { CliIo } from './io.js';

/**
 * Sees to it that words and pictures go to a surface that is made for them: `search`, the config's only surface when it `needs`
 * text or a picture, or whatever the request names. A start page would answer with a start page, as if it had searched.
 *
 * @param config path of the config that the pipeline was opened from
 * @throws RECLOOM_RUN_UNKNOWN_SURFACE with how to come by a search
 */
export async function checkSearchSurface(pipeline: Pipeline, request: RecommendRequest, config: string, io: CliIo): Promise<void> {
  if (request.surface !== undefined || (request.text === undefined && request.image === undefined)) return;
  const { surfaces } = pipeline;
  if (surfaces.includes('search')) return;
  if (surfaces.length === 1) {
    const { loadConfig } = await import('@recloom/core');
    const { env } = hostOptions(io);
    const { config: loaded } = await loadConfig(config, { env: env as NodeJS.ProcessEnv });
    const needs = loaded.surfaces[surfaces[0] as string]?.needs ?? [];
    if (needs.includes('text') || needs.includes('image')) return;
  }
  const { code, message } = recloomError('RECLOOM_RUN_UNKNOWN_SURFACE', { surface: 'search', available: surfaces.join(', ') });
  throw new RecloomError({
    code,
    message,
    hint: 'Add one: `base: recloom:search`, which may stand in a list beside other bases, or `base: recloom:shop`, which has all of them. To ask another surface, name it with --surface.',
  });
}
