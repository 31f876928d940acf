// Runs in a child process of its own: looks at a plugin from outside, as Node sees it.
import { existsSync, readFileSync } from 'node:fs';
import Module, { register } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import type { ChildAnswer, ChildRequest, OpenFinding } from './messages.js';

const processEvents = ['beforeExit', 'exit', 'uncaughtException', 'unhandledRejection', 'warning', 'SIGINT', 'SIGTERM'] as const;

process.once('message', (request: ChildRequest) => {
  void answer(request).then((found) => process.send?.(found));
});

async function answer(request: ChildRequest): Promise<ChildAnswer> {
  const { hiddenLibrary } = request;
  // What the child itself needs is loaded before anybody watches.
  const tools = request.task === 'open' ? await import('./open-components.js') : undefined;
  const { port1: heard, port2: port } = new MessageChannel();
  register('./hooks.js', { parentURL: import.meta.url, data: { port, hiddenLibrary }, transferList: [port] });
  if (hiddenLibrary !== undefined) hideFromRequire(hiddenLibrary);
  const before = globalState();
  let findings: readonly OpenFinding[] = [];
  let failure: string | undefined;
  try {
    const module = (await import(request.entry)) as { default?: unknown };
    const packages = loadedPackages(heard);
    const globals = changes(before, globalState());
    if (tools !== undefined) findings = await tools.openComponents(module.default, request);
    return { failure, packages, globals, findings };
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
    return { failure, packages: [], globals: [], findings };
  }
}

/** `require()` does not pass the hooks of `register`. */
function hideFromRequire(library: string): void {
  const loader = Module as unknown as { _resolveFilename: (request: string, ...rest: unknown[]) => string };
  const original = loader._resolveFilename;
  loader._resolveFilename = (request, ...rest) => {
    if (request === library || request.startsWith(`${library}/`)) {
      throw Object.assign(new Error(`Cannot find module '${library}'`), { code: 'MODULE_NOT_FOUND' });
    }
    return original(request, ...rest);
  };
}

function loadedPackages(port: MessageChannel['port1']): readonly string[] {
  const names = new Set<string>();
  for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port)) {
    const url = received.message as string;
    if (url.startsWith('file:')) names.add(packageNameOf(fileURLToPath(url)));
  }
  return [...names].sort();
}

function packageNameOf(file: string): string {
  for (let directory = dirname(file); directory !== dirname(directory); directory = dirname(directory)) {
    const manifest = join(directory, 'package.json');
    if (!existsSync(manifest)) continue;
    const { name } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string };
    if (name !== undefined) return name;
  }
  return file;
}

/** The keys of globals and built-ins, with the identity of what they hold. */
function globalState(): ReadonlyMap<string, unknown> {
  const state = new Map<string, unknown>();
  const watched: readonly (readonly [string, object])[] = [
    ['globalThis', globalThis],
    ['Reflect', Reflect],
    ['JSON', JSON],
    ['Math', Math],
    ['Object', Object],
    ['Object.prototype', Object.prototype],
    ['Array.prototype', Array.prototype],
    ['Function.prototype', Function.prototype],
    ['String.prototype', String.prototype],
    ['Number.prototype', Number.prototype],
    ['Promise.prototype', Promise.prototype],
    ['Map.prototype', Map.prototype],
    ['process.env', process.env],
  ];
  for (const [name, object] of watched) {
    for (const key of Reflect.ownKeys(object)) {
      // zod, which plugins may load, keeps its registry of schema metadata there.
      if (String(key).startsWith('__zod_')) continue;
      const descriptor = Object.getOwnPropertyDescriptor(object, key);
      // Node's own lazy globals are accessors; reading them would change them.
      state.set(`${name}.${String(key)}`, descriptor !== undefined && 'value' in descriptor ? (descriptor.value as unknown) : 'accessor');
    }
  }
  for (const event of processEvents) state.set(`process.on(${event})`, process.listenerCount(event));
  return state;
}

function changes(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): readonly string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => !Object.is(before.get(name), after.get(name)));
}
