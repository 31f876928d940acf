import { recloomError } from '@recloom/plugin-api';
import type { Command } from 'commander';
import { addCommand, type CommandCall, type CommandHost, hostOptions, takeOnlyConfig } from '../command.js';
import { type RequestOptions, requestOf, requestOptions } from '../request-options.js';
import { checkSearchSurface } from '../search-surface.js';

/** `recloom recommend [config]`. */
export function registerRecommend(program: Command, host: CommandHost): void {
  addCommand<RequestOptions>(program, host, {
    usage: 'recommend [config]',
    summary: 'ask the published snapshot for recommendations',
    detail:
      'For a user, a guest with a session, the item of a page, or nobody at all. What is known about a user is read only when --purpose grants it.',
    examples: [
      ['recloom recommend --user 17850 --purpose personalisation --explain', 'for a customer who agreed, with reasons'],
      ['recloom recommend --session 22423:view,85123A:view --limit 5', 'for a guest who looked at two items'],
      ['recloom recommend --item 85123A --surface together', 'what is bought together with an item'],
      ['recloom recommend --filter "item.price < 5.0" --attributes price --json', 'under a condition, for a machine'],
    ],
    configure: (command) => requestOptions(command),
    run: async (call) => answer(call, takeOnlyConfig(call), call.options.text !== undefined || call.options.image !== undefined),
  });
}

/** Opens the pipeline, asks once, prints. */
export async function answer(call: CommandCall<RequestOptions>, config: string, isSearch: boolean): Promise<void> {
  const [{ openPipeline }, { answerLines }] = await Promise.all([import('@recloom/core'), import('../render/answer.js')]);
  const { snapshot } = call.options;
  await checkLimit(call, config);
  const pipeline = await openPipeline(config, {
    ...hostOptions(call.io),
    signal: call.io.signal,
    ...(snapshot === undefined ? {} : { snapshot }),
  });
  try {
    const request = requestOf(call);
    await checkSearchSurface(pipeline, request, config, call.io);
    const result = isSearch ? await pipeline.search(request) : await pipeline.recommend(request);
    if (call.json) {
      call.printJson({ ...result, warnings: [...pipeline.warnings, ...result.warnings] });
      return;
    }
    const shown = { ...result, warnings: [...pipeline.warnings, ...result.warnings] };
    call.print(answerLines(shown, request, pipeline, call.style));
  } finally {
    await pipeline.close();
  }
}

/** Refuses, before models are loaded, what no surface of the config answers. @throws RECLOOM_RUN_LIMIT, RECLOOM_CFG_* */
async function checkLimit({ options, io }: CommandCall<RequestOptions>, config: string): Promise<void> {
  const { limit, surface } = options;
  if (limit === undefined) return;
  const { loadConfig } = await import('@recloom/core');
  const { config: loaded } = await loadConfig(config, { env: io.env as NodeJS.ProcessEnv });
  const named = surface === undefined ? undefined : loaded.surfaces[surface];
  const maximum = Math.max(...(named === undefined ? Object.values(loaded.surfaces) : [named]).map(({ limits }) => limits.items));
  if (limit > maximum) throw recloomError('RECLOOM_RUN_LIMIT', { found: String(limit), maximum });
}
