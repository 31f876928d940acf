import { type ComponentState, type CreateContext, createToken, recloomError, type Table, type Token } from '@recloom/plugin-api';

/** The validated options. */
export const optionsToken: Token<unknown> = createToken('recloom.decorators.options', 'the options of this component');
/** What `static fit` returned. */
export const stateToken: Token<ComponentState> = createToken('recloom.decorators.state', 'the fitted state of this component');
/** The catalogue, live. */
export const itemsToken: Token<Table> = createToken('recloom.decorators.items', 'the catalogue');
/** What `in:` plugs in, by name. */
export const inputsToken: Token<Readonly<Record<string, unknown>>> = createToken(
  'recloom.decorators.inputs',
  'the inputs of this component',
);
/** Everything `create` is given: name, folder, options, inputs, state, items, signal, warn. */
export const contextToken: Token<CreateContext<unknown, Record<never, never>, Record<never, never>>> = createToken(
  'recloom.decorators.context',
  'everything this component is created from',
);

/** A part of the component's own context rather than a service of the host. */
const ownParts: Readonly<Record<string, (context: CreateContext<unknown, never, never>) => unknown>> = Object.freeze({
  [optionsToken.id]: (context) => context.options,
  [stateToken.id]: (context) => context.state,
  [itemsToken.id]: (context) => context.items,
  [inputsToken.id]: (context) => context.inputs,
  [contextToken.id]: (context) => context,
});

/** What a class asks for: tokens by constructor parameter and by field. */
export interface Injections {
  readonly parameters: ReadonlyMap<number, Token<unknown>>;
  readonly fields: ReadonlyMap<string | symbol, Token<unknown>>;
}

interface OwnInjections {
  readonly parameters: Map<number, Token<unknown>>;
  readonly fields: Map<string | symbol, Token<unknown>>;
}

// Under a symbol on the class itself: no registry that outlives the class, none to share between pipelines.
const mark = Symbol.for('recloom.decorators.injections');

type Marked = { [mark]?: OwnInjections };

function ownInjections(target: object): OwnInjections {
  if (!Object.hasOwn(target, mark)) {
    const fresh: OwnInjections = { parameters: new Map(), fields: new Map() };
    Object.defineProperty(target, mark, { value: fresh });
  }
  return (target as Marked)[mark] as OwnInjections;
}

/**
 * Asks for the service of a token, on a constructor parameter or a field: `constructor(@inject(loggerToken) logger: Logger)`
 * or `@inject(loggerToken) readonly logger!: Logger`. The token is always named, since no type is known at run time (tsx and
 * others write no decorator metadata). Fields are set after the constructor has run.
 *
 * @throws RECLOOM_PLG_INVALID when the compiler used the other kind of decorators (see `experimentalDecorators`).
 */
export function inject(token: Token<unknown>): (target: object | undefined, key: string | symbol | undefined, index?: number) => void {
  return (target, key, index) => {
    if (target === undefined || (typeof key === 'object' && key !== null)) {
      throw recloomError('RECLOOM_PLG_INVALID', {
        plugin: token.id,
        why: 'it was compiled with standard decorators, which have none for parameters; set "experimentalDecorators": true in tsconfig.json',
      });
    }
    if (index !== undefined) ownInjections(target).parameters.set(index, token);
    else if (key !== undefined) ownInjections(target.constructor).fields.set(key, token);
  };
}

/** What a class and its ancestors ask for: the parameters of the nearest constructor, the fields of all. */
export function injectionsOf(target: object): Injections {
  let parameters: ReadonlyMap<number, Token<unknown>> | undefined;
  const fields = new Map<string | symbol, Token<unknown>>();
  for (let at: object | null = target; typeof at === 'function'; at = Object.getPrototypeOf(at) as object | null) {
    const own = Object.hasOwn(at, mark) ? (at as Marked)[mark] : undefined;
    // A class without a constructor of its own passes everything on to its parent's.
    if (parameters === undefined && ((own?.parameters.size ?? 0) > 0 || (at as { length: number }).length > 0))
      parameters = own?.parameters ?? new Map();
    for (const [key, token] of own?.fields ?? []) if (!fields.has(key)) fields.set(key, token);
  }
  return { parameters: parameters ?? new Map(), fields };
}

/** True for a token that stands for a part of the component's own context. */
export function isOwnPart(token: Token<unknown>): boolean {
  return Object.hasOwn(ownParts, token.id);
}

/** The value of a token for one instance. */
export function resolveInjection(token: Token<unknown>, context: CreateContext<unknown, never, never>): unknown {
  const part = ownParts[token.id];
  return part === undefined ? (context.deps as Readonly<Record<string, unknown>>)[token.id] : part(context);
}
