import type { Command } from 'commander';
import { addCommand, type CommandHost, hostOptions, takeOnlyConfig } from '../command.js';
import { warningLines } from '../report-error.js';

interface BuildCommandOptions {
  readonly fresh?: boolean;
}

/** `recloom build [config]`. */
export function registerBuild(program: Command, host: CommandHost): void {
  addCommand<BuildCommandOptions>(program, host, {
    usage: 'build [config]',
    summary: 'read the data, fit every component, publish a snapshot',
    detail:
      'What an earlier build finished with the same inputs is kept, so an interrupted build goes on where it was. The published snapshot serves until the new one is verified. With --json: one JSON line per step start, progress, step end and warning; the last line is the report.',
    examples: [
      ['recloom build', 'builds ./shop.yaml'],
      ['recloom build examples/online-retail/shop.yaml --fresh', 'fits everything anew'],
    ],
    configure: (command) => void command.option('--fresh', 'fit everything anew, whatever an earlier build left'),
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const [{ buildPipeline }, { buildReportLines, createBuildRenderer }] = await Promise.all([
        import('@recloom/core'),
        import('../build-renderer.js'),
      ]);
      const renderer = createBuildRenderer(call.io, { json: call.json });
      try {
        const report = await buildPipeline(config, {
          ...hostOptions(call.io),
          observer: renderer.observer,
          signal: call.io.signal,
          fresh: call.options.fresh === true,
        });
        renderer.stop();
        if (call.json) {
          call.io.stdout.write(`${JSON.stringify({ event: 'report', report })}\n`);
          return;
        }
        call.print(buildReportLines(report, call.style));
        const warnings = warningLines(report.warnings, call.style);
        if (warnings.length > 0) call.print(['', ...warnings]);
      } finally {
        renderer.stop();
      }
    },
  });
}
