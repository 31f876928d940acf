import { type MessagePort, parentPort } from 'node:worker_threads';
import type { BackgroundAnswer, BackgroundCall, BackgroundMessage } from './background-protocol.js';
import { toPlainError } from './protocol.js';
import { standBack } from './stand-back.js';

type Work = Readonly<Record<string, unknown>>;

interface Opened {
  readonly work: Work;
  readonly overlapping: boolean;
}

/** Opens modules and calls their functions, one message after the other unless they may overlap. */
function start(port: MessagePort): void {
  standBack();
  const opened = new Map<string, Opened>();
  const answered = async (call: number, work: () => unknown): Promise<BackgroundAnswer> => {
    try {
      return { call, value: await work() };
    } catch (error) {
      return { call, error: toPlainError(error) };
    }
  };
  const done = ({ call, key, name, parameters }: BackgroundCall): Promise<BackgroundAnswer> =>
    answered(call, () => functionOf(opened.get(key)?.work, name)(...parameters));
  /** The calls of a message that wait for those before them; the others are begun. */
  const beginOverlapping = (calls: readonly BackgroundCall[]): readonly BackgroundCall[] =>
    calls.filter((call) => {
      if (opened.get(call.key)?.overlapping !== true) return true;
      void done(call).then((answer) => post(port, [answer]));
      return false;
    });
  const perform = async (message: BackgroundMessage): Promise<void> => {
    switch (message.kind) {
      case 'open': {
        const { call, key, module, settings, overlapping } = message;
        const answer = await answered(call, async () => {
          const { open } = (await import(module)) as { readonly open: (settings: unknown) => Work | Promise<Work> };
          opened.set(key, { work: await open(settings), overlapping });
        });
        return post(port, [answer]);
      }
      case 'calls': {
        const answers: BackgroundAnswer[] = [];
        for (const call of message.calls) answers.push(await done(call));
        return post(port, answers);
      }
      case 'release':
        opened.delete(message.key);
        return;
      case 'stop':
        port.close();
    }
  };
  let last = Promise.resolve();
  port.on('message', (message: BackgroundMessage) => {
    const calls = message.kind === 'calls' ? beginOverlapping(message.calls) : [];
    if (message.kind === 'calls' && calls.length === 0) return;
    last = last.then(() => perform(message.kind === 'calls' ? { kind: 'calls', calls } : message));
  });
}

function functionOf(work: Work | undefined, name: string): (...parameters: readonly unknown[]) => unknown {
  const found = work !== undefined && Object.hasOwn(work, name) ? work[name] : undefined;
  if (typeof found !== 'function') throw new TypeError(`there is no function ${name}`);
  return found as (...parameters: readonly unknown[]) => unknown;
}

function post(port: MessagePort, answers: readonly BackgroundAnswer[]): void {
  try {
    port.postMessage(answers);
  } catch {
    // A result that cannot be copied fails alone.
    for (const answer of answers) {
      try {
        port.postMessage([answer]);
      } catch (error) {
        port.postMessage([{ call: answer.call, error: toPlainError(error) } satisfies BackgroundAnswer]);
      }
    }
  }
}

if (parentPort !== null) start(parentPort);
