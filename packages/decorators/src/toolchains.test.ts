import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** A plugin author's own project, compiled by strict tsc and run by tsx, neither of which writes decorator metadata here. */
const plugin = `
import { type CandidateBatch, definePlugin, type Logger, loggerToken } from '@recloom/plugin-api';
import { componentOf, inject, optionsToken, Scorer } from '@recloom/decorators';
import { z } from 'zod';

const rowOptions = z.strictObject({ factor: z.number().default(2).describe('factor') });

@Scorer({ id: 'row', summary: 'Row times factor.', options: rowOptions, capabilities: {}, stateVersion: 1 })
export class RowScorer implements Scorer {
  @inject(loggerToken) private readonly fieldLogger!: Logger;

  constructor(
    @inject(optionsToken) private readonly options: z.output<typeof rowOptions>,
    @inject(loggerToken) private readonly logger: Logger,
  ) {}

  score(batch: CandidateBatch, out: Float32Array): void {
    this.logger.info('by constructor');
    this.fieldLogger.info('by field');
    for (let place = 0; place < batch.count; place++) out[place] = (batch.rows[place] ?? 0) * this.options.factor;
  }
}

export default definePlugin({ apiVersion: 1, id: 'decorated', components: [componentOf(RowScorer)] });
`;
const main = `
import { candidateBatch, createTestHost } from '@recloom/testing';
import plugin from './plugin.js';

async function main(): Promise<void> {
  const host = createTestHost();
  const scorer = await host.open(plugin.components[0]!, { options: { factor: 5 } });
  const out = new Float32Array(2);
  await scorer.score(candidateBatch({ rows: [[1, 3]] }), out, new AbortController().signal);
  console.log(JSON.stringify([[...out], host.logs.map((line) => line.message)]));
}
void main();
`;
const wrong = `
import { Scorer } from '@recloom/decorators';
import { z } from 'zod';
@Scorer({ id: 'wrong', summary: '', options: z.strictObject({}), capabilities: {}, stateVersion: 1 })
export class NotAScorer { rank(): void {} }
`;
const compilerOptions = {
  target: 'ES2022',
  lib: ['ES2023'],
  module: 'NodeNext',
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  experimentalDecorators: true,
  types: ['node'],
  skipLibCheck: true,
  outDir: 'dist',
};

const modules = join(dirname(fileURLToPath(import.meta.url)), '../../../node_modules');
let project: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'recloom-decorators-'));
  symlinkSync(modules, join(project, 'node_modules'));
  mkdirSync(join(project, 'src'));
  mkdirSync(join(project, 'wrong'));
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'author', type: 'module' }));
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...compilerOptions, rootDir: 'src' }, include: ['src'] }),
  );
  writeFileSync(join(project, 'src/plugin.ts'), plugin);
  writeFileSync(join(project, 'src/main.ts'), main);
  writeFileSync(
    join(project, 'wrong/tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...compilerOptions, noEmit: true }, include: ['*.ts'] }),
  );
  writeFileSync(join(project, 'wrong/wrong.ts'), wrong);
});
afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

/** Runs a script of a package with this Node; what it prints. */
function run(script: string, ...rest: readonly string[]): string {
  try {
    return execFileSync(process.execPath, [script, ...rest], { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${stdout ?? ''}${stderr ?? ''}`);
  }
}

const expected = [
  [5, 15],
  ['by constructor', 'by field'],
];

describe('decorator syntax', () => {
  it('compiles with strict tsc and runs', () => {
    run(join(modules, 'typescript/bin/tsc'), '-p', '.');
    expect(JSON.parse(run('dist/main.js'))).toEqual(expected);
  });

  it('runs under tsx', () => {
    expect(JSON.parse(run(join(modules, 'tsx/dist/cli.mjs'), 'src/main.ts'))).toEqual(expected);
  });

  it('a class that does not provide the contract is a type error', () => {
    expect(() => run(join(modules, 'typescript/bin/tsc'), '-p', 'wrong')).toThrow(
      /wrong\.ts.*[\s\S]*Property 'score' is missing in type 'NotAScorer'/,
    );
  });
});
