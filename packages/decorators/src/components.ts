import {
  type CandidateFilter as CandidateFilterContract,
  type CandidateSource as CandidateSourceContract,
  type ComponentDefinition,
  type ComponentSpec,
  type ComponentState,
  type ContractName,
  type CreateContext,
  type DataSource as DataSourceContract,
  defineComponent,
  type FeatureExtractor as FeatureExtractorContract,
  type InputsSpec,
  type InstanceOf,
  type NeedsSpec,
  type OptionsSchema,
  type PrivacyFilter as PrivacyFilterContract,
  type Ranker as RankerContract,
  recloomError,
  type Scorer as ScorerContract,
  type SideEffect as SideEffectContract,
  type Token,
} from '@recloom/plugin-api';
import { injectionsOf, isOwnPart, resolveInjection } from './injections.js';

/** What a decorator is told: a component's spec without what the class itself says (`needs`, `fit`, `create`). */
export type ClassSpec<Schema extends OptionsSchema, Inputs extends InputsSpec> = Omit<
  ComponentSpec<ContractName, Schema, NeedsSpec, Inputs>,
  'provides' | 'needs' | 'fit' | 'create'
>;

/**
 * A class whose instances provide the contracts. It may have a `static fit(context)` (its `context.deps` holds the injected
 * services by token id) and a method `open()`, awaited before the first request.
 */
export interface ComponentClass<Provides extends ContractName> {
  new (...injected: never[]): InstanceOf<Provides> & { open?(): void | Promise<void> };
  fit?(context: never): ComponentState | Promise<ComponentState>;
}

/** A decorator for classes that provide the contracts; another class is a type error. */
export type ComponentDecorator<Provides extends ContractName> = (target: ComponentClass<Provides>, context?: unknown) => void;

const mark = Symbol.for('recloom.decorators.definition');

/** Makes the class a component that provides the given contracts, e.g. `@Component(['source', 'scorer'], { … })`. */
export function Component<
  const Provides extends ContractName,
  Schema extends OptionsSchema,
  const Inputs extends InputsSpec = Record<never, never>,
>(provides: readonly Provides[], spec: ClassSpec<Schema, Inputs>): ComponentDecorator<Provides> {
  return (target) => {
    Object.defineProperty(target, mark, { value: lower(provides, spec, target) });
  };
}

/**
 * The component a decorated class stands for, for `definePlugin({ components: [componentOf(MyScorer)] })`.
 *
 * @throws RECLOOM_PLG_INVALID when the class is not decorated.
 */
export function componentOf(target: new (...injected: never[]) => object): ComponentDefinition {
  // Its own mark only: a class that extends a component is not yet one.
  if (!Object.hasOwn(target, mark)) {
    throw recloomError('RECLOOM_PLG_INVALID', { plugin: nameOf(target), why: 'the class has no decorator such as @Scorer({ … })' });
  }
  return (target as unknown as { [mark]: ComponentDefinition })[mark];
}

function nameOf(target: object): string {
  return (target as { name?: string }).name || 'an anonymous class';
}

function lower<Provides extends ContractName>(
  provides: readonly Provides[],
  spec: ClassSpec<OptionsSchema, InputsSpec>,
  target: ComponentClass<Provides>,
): ComponentDefinition {
  const { parameters, fields } = injectionsOf(target);
  const count = Math.max(target.length, ...[...parameters.keys()].map((index) => index + 1));
  const tokens = Array.from({ length: count }, (_, index): Token<unknown> => {
    const token = parameters.get(index);
    if (token !== undefined) return token;
    throw recloomError('RECLOOM_PLG_INVALID', {
      plugin: nameOf(target),
      why: `parameter ${index + 1} of its constructor has no @inject(token)`,
    });
  });
  const services = [...tokens, ...fields.values()].filter((token) => !isOwnPart(token));
  return defineComponent({
    ...spec,
    provides,
    needs: Object.fromEntries(services.map((token) => [token.id, token])),
    ...(target.fit === undefined ? {} : { fit: (context: unknown) => (target.fit as (context: unknown) => ComponentState)(context) }),
    async create(context: CreateContext<unknown, NeedsSpec, InputsSpec>) {
      const own = context as CreateContext<unknown, never, never>;
      const instance = new target(...(tokens.map((token) => resolveInjection(token, own)) as never[]));
      for (const [key, token] of fields) Object.defineProperty(instance, key, { value: resolveInjection(token, own), enumerable: true });
      await instance.open?.();
      return instance;
    },
  });
}

type ContractDecorator<Provides extends ContractName> = <
  Schema extends OptionsSchema,
  const Inputs extends InputsSpec = Record<never, never>,
>(
  spec: ClassSpec<Schema, Inputs>,
) => ComponentDecorator<Provides>;

function decoratorFor<Provides extends ContractName>(contract: Provides): ContractDecorator<Provides> {
  return (spec) => Component([contract], spec);
}

/** Makes a class a data source. The type of the same name is its contract. */
export const DataSource: ContractDecorator<'data'> = decoratorFor('data');
export type DataSource = DataSourceContract;
/** Makes a class a feature extractor. The type of the same name is its contract. */
export const FeatureExtractor: ContractDecorator<'extractor'> = decoratorFor('extractor');
export type FeatureExtractor = FeatureExtractorContract;
/** Makes a class a candidate source. The type of the same name is its contract. */
export const CandidateSource: ContractDecorator<'source'> = decoratorFor('source');
export type CandidateSource = CandidateSourceContract;
/** Makes a class a candidate filter. The type of the same name is its contract. */
export const CandidateFilter: ContractDecorator<'filter'> = decoratorFor('filter');
export type CandidateFilter = CandidateFilterContract;
/** Makes a class a scorer. The type of the same name is its contract. */
export const Scorer: ContractDecorator<'scorer'> = decoratorFor('scorer');
export type Scorer = ScorerContract;
/** Makes a class a ranker. The type of the same name is its contract. */
export const Ranker: ContractDecorator<'ranker'> = decoratorFor('ranker');
export type Ranker = RankerContract;
/** Makes a class a privacy filter. The type of the same name is its contract. */
export const PrivacyFilter: ContractDecorator<'privacy'> = decoratorFor('privacy');
export type PrivacyFilter = PrivacyFilterContract;
/** Makes a class a side effect. The type of the same name is its contract. */
export const SideEffect: ContractDecorator<'effect'> = decoratorFor('effect');
export type SideEffect = SideEffectContract;
