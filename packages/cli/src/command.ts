import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { HostOptions } from '@recloom/core';
import { Command, InvalidArgumentError } from 'commander';
import { exitCodeHelp, exitCodes } from './exit-codes.js';
import type { CliIo } from './io.js';
import { type Style, styleOf } from './render/style.js';
import { reportError, UsageError } from './report-error.js';

/** One call of a command, with everything it may use. */
export interface CommandCall<Options> {
  readonly io: CliIo;
  /** The arguments after the program's name, as typed. */
  readonly argv: readonly string[];
  /** Positional arguments in order; variadic ones are spread. */
  readonly words: readonly string[];
  readonly options: Options & { readonly json?: boolean; readonly config?: string; readonly debug?: boolean };
  /** Of stdout. */
  readonly style: Style;
  readonly json: boolean;
  /** Lines to stdout. */
  print(lines: readonly string[] | string): void;
  /** One JSON document to stdout. */
  printJson(value: unknown): void;
}

/** How a command is declared. */
export interface CommandSpec<Options> {
  /** Name and arguments in commander's notation, e.g. `build [config]`. */
  readonly usage: string;
  readonly summary: string;
  /** Below the summary in `--help`. */
  readonly detail?: string;
  /** Full command lines for `--help`, with what each does. */
  readonly examples: readonly (readonly [command: string, does: string])[];
  readonly configure?: (command: Command) => void;
  /** Resolves with an exit code, or nothing for 0. */
  readonly run: (call: CommandCall<Options>) => Promise<number | undefined | void>;
}

/** What the commands of one run share: the world, and where to leave the exit code. */
export interface CommandHost {
  readonly io: CliIo;
  readonly argv: readonly string[];
  exitCode: number;
}

/** Adds a command with `--json`, `--config`, `--debug`, examples and exit codes in its help. */
export function addCommand<Options>(parent: Command, host: CommandHost, spec: CommandSpec<Options>): Command {
  const { io } = host;
  const command = new Command(spec.usage.split(' ')[0]);
  command.copyInheritedSettings(parent);
  for (const argument of spec.usage.match(/[<[][^>\]]+[>\]]/g) ?? []) command.argument(argument);
  const sentence = `${spec.summary.charAt(0).toUpperCase()}${spec.summary.slice(1)}.`;
  command.summary(spec.summary).description(spec.detail === undefined ? sentence : `${sentence}\n\n${spec.detail}`);
  spec.configure?.(command);
  command.option('-c, --config <file>', 'the config; default: shop.yaml or recloom.yaml here');
  command.option('--json', 'print JSON for machines');
  command.option('--debug', 'print stack traces with errors');
  const examples = spec.examples.map(([line, does]) => `  $ ${line}\n      ${does}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${examples}\n\n${exitCodeHelp}`);
  command.action(async (...parameters: unknown[]) => {
    const options = parameters[parameters.length - 2] as CommandCall<Options>['options'];
    const words = (parameters.slice(0, -2) as (string | string[] | undefined)[]).flat().filter((word) => word !== undefined);
    const json = options.json === true;
    const call: CommandCall<Options> = {
      io,
      argv: host.argv,
      words,
      options,
      style: styleOf(io.stdout, io.env),
      json,
      print: (lines) => void io.stdout.write(`${typeof lines === 'string' ? lines : lines.join('\n')}\n`),
      printJson: (value) => void io.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`),
    };
    try {
      io.signal.throwIfAborted();
      host.exitCode = (await spec.run(call)) ?? exitCodes.ok;
    } catch (error) {
      host.exitCode = await reportError(error, io, { json, debug: options.debug === true });
    }
  });
  parent.addCommand(command);
  return command;
}

const defaultConfigs = ['shop.yaml', 'recloom.yaml', 'shop.yml', 'recloom.yml'];

/**
 * Takes the config out of a call: `--config`, the first word when it names a config, or the default in the working folder.
 *
 * @returns its absolute path and the words that are left
 * @throws UsageError when there is none
 */
export function takeConfig(call: CommandCall<unknown>): { readonly config: string; readonly words: readonly string[] } {
  const { io, options, words } = call;
  if (options.config !== undefined) return { config: resolve(io.directory, options.config), words };
  const [first, ...rest] = words;
  if (first !== undefined && /\.(ya?ml|json)$/i.test(first)) return { config: resolve(io.directory, first), words: rest };
  const found = defaultConfig(io.directory);
  if (found !== undefined) return { config: found, words };
  throw new UsageError(
    'There is no shop.yaml or recloom.yaml in this folder.',
    'Name the config, or let `recloom init data.csv` write one.',
  );
}

/** Like `takeConfig`, for commands that take nothing but a config: what is left over is refused. */
export function takeOnlyConfig(call: CommandCall<unknown>): string {
  const { config, words } = takeConfig(call);
  if (words.length > 0) throw new UsageError(`"${words[0]}" is no config file: its name must end in .yaml, .yml or .json.`);
  return config;
}

/** The config of a folder, or undefined. */
export function defaultConfig(directory: string): string | undefined {
  return defaultConfigs.map((name) => resolve(directory, name)).find((path) => existsSync(path));
}

/** What core is told about the world. */
export function hostOptions(io: CliIo): HostOptions {
  return { env: io.env, ...(io.plugins === undefined ? {} : { plugins: io.plugins }) };
}

/** Parses an option's number. */
export function numberOption(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** Collects `--name a,b --name c` as [a, b, c]. */
export function listOption(text: string, before: readonly string[] | undefined): readonly string[] {
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  return [...(before ?? []), ...entries];
}

/** Parses an option's date: ISO 8601; without a zone it is UTC. */
export function dateOption(text: string): number {
  const zoned = /^\d{4}-\d{2}-\d{2}T[\d:.]+$/.test(text) ? `${text}Z` : text;
  const timeMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(zoned) : Number.NaN;
  if (Number.isNaN(timeMs)) throw new InvalidArgumentError('It must be a date such as 2011-11-09 or 2011-11-09T08:30:00Z.');
  return timeMs;
}
