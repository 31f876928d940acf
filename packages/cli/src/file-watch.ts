import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, resolve, sep } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { HostOptions } from '@recloom/core';

/** Most files under one pattern that are looked at. */
const maximumFiles = 2000;

/**
 * The files a config depends on: itself, the bases it names, and what its data sources name under `path` and `files`.
 * A config that cannot be read now depends on itself at least.
 */
export async function watchedFiles(config: string, host: HostOptions): Promise<readonly string[]> {
  const files = new Set<string>([config, ...(await basesOf(config))]);
  try {
    const { openWorkspace } = await import('@recloom/core');
    const { loaded } = await openWorkspace(config, host);
    const { data } = loaded.config;
    for (const node of [data.items, data.events, data.users]) {
      const { path, files: tables } = (node?.with ?? {}) as { readonly path?: unknown; readonly files?: unknown };
      for (const pattern of [...texts(path), ...texts(tables)])
        for (const file of await expand(resolve(loaded.directory, pattern))) files.add(file);
    }
  } catch {
    // The round that follows reports what is wrong with it.
  }
  return [...files].sort();
}

/** Texts in a value: itself, the entries of a list, the values of a mapping. */
function texts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(texts) : [];
}

/** Files that a config names as its base, and their bases; presets do not change. */
async function basesOf(config: string, seen: ReadonlySet<string> = new Set()): Promise<readonly string[]> {
  try {
    const { parse } = await import('yaml');
    const base: unknown = (parse(await readFile(config, 'utf8')) as { base?: unknown } | null)?.base;
    if (typeof base !== 'string' || /^[\w-]+:/.test(base)) return [];
    const path = resolve(dirname(config), base);
    return seen.has(path) ? [] : [path, ...(await basesOf(path, new Set([...seen, path])))];
  } catch {
    return [];
  }
}

/** The files a pattern with *, ** and ? stands for; a name without them stands for itself. */
async function expand(pattern: string): Promise<readonly string[]> {
  if (!/[*?[{]/.test(pattern)) return [pattern];
  const parts = pattern.split(sep);
  const first = parts.findIndex((part) => /[*?[{]/.test(part));
  const start = parts.slice(0, first).join(sep) || sep;
  const deep = first < parts.length - 1;
  const expression = new RegExp(
    `^${parts
      .slice(first)
      .join('/')
      .replace(/[.+^${}()|\\]/g, '\\$&')
      .replace(/\*\*\/|\*|\?/g, (wildcard) => (wildcard === '**/' ? '(?:.*/)?' : wildcard === '*' ? '[^/]*' : '[^/]'))}$`,
  );
  try {
    const names = await readdir(start, { recursive: deep });
    const matching = names.filter((name) => expression.test(name.split(sep).join('/')));
    return matching.slice(0, maximumFiles).map((name) => resolve(start, name));
  } catch {
    return [];
  }
}

/** Tells when one of some files changes. Looks again and again, because file events do not arrive from network folders and containers. */
export class FileWatch {
  #seen = new Map<string, string>();

  get fileCount(): number {
    return this.#seen.size;
  }

  /** Takes the files as they are now. */
  async look(files: readonly string[]): Promise<void> {
    this.#seen = await stamps(files);
  }

  /** Resolves with the name of a file that changed and has been still since, or undefined when `signal` aborts. */
  async change(intervalMs: number, signal: AbortSignal): Promise<string | undefined> {
    const files = [...this.#seen.keys()];
    let pending: string | undefined;
    let last = this.#seen;
    for (;;) {
      try {
        await wait(Math.max(10, intervalMs), undefined, { signal });
      } catch {
        return undefined;
      }
      const now = await stamps(files);
      const changed = files.find((file) => now.get(file) !== last.get(file));
      // A file that is still being written is let finish.
      if (changed === undefined && pending !== undefined) return pending;
      if (changed !== undefined) pending = basename(changed);
      last = now;
    }
  }
}

async function stamps(files: readonly string[]): Promise<Map<string, string>> {
  const entries = await Promise.all(
    files.map(async (file): Promise<[string, string]> => {
      try {
        const { mtimeMs, size, ino } = await stat(file);
        return [file, `${mtimeMs} ${size} ${ino}`];
      } catch {
        return [file, 'missing'];
      }
    }),
  );
  return new Map(entries);
}
