// The process of one suite: forked by run.ts, so that no suite meets the compiled code, heap or threads of another.
import type { SuiteOptions, SuiteResult } from './suites.js';
import { suites } from './suites.js';

/** What the process answers. */
export type SuiteReply = { readonly result: SuiteResult } | { readonly failure: string };

process.once('message', (order: { readonly id: string; readonly options: SuiteOptions }) => {
  void answer(order.id, order.options).then((reply) => process.send?.(reply, () => process.exit(0)));
});

async function answer(id: string, options: SuiteOptions): Promise<SuiteReply> {
  try {
    const suite = suites.find((entry) => entry.id === id);
    if (suite === undefined) throw new Error(`There is no suite "${id}".`);
    return { result: await suite.run(options) };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
