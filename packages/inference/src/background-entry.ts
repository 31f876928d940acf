import { type MessagePort, parentPort } from 'node:worker_threads';
import type { BackgroundAnswer, BackgroundMessage } from './background-protocol.js';
import { toPlainError } from './protocol.js';

type Work = Readonly<Record<string, unknown>>;

/** Opens modules and calls their functions, one message after the other. */
function start(port: MessagePort): void {
  const opened = new Map<string, Work>();
  const answered = async (call: number, work: () => unknown): Promise<BackgroundAnswer> => {
    try {
      return { call, value: await work() };
    } catch (error) {
      return { call, error: toPlainError(error) };
    }
  };
  const perform = async (message: BackgroundMessage): Promise<void> => {
    switch (message.kind) {
      case 'open': {
        const { call, key, module, settings } = message;
        const answer = await answered(call, async () => {
          const { open } = (await import(module)) as { readonly open: (settings: unknown) => Work | Promise<Work> };
          opened.set(key, await open(settings));
        });
        return post(port, [answer]);
      }
      case 'calls': {
        const answers: BackgroundAnswer[] = [];
        for (const { call, key, name, parameters } of message.calls) {
          answers.push(await answered(call, () => functionOf(opened.get(key), name)(...parameters)));
        }
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
    last = last.then(() => perform(message));
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
