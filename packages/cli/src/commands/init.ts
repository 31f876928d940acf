import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { addCommand, type CommandHost, hostOptions } from '../command.js';
import { formatBytes, formatCount, formatShare } from '../render/format.js';
import type { Style } from '../render/style.js';
import { heading, renderTable } from '../render/table.js';
import { printable, wrap } from '../render/text.js';
import { UsageError } from '../report-error.js';
import type { LookedAt } from '../shop-config.js';

interface InitCommandOptions {
  readonly items?: string;
  readonly output: string;
  readonly force?: boolean;
  readonly name?: string;
  readonly check: boolean;
}

const dataFile = /\.(csv|tsv|parquet|ndjson|jsonl|json)(\.(gz|zst))?$/i;
const notData = /^(package(-lock)?|tsconfig.*|.*\.schema)\.json$/i;

/** `recloom init [file]`. */
export function registerInit(program: Command, host: CommandHost): void {
  addCommand<InitCommandOptions>(program, host, {
    usage: 'init [file]',
    summary: 'look at a CSV, Parquet or JSON file and write a working shop.yaml',
    detail:
      'Guesses which column is the user, the item, the time and so on, says why and how sure it is, and writes a config based on the preset recloom:shop. Without a file it takes the only data file in this folder or in ./data.',
    examples: [
      ['recloom init orders.csv', 'writes ./shop.yaml'],
      ['recloom init events.csv.gz --items catalogue.parquet --output shop/shop.yaml', 'events and a catalogue of their own'],
    ],
    configure: (command) => {
      command.option('--items <file>', 'a file that describes the items, when they have one of their own');
      command.option('-o, --output <file>', 'the config to write', 'shop.yaml');
      command.option('--name <name>', 'name of the pipeline; default: from the folder');
      command.option('-f, --force', 'replace a config that is there');
      command.option('--no-check', 'do not read the data through the new config afterwards');
    },
    run: async (call) => {
      const { io, options, style } = call;
      const output = resolve(io.directory, options.output);
      const shownOutput = relative(io.directory, output) || options.output;
      if (existsSync(output) && options.force !== true)
        throw new UsageError(`${shownOutput} is there already.`, 'Replace it with --force, or write elsewhere with --output.');
      const path = call.words[0] ?? findDataFile(io.directory);
      const [{ guessShop, inspectFile }, { writeShopConfig }] = await Promise.all([
        import('@recloom/plugin-data-duckdb'),
        import('../shop-config.js'),
      ]);
      const look = async (file: string): Promise<LookedAt> => {
        const profile = await inspectFile(resolve(io.directory, file), { directory: io.directory, signal: io.signal });
        const shown = relative(dirname(output), resolve(io.directory, file)).split('\\').join('/');
        return { path: shown, profile, guess: guessShop(profile) };
      };
      const main = await look(path);
      const catalogue = options.items === undefined ? undefined : await look(options.items);
      const name = options.name ?? slug(basename(dirname(output))) ?? 'shop';
      const written = await writeShopConfig({ name, main, catalogue });
      await writeFile(output, written.yaml, options.force === true ? {} : { flag: 'wx' });
      const looked = [main, ...(catalogue === undefined ? [] : [catalogue])];
      const notes = [...looked.flatMap((entry) => entry.guess.notes), ...written.notes];
      if (!call.json) {
        call.print(looked.flatMap((entry, place) => [...(place === 0 ? [] : ['']), ...guessLines(entry, style)]));
        if (notes.length > 0)
          call.print([...heading('Please look at', style), ...notes.flatMap((note) => wrap(printable(note), style.width, '    ', '  · '))]);
        call.print(['', `${style.green('✓')} wrote ${style.bold(shownOutput)}: surfaces ${written.surfaces.join(', ')}`]);
      }
      const checked = options.check ? await check(output, io) : undefined;
      if (call.json) {
        call.printJson({
          output,
          name,
          files: looked.map((entry) => ({ path: entry.path, rowCount: entry.profile.rowCount, ...entry.guess })),
          surfaces: written.surfaces,
          notes: written.notes,
          ...(checked === undefined ? {} : { counts: checked }),
        });
        return;
      }
      call.print([
        ...(checked === undefined
          ? []
          : [
              `${style.green('✓')} read through it: ${formatCount(checked.events)} events, ${formatCount(checked.items)} items, ${formatCount(checked.users)} users`,
            ]),
        ...heading('Next', style),
        ...nextCommands(shownOutput).map((line) => `  $ ${line}`),
      ]);
    },
  });
}

async function check(
  config: string,
  io: CommandHost['io'],
): Promise<{ readonly items: number; readonly users: number; readonly events: number } | undefined> {
  const { validatePipeline } = await import('@recloom/core');
  const { dataset } = await validatePipeline(config, { ...hostOptions(io), signal: io.signal });
  return dataset === undefined
    ? undefined
    : { items: dataset.items.rowCount, users: dataset.users.rowCount, events: dataset.history.eventCount };
}

function nextCommands(output: string): string[] {
  const config = output === 'shop.yaml' ? '' : ` ${output}`;
  return [`recloom build${config}`, `recloom recommend${config} --explain`, `recloom plugins`];
}

function findDataFile(directory: string): string {
  const found = [directory, join(directory, 'data')].flatMap((folder) => {
    try {
      return readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isFile() && dataFile.test(entry.name) && !notData.test(entry.name))
        .map((entry) => relative(directory, join(folder, entry.name)));
    } catch {
      return [];
    }
  });
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new UsageError(
    found.length === 0 ? 'There is no data file here.' : `There are ${found.length} data files here.`,
    found.length === 0 ? 'Name one: recloom init path/to/orders.csv' : `Name the one to look at: ${found.slice(0, 8).join(', ')}.`,
  );
}

function slug(text: string): string | undefined {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '');
  return name === '' ? undefined : name;
}

function guessLines({ path, profile, guess }: LookedAt, style: Style): string[] {
  const rows = `${profile.rowCountIsExact ? '' : 'about '}${formatCount(profile.rowCount)} rows`;
  return [
    style.bold(path) + style.dim(`  ${profile.format}, ${rows}, ${profile.columns.length} columns, ${formatBytes(profile.sizeBytes)}`),
    ...wrap(`Rows are ${guess.rows === 'both' ? 'events that describe their items' : guess.rows}: ${guess.rowsReason}.`, style.width, '  '),
    '',
    ...renderTable(
      [
        { header: 'role' },
        { header: 'column', paint: style.cyan, narrow: 'cut' },
        { header: 'sure', align: 'right' },
        { header: 'why', narrow: 'wrap' },
      ],
      Object.entries(guess.roles).map(([role, column]) => [
        role,
        printable(column.column),
        formatShare(column.confidence),
        printable(column.reason),
      ]),
      { style },
    ),
    ...(guess.rules.length === 0
      ? []
      : [
          '',
          '  Rows it leaves out, each counted by the build:',
          ...renderTable(
            [{ header: '' }, { header: '', align: 'right' }, { header: '', narrow: 'cut', paint: style.dim }],
            guess.rules.map((rule) => [printable(rule.reason), formatShare(rule.share), rule.where]),
            { style, indent: '    ' },
          ),
        ]),
  ];
}
