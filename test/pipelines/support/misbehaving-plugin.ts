import {
  defineCandidateFilter,
  defineCandidateSource,
  defineComponent,
  defineFeatureExtractor,
  definePlugin,
  definePrivacyFilter,
  defineRanker,
  defineScorer,
  defineSideEffect,
  itemField,
  type PluginDefinition,
  tensor,
} from '@recloom/plugin-api';
import { z } from 'zod';
import { canary } from './shop-folder.js';

/** What the components of the plugin do when they are called; each is left out = does what it should. */
export interface Misbehaviour {
  fit?: () => unknown;
  create?: () => unknown;
  propose?: (limit: number) => unknown;
  filter?: (removed: Uint8Array) => unknown;
  score?: (out: Float32Array) => unknown;
  rank?: (count: number) => unknown;
  gate?: () => unknown;
  filterResult?: (removed: Uint8Array) => unknown;
  extract?: (values: Float32Array, presence: Uint8Array) => unknown;
  effect?: () => unknown;
  dispose?: () => unknown;
}

/** Throws what a careless component would: an error that quotes what it worked on. */
export function quoteData(): never {
  throw new TypeError(`cannot read the name of ${canary} Name 7`);
}

/** Never answers. */
export function hang(): Promise<never> {
  return new Promise(() => {});
}

/** A plugin `odd` whose components do whatever `behaviour` says. */
export function misbehavingPlugin(behaviour: Misbehaviour = {}): PluginDefinition {
  const options = z.strictObject({});
  const plain = { options, capabilities: {}, stateVersion: 1 } as const;
  const dispose = (): void => void behaviour.dispose?.();
  return definePlugin({
    apiVersion: 1,
    id: 'odd',
    components: [
      defineCandidateSource({
        ...plain,
        id: 'source',
        summary: 'A source.',
        create: () => ({ propose: (_batch, limit) => behaviour.propose?.(limit) as never, dispose }),
      }),
      defineComponent({
        ...plain,
        id: 'fitted',
        summary: 'A source that is fitted.',
        provides: ['source'],
        fit: () => (behaviour.fit === undefined ? { rows: tensor(Int32Array.of(1, 2)) } : behaviour.fit()) as never,
        create: () => (behaviour.create?.() ?? { propose: () => behaviour.propose?.(0) }) as never,
      }),
      defineCandidateFilter({
        ...plain,
        id: 'filter',
        summary: 'A filter.',
        create: () => ({ removalReasons: ['odd'], filter: (_batch, removed) => behaviour.filter?.(removed) as never }),
      }),
      defineScorer({
        ...plain,
        id: 'scorer',
        summary: 'A scorer.',
        create: () => ({ score: (_batch, out) => (behaviour.score === undefined ? void out.fill(1) : behaviour.score(out)) as never }),
      }),
      defineRanker({
        ...plain,
        id: 'ranker',
        summary: 'A ranker.',
        create: () => ({
          rank: (list) => (behaviour.rank?.(list.count) ?? Int32Array.from({ length: list.count }, (_, index) => index)) as never,
        }),
      }),
      definePrivacyFilter({
        ...plain,
        id: 'privacy',
        summary: 'A gate and a result filter.',
        create: () => ({
          gate: () => (behaviour.gate === undefined ? ['history', 'profile', 'location'] : behaviour.gate()) as never,
          filterResult: (_list, removed) => behaviour.filterResult?.(removed) as never,
        }),
      }),
      defineFeatureExtractor({
        ...plain,
        id: 'feature',
        summary: 'Two numbers per item.',
        inputs: { text: itemField({ description: 'any text' }) },
        capabilities: { scopes: ['item'] },
        create: () => ({
          width: 2,
          extract(_batch, out) {
            out.values.fill(1);
            out.presence.fill(1);
            return behaviour.extract?.(out.values, out.presence) as never;
          },
        }),
      }),
      defineSideEffect({
        ...plain,
        id: 'effect',
        summary: 'A side effect.',
        create: () => ({ onAnswer: () => behaviour.effect?.() as never }),
      }),
    ],
  });
}
