/**
 * What a column says about a person or a request. A component declares what it reads; the privacy gate decides what
 * a request grants. `item`, `query` and `session` come with the request itself; the others need a grant.
 */
export type Label = 'item' | 'query' | 'session' | 'history' | 'profile' | 'location' | 'image' | (string & {});

/** Labels that every request grants by being sent. */
export const requestLabels: readonly Label[] = Object.freeze(['item', 'query', 'session', 'image']);
