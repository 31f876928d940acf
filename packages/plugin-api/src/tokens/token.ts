declare const valueType: unique symbol;

/** A typed key for a service a component needs; two tokens are the same when their ids are. */
export interface Token<Value> {
  readonly id: string;
  readonly description: string;
  /** Never present at run time: carries the type. */
  readonly [valueType]?: Value;
}

/** Makes a token. Ids of ours begin with `recloom.`; a plugin's own begin with its id. */
export function createToken<Value>(id: string, description: string): Token<Value> {
  return Object.freeze({ id, description });
}

/** The value a token stands for. */
export type TokenValue<T> = T extends Token<infer Value> ? Value : never;

/** What a host hands in: pairs of token and value. */
export type Provided = readonly (readonly [Token<unknown>, unknown])[];
