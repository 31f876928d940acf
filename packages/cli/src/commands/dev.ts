import type { Answer, AnswerItem, Pipeline, RecommendRequest } from '@recloom/core';
import type { Command } from 'commander';
import { addCommand, type CommandCall, type CommandHost, hostOptions, numberOption, takeOnlyConfig } from '../command.js';
import { exitCodes } from '../exit-codes.js';
import { formatCountOf, formatDuration } from '../render/format.js';
import { reportError } from '../report-error.js';
import { type RequestOptions, requestOf, requestOptions } from '../request-options.js';
import { checkSearchSurface } from '../search-surface.js';

interface DevCommandOptions extends RequestOptions {
  readonly once?: boolean;
  readonly interval: number;
}

/** `recloom dev [config]`. */
export function registerDev(program: Command, host: CommandHost): void {
  addCommand<DevCommandOptions>(program, host, {
    usage: 'dev [config]',
    summary: 'rebuild and ask again whenever the config or the data change',
    detail:
      'Watches the config, its bases and the files its data name. Components whose inputs did not change are kept, so a rebuild takes as long as what you edited. A mistake is shown, and what the last good snapshot answers. With --json: one line per round.',
    examples: [
      ['recloom dev --user 17850 --purpose personalisation --explain', 'see what an edit does to one customer'],
      ['recloom dev --once --item 85123A --json', 'one round, for a script'],
    ],
    configure: (command) => {
      requestOptions(command);
      command.option('--once', 'one round, without watching');
      command.option('--interval <ms>', 'milliseconds between two looks at the files', numberOption, 400);
    },
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { FileWatch, watchedFiles } = await import('../file-watch.js');
      const session = new DevSession(call, config);
      try {
        const watch = new FileWatch();
        for (;;) {
          await watch.look(await watchedFiles(config, hostOptions(call.io)));
          const exitCode = await session.round();
          if (call.options.once === true) return exitCode;
          if (!call.json) call.print(call.style.dim(`  watching ${formatCountOf(watch.fileCount, 'file')} · Ctrl-C ends`));
          const changed = await watch.change(call.options.interval, call.io.signal);
          if (changed === undefined) return exitCodes.ok;
          if (!call.json) call.print(['', call.style.bold(`${changed} changed`)]);
        }
      } finally {
        await session.close();
      }
    },
  });
}

/** The rounds of one call: the open pipeline and what it answered last. */
class DevSession {
  readonly #call: CommandCall<DevCommandOptions>;
  readonly #config: string;
  #pipeline: Pipeline | undefined;
  #before: Answer | undefined;

  constructor(call: CommandCall<DevCommandOptions>, config: string) {
    this.#call = call;
    this.#config = config;
  }

  /** Builds, swaps, asks, prints. Failures are printed, not thrown, unless the command was interrupted. */
  async round(): Promise<number> {
    const { io, json, options, style } = this.#call;
    const [{ buildPipeline, openPipeline }, { createBuildRenderer }, { answerLines }] = await Promise.all([
      import('@recloom/core'),
      import('../build-renderer.js'),
      import('../render/answer.js'),
    ]);
    // The JSON of a round is one line; the steps of its build would be others.
    const renderer = createBuildRenderer(json ? { ...io, stderr: { write: () => true } } : io);
    let isAsked = false;
    try {
      const report = await buildPipeline(this.#config, { ...hostOptions(io), observer: renderer.observer, signal: io.signal });
      renderer.stop();
      if (this.#pipeline === undefined) this.#pipeline = await openPipeline(this.#config, { ...hostOptions(io), signal: io.signal });
      else await this.#pipeline.reload();
      isAsked = true;
      const request = requestOf(this.#call);
      await checkSearchSurface(this.#pipeline, request, this.#config, io);
      const answer = await ask(this.#pipeline, request);
      const changes = changesSince(this.#before, answer);
      this.#before = answer;
      if (json) {
        io.stdout.write(
          `${JSON.stringify({ event: 'round', snapshotId: report.snapshotId, changed: report.changed, milliseconds: report.milliseconds, answer })}\n`,
        );
        return exitCodes.ok;
      }
      const fitted = report.components.filter((component) => !component.reused).map((component) => component.name);
      this.#call.print([
        `  ${style.green(report.snapshotId)}  ${formatDuration(report.milliseconds)}  ${fitted.length === 0 ? 'every component kept' : `fitted ${fitted.join(', ')}`}`,
        '',
        ...answerLines(answer, request, this.#pipeline, style, changes?.marks),
        ...(changes === undefined || changes.gone.length === 0 ? [] : [style.dim(`  no longer shown: ${changes.gone.join(', ')}`)]),
      ]);
      return exitCodes.ok;
    } catch (error) {
      renderer.stop();
      if (io.signal.aborted) throw error;
      const exitCode = await reportError(error, io, { json, debug: options.debug === true });
      if (!isAsked && !json) await this.#askLast();
      return exitCode;
    }
  }

  /** After a failed build: what the last good snapshot, which is still open, answers. */
  async #askLast(): Promise<void> {
    const { style } = this.#call;
    if (this.#pipeline === undefined) return;
    const { answerLines } = await import('../render/answer.js');
    const request = requestOf(this.#call);
    const answer = await ask(this.#pipeline, request);
    this.#call.print([
      '',
      style.dim('  The last good snapshot goes on answering:'),
      '',
      ...answerLines(answer, request, this.#pipeline, style),
    ]);
  }

  async close(): Promise<void> {
    await this.#pipeline?.close();
  }
}

function ask(pipeline: Pipeline, request: RecommendRequest): Promise<Answer> {
  return request.text !== undefined || request.image !== undefined ? pipeline.search(request) : pipeline.recommend(request);
}

/** What an edit did: by place `new`, `↑2`, `↓1` or nothing, and the ids that are no longer there. */
function changesSince(
  before: Answer | undefined,
  after: Answer,
): { readonly marks: readonly string[]; readonly gone: readonly string[] } | undefined {
  if (before === undefined) return undefined;
  const places = new Map(before.items.map((item: AnswerItem, place) => [item.id, place]));
  const marks = after.items.map((item, place) => {
    const earlier = places.get(item.id);
    if (earlier === undefined) return 'new';
    return earlier === place ? '' : earlier > place ? `↑${earlier - place}` : `↓${place - earlier}`;
  });
  const shown = new Set(after.items.map((item) => item.id));
  return { marks, gone: before.items.map((item) => item.id).filter((id) => !shown.has(id)) };
}
