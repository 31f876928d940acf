import { describe, expect, it } from 'vitest';
import { hashTemplate, redactTemplate, substituteEnvironment } from './environment.js';
import { toPlain } from './located-node.js';
import { readYaml } from './yaml-document.js';

const environment = { HOST: 'db.example', THREADS: '4', FLAG: 'true', EMPTY: '', NESTED: `\${env:HOST}`, CODE: '0x10' };

function substitute(text: string) {
  const { root } = readYaml(text, 'x.yaml');
  const result = substituteEnvironment(root as never, environment);
  return { ...result, plain: JSON.parse(JSON.stringify(toPlain(result.root))) };
}

describe('substituteEnvironment', () => {
  it.each([
    ['inside a text', 'postgres://${env:HOST}:${env:THREADS}/x', 'postgres://db.example:4/x'],
    ['an unquoted whole, as YAML would read it', '${env:THREADS}', 4],
    ['a truth value', '${env:FLAG}', true],
    ['a quoted whole, which stays text', '"${env:THREADS}"', '4'],
    ['an empty value', '"${env:EMPTY}"', ''],
    ['what looks like a placeholder in a value', '${env:NESTED}', '${env:HOST}'],
    ['what YAML does not write as a number', '${env:CODE}', '0x10'],
    ['an escaped placeholder', '"$${env:HOST}"', '${env:HOST}'],
    ['a dollar that is none', '"costs $5 {x} ${}"', 'costs $5 {x} ${}'],
  ])('puts in %s', (_, text, expected) => {
    expect(substitute(`a: ${text}`).plain).toEqual({ a: expected });
  });

  it('reports every missing variable at its place', () => {
    const { problems } = substitute('a: ${env:ONE}\nb: ["${env:TWO}-${env:THREE}"]\n');
    expect(problems.map((problem) => [problem.code, problem.message, problem.at.line, problem.at.column])).toEqual([
      ['RECLOOM_CFG_ENV_MISSING', 'The environment variable ONE is not set.', 1, 4],
      ['RECLOOM_CFG_ENV_MISSING', 'The environment variable TWO is not set.', 2, 5],
      ['RECLOOM_CFG_ENV_MISSING', 'The environment variable THREE is not set.', 2, 5],
    ]);
  });

  it.each(['${HOME}', '${file:secret.txt}', '${env:a-b}'])('refuses %s: only ${env:NAME} is a placeholder', (text) => {
    const { problems } = substitute(`a: "${text}"`);
    expect(problems.map((problem) => problem.code)).toEqual(['RECLOOM_CFG_TYPE']);
    expect(problems[0]?.message).toContain(`"${text}" is no placeholder`);
  });

  it('remembers where a value came from, for redaction and hashing', () => {
    const { uses } = substitute('a: { b: ["x-${env:HOST}", plain] }');
    expect(uses).toEqual([{ path: ['a', 'b', 0], template: 'x-${env:HOST}' }]);
    expect(redactTemplate('x-${env:HOST} $${y}')).toBe('x-[env:HOST] ${y}');
    expect(hashTemplate('${env:HOST}', environment)).toMatch(/^\[env:HOST:[0-9a-f]{64}\]$/);
    expect(hashTemplate('${env:HOST}', environment)).not.toBe(hashTemplate('${env:HOST}', { HOST: 'other' }));
  });
});
