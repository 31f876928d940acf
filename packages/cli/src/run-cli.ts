import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import type { CommandHost } from './command.js';
import { registerBlend } from './commands/blend.js';
import { registerBuild } from './commands/build.js';
import { registerCompare } from './commands/compare.js';
import { registerDev } from './commands/dev.js';
import { registerDiagram } from './commands/diagram.js';
import { registerEvaluate } from './commands/evaluate.js';
import { registerExplain } from './commands/explain.js';
import { registerExport } from './commands/export.js';
import { registerInit } from './commands/init.js';
import { registerInspect } from './commands/inspect.js';
import { registerPlugins } from './commands/plugins.js';
import { registerRecommend } from './commands/recommend.js';
import { registerSchema } from './commands/schema.js';
import { registerSearch } from './commands/search.js';
import { registerTune } from './commands/tune.js';
import { registerValidate } from './commands/validate.js';
import { exitCodeHelp, exitCodes } from './exit-codes.js';
import type { CliIo } from './io.js';
import { styleOf } from './render/style.js';

/**
 * Runs the `recloom` command.
 *
 * @param argv the arguments after the program's name
 * @returns the exit code; never throws and never ends the process
 */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  const host: CommandHost = { io, argv, exitCode: exitCodes.ok };
  const asJson = argv.includes('--json');
  try {
    await createProgram(host, asJson).parseAsync([...argv], { from: 'user' });
    return host.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return exitCodes.ok;
    if (asJson) {
      const message = error.message.replace(/^error: /, '');
      io.stdout.write(`${JSON.stringify({ error: { code: 'USAGE', message }, exitCode: exitCodes.usage })}\n`);
    }
    return exitCodes.usage;
  }
}

function createProgram(host: CommandHost, asJson: boolean): Command {
  const { io } = host;
  const style = styleOf(io.stdout, io.env);
  const program = new Command('recloom')
    .description('Recommendations from your own data: build a snapshot from a config, then ask it.')
    .version(version(), '-V, --version', 'print the version')
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .helpCommand(false)
    .configureHelp({ helpWidth: Math.min(style.width, 100) })
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void (asJson ? undefined : io.stderr.write(text)),
      outputError: (text, write) => write(`${styleOf(io.stderr, io.env).red('error')} ${text.replace(/^error: /, '')}`),
      getOutHasColors: () => style.isTerminal,
      getErrHasColors: () => false,
    })
    .addHelpText(
      'after',
      `
Start here:
  $ recloom init orders.csv
      looks at your file and writes a working shop.yaml
  $ recloom build
      reads the data, fits every component, publishes a snapshot
  $ recloom recommend --user 17850 --purpose personalisation --explain
      asks it

${exitCodeHelp}

Each command has its own --help.`,
    );
  for (const register of [
    registerInit,
    registerValidate,
    registerBuild,
    registerRecommend,
    registerSearch,
    registerExplain,
    registerInspect,
    registerEvaluate,
    registerCompare,
    registerTune,
    registerBlend,
    registerExport,
    registerDev,
    registerDiagram,
    registerSchema,
    registerPlugins,
  ])
    register(program, host);
  return program;
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string };
  return manifest.version;
}
