import type { Command } from 'commander';
import { addCommand, type CommandHost, hostOptions, takeOnlyConfig } from '../command.js';
import { UsageError } from '../report-error.js';

interface DiagramCommandOptions {
  readonly surface?: string;
}

/** `recloom diagram [config]`. */
export function registerDiagram(program: Command, host: CommandHost): void {
  addCommand<DiagramCommandOptions>(program, host, {
    usage: 'diagram [config]',
    summary: 'draw the pipeline as a Mermaid flowchart',
    examples: [
      ['recloom diagram > pipeline.mmd', 'all surfaces'],
      ['recloom diagram shop.yaml --surface home', 'one surface'],
    ],
    configure: (command) => void command.option('-s, --surface <name>', 'only this surface'),
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { diagramPipeline, openWorkspace, suggest } = await import('@recloom/core');
      const plan = (await openWorkspace(config, hostOptions(call.io))).plan();
      const { surface } = call.options;
      if (surface !== undefined && !plan.surfaces.has(surface)) {
        const names = [...plan.surfaces.keys()];
        const near = suggest(surface, names);
        throw new UsageError(
          `There is no surface "${surface}"${near === undefined ? '.' : `; did you mean "${near}"?`}`,
          `The config has: ${names.join(', ')}.`,
        );
      }
      const mermaid = diagramPipeline(plan, surface);
      if (call.json) call.printJson({ format: 'mermaid', diagram: mermaid });
      else call.io.stdout.write(mermaid);
    },
  });
}
