import type { Command } from 'commander';
import { addCommand, type CommandHost, hostOptions, takeOnlyConfig } from '../command.js';
import { formatCountOf } from '../render/format.js';

interface ValidateCommandOptions {
  readonly data: boolean;
}

/** `recloom validate [config]`. */
export function registerValidate(program: Command, host: CommandHost): void {
  addCommand<ValidateCommandOptions>(program, host, {
    usage: 'validate [config]',
    summary: 'check a config: every problem at once, each with its line',
    detail: 'The data are read too, so that fields, their types and expressions are checked; --no-data checks the config alone.',
    examples: [
      ['recloom validate', 'checks ./shop.yaml and its data'],
      ['recloom validate shop.yaml --no-data --json', 'the config alone, for a machine'],
    ],
    configure: (command) => void command.option('--no-data', 'check the config alone, without reading the data'),
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { validatePipeline } = await import('@recloom/core');
      const { plan, dataset, components, surfaces } = await validatePipeline(config, {
        ...hostOptions(call.io),
        data: call.options.data,
        signal: call.io.signal,
      });
      const counts =
        dataset === undefined
          ? undefined
          : { items: dataset.items.rowCount, users: dataset.users.rowCount, events: dataset.history.eventCount };
      if (call.json) {
        call.printJson({
          valid: true,
          file: plan.loaded.file,
          hash: plan.loaded.hash,
          components,
          surfaces,
          ...(counts === undefined ? {} : { counts }),
        });
        return;
      }
      call.print([
        `${call.style.green('✓')} ${plan.loaded.file} is valid: ${formatCountOf(components, 'component')}, ${formatCountOf(surfaces.length, 'surface')} (${surfaces.join(', ')})`,
      ]);
      if (counts !== undefined && dataset !== undefined) {
        const { dataReportLines } = await import('../build-renderer.js');
        call.print(dataReportLines(dataset.reports, counts, call.style));
      }
    },
  });
}
