import { writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { addCommand, type CommandHost, defaultConfig } from '../command.js';
import { installedPlugins, optionsSchemaOf } from '../installed-plugins.js';
import { formatCountOf } from '../render/format.js';

interface SchemaCommandOptions {
  readonly output?: string;
}

/** `recloom schema`. */
export function registerSchema(program: Command, host: CommandHost): void {
  addCommand<SchemaCommandOptions>(program, host, {
    usage: 'schema [config]',
    summary: 'print the JSON Schema of the config, for editors',
    detail:
      'It knows the options and inputs of every installed plugin. In VS Code with the YAML extension, begin shop.yaml with: # yaml-language-server: $schema=recloom.schema.json',
    examples: [['recloom schema --output recloom.schema.json', 'for completion and checks in an editor']],
    configure: (command) => void command.option('-o, --output <file>', 'write it to a file'),
    run: async (call) => {
      const { io, options } = call;
      const given = options.config ?? call.words[0];
      const config = given === undefined ? defaultConfig(io.directory) : resolve(io.directory, given);
      const { configJsonSchema } = await import('@recloom/core');
      const plugins = await installedPlugins(io, config, config === undefined ? io.directory : dirname(config));
      const components = plugins.flatMap(({ id, definition }) =>
        (definition?.components ?? []).map((component) => ({
          reference: `${id}/${component.id}`,
          summary: component.summary,
          inputs: component.inputs,
          schema: optionsSchemaOf(component),
        })),
      );
      const schema = configJsonSchema(components);
      if (options.output === undefined) {
        call.printJson(schema);
        return;
      }
      const file = resolve(io.directory, options.output);
      await writeFile(file, `${JSON.stringify(schema, undefined, 2)}\n`);
      if (call.json) call.printJson({ file, components: components.map((component) => component.reference) });
      else
        call.print(`Wrote ${options.output}: the config with ${formatCountOf(components.length, 'component')} of the installed plugins.`);
    },
  });
}
