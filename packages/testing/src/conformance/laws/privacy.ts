import { inspect } from 'node:util';
import { type GateContext, type Label, type Provided, requestLabels } from '@recloom/plugin-api';
import { resultList } from '../../host/requests.js';
import { hold, type Law, provides } from '../law.js';
import type { Subject } from '../subject.js';

const canary = 'canary-7f3a-Ada-Lovelace-1815';

/** The services the component needs, each failing in every method. */
function failingServices(subject: Subject, message: string): Provided {
  return Object.values(subject.definition.needs)
    .filter((token) => token.id !== 'recloom.logger' && token.id !== 'recloom.metrics')
    .map((token) => [
      token,
      new Proxy(
        {},
        {
          get: (_target, property) => {
            if (property === 'then') return undefined;
            return () => {
              throw new Error(message);
            };
          },
        },
      ),
    ]);
}

function personal(labels: readonly Label[]): readonly Label[] {
  return labels.filter((label) => !requestLabels.includes(label));
}

const neverRestores: Law = {
  id: 'PRV-01',
  title: 'never restores',
  law: 'What another filter withheld stays withheld: a result filter writes ones only.',
  appliesTo: provides('privacy'),
  async run(subject) {
    const { instance } = await subject.open();
    if (instance.filterResult !== undefined) {
      const rows = Array.from({ length: Math.min(20, subject.shop.items.rowCount) }, (_, row) => row);
      const list = resultList(
        rows,
        rows.map((row) => -row),
        subject.shop.request(0),
      );
      const fresh = new Uint8Array(list.count);
      await instance.filterResult(list, fresh);
      hold(
        fresh.every((value) => value <= 1),
        'The mask holds something else than 0 and 1.',
      );
      const withheld = new Uint8Array(list.count).fill(1);
      await instance.filterResult(list, withheld);
      hold(
        withheld.every((value) => value === 1),
        'It restored an item that was withheld before.',
      );
    }
    await instance.dispose?.();
  },
};

const failsClosed: Law = {
  id: 'PRV-02',
  title: 'fails closed',
  law: 'When a service it needs fails, the gate throws or grants nothing personal; and who has said nothing has granted nothing.',
  appliesTo: provides('privacy'),
  async run(subject) {
    const contexts: readonly Omit<GateContext, 'signal'>[] = [
      { surface: 'home', userId: undefined, purposes: undefined },
      { surface: 'home', userId: 'user-nobody-knows', purposes: undefined },
      { surface: 'home', userId: undefined, purposes: [] },
      { surface: 'home', userId: undefined, purposes: ['__proto__', 'constructor', 'a purpose nobody configured'] },
    ];
    const { instance } = await subject.open();
    if (instance.gate !== undefined) {
      for (const context of contexts) {
        const granted = personal(await instance.gate({ ...context, signal: new AbortController().signal }));
        hold(granted.length === 0, `It granted ${granted.join(', ')} to somebody who has agreed to nothing.`);
      }
    }
    await instance.dispose?.();

    const { instance: crippled } = await subject.open({}, failingServices(subject, 'the service is down'));
    if (crippled.gate !== undefined) {
      let granted: readonly Label[] = [];
      try {
        granted = await crippled.gate({ surface: 'home', userId: 'user-1', purposes: undefined, signal: new AbortController().signal });
      } catch {
        // Throwing is closed.
      }
      hold(personal(granted).length === 0, `It granted ${granted.join(', ')} although a service it needs has failed.`);
    }
    await crippled.dispose?.();
  },
};

const leaksNothing: Law = {
  id: 'PRV-03',
  title: 'leaks nothing into errors, warnings and logs',
  law: 'Text planted in the user id, the purposes and the messages of failing services is in no error, warning, log line or metric.',
  appliesTo: provides('privacy'),
  async run(subject) {
    for (const services of [[], failingServices(subject, `no record of ${canary}`)]) {
      const { instance, host } = await subject.open({}, services);
      const said: unknown[] = [];
      const listen = async (work: () => unknown): Promise<void> => {
        try {
          await work();
        } catch (error) {
          said.push(error, errorChain(error));
        }
      };
      for (const purposes of [undefined, [canary], ['personalisation', canary]]) {
        await listen(() => instance.gate?.({ surface: 'home', userId: canary, purposes, signal: new AbortController().signal }));
      }
      const request = subject.shop.request(0, { context: { name: canary }, text: canary, userFields: { name: canary } });
      await listen(() => instance.filterResult?.(resultList([0, 1], [2, 1], request), new Uint8Array(2)));
      await listen(() => instance.filterResult?.(resultList([0, 1_000_000], [2, Number.NaN], request), new Uint8Array(2)));
      await instance.dispose?.();
      const everything = inspect([said, host.logs, host.warnings, host.measurements], {
        depth: 12,
        maxStringLength: null,
        maxArrayLength: null,
      });
      hold(!everything.includes(canary), 'Text planted in a request turned up in an error, a warning, a log line or a metric.');
    }
  },
};

/** Messages, hints, stacks and JSON of an error and its causes. */
function errorChain(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    chain.push(at.message, at.stack, (at as { hint?: unknown }).hint, JSON.stringify(at));
  }
  return chain;
}

/** Laws of privacy filters. */
export const privacyLaws: readonly Law[] = [neverRestores, failsClosed, leaksNothing];
