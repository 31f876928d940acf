import { basename, dirname, relative, resolve } from 'node:path';
import type { Capabilities, ComponentDefinition } from '@recloom/plugin-api';
import type { Command } from 'commander';
import { addCommand, type CommandCall, type CommandHost, defaultConfig } from '../command.js';
import type { CreatedPlugin } from '../create-plugin.js';
import { describeOptions, type InstalledPlugin, installedPlugins, optionsSchemaOf } from '../installed-plugins.js';
import { formatCountOf } from '../render/format.js';
import type { Style } from '../render/style.js';
import { renderTable } from '../render/table.js';
import { wrap } from '../render/text.js';
import { UsageError } from '../report-error.js';

interface PluginsCommandOptions {
  readonly directory?: string;
}

/** `recloom plugins`, `recloom plugins show <ref>`, `recloom plugins new <id>`. */
export function registerPlugins(program: Command, host: CommandHost): void {
  const plugins = addCommand<PluginsCommandOptions>(program, host, {
    usage: 'plugins',
    summary: 'list the installed plugins; show one; start a new one',
    examples: [
      ['recloom plugins', 'all plugins with their components'],
      ['recloom plugins show collaborative-linear/ease', 'one component: options, inputs, capabilities'],
      ['recloom plugins new my-plugin', 'a new plugin from the template'],
    ],
    run: async (call) => {
      const found = await find(call);
      if (call.json) call.printJson(found.map(asJson));
      else call.print(found.flatMap((plugin) => pluginLines(plugin, call.style)));
    },
  });
  addCommand<PluginsCommandOptions>(plugins, host, {
    usage: 'show <ref>',
    summary: 'show a plugin or a component with its options, types and defaults',
    examples: [
      ['recloom plugins show popularity', 'every component of a plugin'],
      ['recloom plugins show popularity/recent', 'one component'],
    ],
    run: async (call) => {
      const [reference = ''] = call.words;
      const [id, name] = reference.split('/');
      const found = await find(call);
      const plugin = found.find((entry) => entry.id === id);
      if (plugin === undefined)
        throw await unknown(
          'plugin',
          id ?? '',
          found.map((entry) => entry.id),
        );
      if (plugin.error !== undefined) throw plugin.error;
      const { components } = plugin.definition;
      const shown = name === undefined ? components : components.filter((component) => component.id === name);
      if (shown.length === 0)
        throw await unknown(
          'component',
          reference,
          components.map((component) => `${id}/${component.id}`),
        );
      if (call.json) {
        const described = shown.map((component) => componentAsJson(plugin.id, component));
        call.printJson(name === undefined ? { ...asJson(plugin), components: described } : described[0]);
      } else {
        call.print(
          shown.flatMap((component, place) => [...(place === 0 ? [] : ['']), ...componentLines(plugin.id, component, call.style)]),
        );
      }
    },
  });
  addCommand<PluginsCommandOptions>(plugins, host, {
    usage: 'new <id>',
    summary: 'start a plugin: copies the smallest complete one and puts your id in',
    detail: 'Inside the Recloom repository it becomes a workspace under plugins/; elsewhere a package of its own, recloom-plugin-<id>.',
    examples: [
      ['recloom plugins new my-plugin', 'writes ./recloom-plugin-my-plugin (the name of the package does as well)'],
      ['recloom plugins new my-plugin --directory plugins/mine', 'writes to a folder of your choice'],
    ],
    configure: (command) => void command.option('-d, --directory <folder>', 'where to; it must be empty or not there yet'),
    run: async (call) => {
      const { createPlugin } = await import('../create-plugin.js');
      const created = await createPlugin(call.words[0] ?? '', {
        workingDirectory: call.io.directory,
        ...(call.options.directory === undefined ? {} : { directory: resolve(call.io.directory, call.options.directory) }),
      });
      if (call.json) {
        call.printJson(created);
        return;
      }
      call.print([
        `${call.style.green('✓')} ${created.packageName} in ${created.shownDirectory}`,
        ...created.files.map((file) => `    ${file}`),
        '',
        call.style.bold('Next'),
        ...created.next.map((line) => `  $ ${line}`),
        '',
        call.style.bold('Try it in a shop, from the folder of its config'),
        ...tryLines(created, call),
        '',
        ...wrap(
          'newest is an example: rename src/newest.ts, its test and `newest` in src/index.ts and src/options.ts to what yours does. The README links the guide, which answers what comes up.',
          call.style.width,
          '  ',
        ),
        ...(created.fromCheckout
          ? [
              '',
              ...wrap(
                "Recloom's packages come from this checkout: package.json names them by file: ranges. Put the ranges of published packages there before you publish.",
                call.style.width,
                '  ',
              ),
            ]
          : []),
      ]);
    },
  });
}

/** How a config comes to know the plugin: from the folder of a shop here, or of one beside the plugin. */
function tryLines(created: CreatedPlugin, call: CommandCall<unknown>): readonly string[] {
  const use = `  use: ${created.id}/newest`;
  if (created.isWorkspace) return [use];
  const config = call.options.config === undefined ? defaultConfig(call.io.directory) : resolve(call.io.directory, call.options.config);
  const path =
    config === undefined ? `../${basename(created.directory)}` : relative(dirname(config), created.directory).replaceAll('\\', '/');
  const folder = path.startsWith('.') ? path : `./${path}`;
  return [`  $ npm install ${folder}`, `  or, in the config:  plugins: [${folder}]`, use];
}

