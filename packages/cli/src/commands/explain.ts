import type { Trace } from '@recloom/core';
import type { Command } from 'commander';
import { addCommand, type CommandHost, hostOptions, takeOnlyConfig } from '../command.js';
import { formatCountOf, formatScore } from '../render/format.js';
import type { Style } from '../render/style.js';
import { renderTable } from '../render/table.js';
import { printable, wrap } from '../render/text.js';
import { UsageError } from '../report-error.js';
import { type RequestOptions, requestOf, requestOptions } from '../request-options.js';
import { checkSearchSurface } from '../search-surface.js';

interface ExplainCommandOptions extends RequestOptions {
  readonly target?: string;
}

/** `recloom explain [config] --target ITEM`. */
export function registerExplain(program: Command, host: CommandHost): void {
  addCommand<ExplainCommandOptions>(program, host, {
    usage: 'explain [config]',
    summary: 'follow one item through a request: who proposed it, what it scored, why it is (not) shown',
    examples: [
      ['recloom explain --user 17850 --purpose personalisation --target 85123A', 'why (not) this item for this customer'],
      ['recloom explain --text lantern --target 71053', 'why (not) this item in a search'],
    ],
    configure: (command) => {
      command.requiredOption('--target <item>', 'the item to follow');
      requestOptions(command, ['explain']);
    },
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { target, snapshot, surface, text, image } = call.options;
      if (target === undefined || target === '') throw new UsageError('--target must name an item.');
      const [{ openPipeline }, { ledgerLines, requestWarningLines }] = await Promise.all([
        import('@recloom/core'),
        import('../render/answer.js'),
      ]);
      const pipeline = await openPipeline(config, {
        ...hostOptions(call.io),
        signal: call.io.signal,
        ...(snapshot === undefined ? {} : { snapshot }),
      });
      try {
        const isSearch = surface === undefined && (text !== undefined || image !== undefined) && pipeline.surfaces.includes('search');
        const request = requestOf(call);
        await checkSearchSurface(pipeline, request, config, call.io);
        const trace = await pipeline.explain({ ...request, ...(isSearch ? { surface: 'search' } : {}), target });
        if (call.json) {
          call.printJson(trace);
          return;
        }
        call.print(traceLines(trace, pipeline.title(target), call.style));
        call.print([...ledgerLines(trace.answer, call.style), '', ...requestWarningLines(trace.answer, call.style)]);
      } finally {
        await pipeline.close();
      }
    },
  });
}

function traceLines(trace: Trace, title: string, style: Style): string[] {
  const mark = trace.inAnswer ? style.green('✓') : style.yellow('✗');
  const name = title === trace.item ? printable(trace.item) : `${printable(trace.item)} ${printable(title)}`;
  const lines = [`${style.bold(name)}  ${style.dim(`surface ${trace.answer.surface}`)}`, ''];
  lines.push(...wrap(trace.verdict, style.width, '    ', `  ${mark} `), '');
  const steps: string[][] = [];
  for (const { source, rank, score } of trace.proposedBy)
    steps.push(['proposed by', source, `rank ${rank}, its own score ${formatScore(score)}`]);
  if (trace.known && trace.proposedBy.length === 0) steps.push(['proposed by', 'nobody', '']);
  if (trace.removedBy !== undefined) steps.push(['removed by', trace.removedBy.filter, `reason: ${trace.removedBy.reason}`]);
  for (const [scorer, score] of Object.entries(trace.scores)) steps.push(['scored by', scorer.replace(/^score\./, ''), formatScore(score)]);
  if (trace.value !== undefined) {
    const place =
      trace.placeByValue === undefined ? '' : `, place ${trace.placeByValue} of ${formatCountOf(trace.answer.ledger.scored, 'candidate')}`;
    steps.push(['value', '', `${formatScore(trace.value)}${place}`]);
  }
  for (const { name: ranker, place } of trace.rankers) steps.push(['ranked by', ranker, `place ${place}`]);
  if (trace.place > 0) steps.push(['shown', '', `place ${trace.place}`]);
  const reason = trace.answer.items[trace.place - 1]?.reason;
  return [
    ...lines,
    ...renderTable([{ header: '' }, { header: '', paint: style.cyan }, { header: '', narrow: 'wrap' }], steps, { style }),
    ...(reason === undefined ? [] : ['', ...wrap(`“${printable(reason)}”`, style.width, '  ')]),
  ];
}
