import { createHash } from 'node:crypto';
import { type RecloomError, recloomError } from '@recloom/plugin-api';
import { type ConfigNode, mapScalars, type ScalarNode } from './located-node.js';
import type { ConfigPath } from './types.js';

// `$${` is an escaped `${`; everything else of the form `${word}` or `${word:word}` is looked at.
const substitution = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^}]*))?\}/g;
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** The forms in which YAML 1.2 writes a number. */
const numeric = /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$/;

/** A value that came from the environment: where it stands, and the text with its placeholders. */
export interface EnvironmentUse {
  readonly path: ConfigPath;
  readonly template: string;
}

export interface Substituted {
  readonly root: ConfigNode;
  readonly uses: readonly EnvironmentUse[];
  /** Places of values that name a variable which is not set. */
  readonly unset: readonly ConfigPath[];
  readonly problems: readonly RecloomError[];
}

/**
 * Puts the values of `${env:NAME}` in. A value that is nothing but one unquoted placeholder is read as YAML would read
 * the text (`${env:THREADS}` may be a number); any other stays text. What was put in is not looked at again.
 *
 * Problems: RECLOOM_CFG_ENV_MISSING, RECLOOM_CFG_TYPE for another kind of placeholder.
 */
export function substituteEnvironment(root: ConfigNode, environment: NodeJS.ProcessEnv): Substituted {
  const uses: EnvironmentUse[] = [];
  const unset: ConfigPath[] = [];
  const problems: RecloomError[] = [];
  const replace = (scalar: ScalarNode, path: ConfigPath): ScalarNode => {
    if (typeof scalar.value !== 'string' || !scalar.value.includes('${')) return scalar;
    const template = scalar.value;
    const at = scalar.position.line > 0 ? scalar.position : { file: scalar.position.file };
    let used = false;
    const text = template.replace(substitution, (found, kind: string | undefined, name: string | undefined) => {
      if (kind === undefined) return '${';
      if (kind !== 'env' || name === undefined || !variableName.test(name)) {
        const why = `"${found}" is no placeholder; only \${env:NAME} is, and $\${ writes a plain \${`;
        problems.push(recloomError('RECLOOM_CFG_TYPE', { key: path.join('.'), why }, { at }));
        return found;
      }
      used = true;
      const value = environment[name];
      if (value === undefined) {
        problems.push(recloomError('RECLOOM_CFG_ENV_MISSING', { variable: name }, { at }));
        unset.push(path);
      }
      return value ?? '';
    });
    if (!used) return { ...scalar, value: text };
    uses.push({ path, template });
    const whole = scalar.plain && /^\$\{env:[^}]*\}$/.test(template);
    return { ...scalar, value: whole ? readPlain(text) : text, template, range: undefined };
  };
  return { root: mapScalars(root, replace), uses, unset, problems };
}

function readPlain(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return numeric.test(text) ? Number(text) : text;
}

/** A template with its placeholders named instead of filled: `[env:NAME]`. */
export function redactTemplate(template: string): string {
  return template.replace(substitution, (_, kind: string | undefined, name: string | undefined) =>
    kind === undefined ? '${' : `[env:${name}]`,
  );
}

/** A template with a hash for each value: two environments give the same text only when their values are the same. */
export function hashTemplate(template: string, environment: NodeJS.ProcessEnv): string {
  return template.replace(substitution, (_, kind: string | undefined, name: string | undefined) => {
    if (kind === undefined || name === undefined) return '${';
    return `[env:${name}:${createHash('sha256')
      .update(environment[name] ?? '')
      .digest('hex')}]`;
  });
}