async function find(call: CommandCall<unknown>): Promise<readonly InstalledPlugin[]> {
  const config = call.options.config === undefined ? defaultConfig(call.io.directory) : resolve(call.io.directory, call.options.config);
  return installedPlugins(call.io, config, config === undefined ? call.io.directory : dirname(config));
}

async function unknown(what: string, name: string, known: readonly string[]): Promise<UsageError> {
  const { suggest } = await import('@recloom/core');
  const near = suggest(name, [...known]);
  return new UsageError(
    `There is no ${what} "${name}"${near === undefined ? '.' : `; did you mean "${near}"?`}`,
    `There are: ${known.join(', ')}.`,
  );
}

function asJson(plugin: InstalledPlugin): Record<string, unknown> {
  if (plugin.error !== undefined) return { id: plugin.id, error: plugin.error.toJSON() };
  const { definition, origin, id } = plugin;
  return {
    id,
    apiVersion: definition.apiVersion,
    origin,
    components: definition.components.map((component) => componentAsJson(id, component)),
    errors: definition.errors,
  };
}

function componentAsJson(pluginId: string, component: ComponentDefinition): Record<string, unknown> {
  return {
    reference: `${pluginId}/${component.id}`,
    summary: component.summary,
    provides: component.provides,
    learns: component.fit !== undefined,
    capabilities: component.capabilities,
    reads: component.reads,
    needs: Object.fromEntries(Object.entries(component.needs).map(([name, token]) => [name, token.id])),
    inputs: component.inputs,
    options: describeOptions(component),
    optionsSchema: optionsSchemaOf(component),
    stateVersion: component.stateVersion,
  };
}

function pluginLines(plugin: InstalledPlugin, style: Style): string[] {
  if (plugin.error !== undefined)
    return [style.bold(plugin.id), ...wrap(`cannot be used: ${plugin.error.message}`, style.width, '  ').map(style.red), ''];
  const { components } = plugin.definition;
  return [
    style.bold(plugin.id) + style.dim(`  ${formatCountOf(components.length, 'component')}`),
    ...renderTable(
      [
        { header: '', paint: style.cyan },
        { header: '', paint: style.dim },
        { header: '', narrow: 'wrap' },
      ],
      components.map((component) => [`${plugin.id}/${component.id}`, component.provides.join(', '), component.summary]),
      { style },
    ),
    '',
  ];
}

function componentLines(pluginId: string, component: ComponentDefinition, style: Style): string[] {
  const inputs = Object.entries(component.inputs);
  const options = describeOptions(component);
  const facts = [
    ['provides', component.provides.join(', ')],
    ['learns', component.fit === undefined ? 'no' : `yes, at build (state version ${component.stateVersion})`],
    ['can', capabilityText(component.capabilities)],
    ['reads', component.reads.length === 0 ? '' : `${component.reads.join(', ')} (skipped when a request does not grant it)`],
    [
      'services',
      Object.values(component.needs)
        .map((token) => token.id)
        .join(', '),
    ],
  ].filter(([, value]) => value !== '');
  return [
    style.bold(`${pluginId}/${component.id}`),
    ...wrap(component.summary, style.width, '  '),
    '',
    ...renderTable(
      [
        { header: '', paint: style.dim },
        { header: '', narrow: 'wrap' },
      ],
      facts as string[][],
      { style },
    ),
    ...(inputs.length === 0 ? [] : ['', style.bold('  in:')]),
    ...inputs.flatMap(([name, input]) => [
      `    ${style.cyan(name)}  ${style.dim(`${input.kind.replace('-', ' ')}${input.many ? ', one or many' : ''}${input.types === undefined ? '' : ` (${input.types.join(', ')})`}${input.optional ? ', optional' : ''}`)}`,
      ...wrap(input.description, style.width, '      '),
    ]),
    ...(options.length === 0 ? [] : ['', style.bold('  with:')]),
    ...options.flatMap((option) => {
      const fallback = option.required ? 'required' : option.default === undefined ? '' : `default ${JSON.stringify(option.default)}`;
      return [
        ...wrap(`${option.name}: ${option.type}${fallback === '' ? '' : `, ${fallback}`}`, style.width, '        ', '    ').map(
          (line, place) => (place === 0 ? line.replace(option.name, style.cyan(option.name)) : line),
        ),
        ...wrap(option.description, style.width, '      '),
      ];
    }),
  ];
}

function capabilityText(capabilities: Capabilities): string {
  const words: Readonly<Partial<Record<keyof Capabilities, string>>> = {
    personal: 'personal',
    coldUser: 'new users',
    coldItem: 'new items',
    incremental: 'sees recorded events at once',
    explains: 'explains itself',
    filtersInside: 'filters inside its scan',
  };
  const parts = Object.entries(words).flatMap(([name, text]) => (capabilities[name as keyof Capabilities] === true ? [text] : []));
  if (capabilities.data !== undefined) parts.push(`gives ${capabilities.data}`);
  if (capabilities.modality !== undefined) parts.push(`modality ${capabilities.modality}`);
  if (capabilities.scopes !== undefined) parts.push(`scopes ${capabilities.scopes.join(', ')}`);
  if (capabilities.asks !== undefined) parts.push(`asked with ${capabilities.asks.join(' or ')}`);
  if (capabilities.devices !== undefined) parts.push(`devices ${capabilities.devices.join(', ')}`);
  if (capabilities.deterministic === false) parts.push('not deterministic');
  return parts.join(', ');
}
