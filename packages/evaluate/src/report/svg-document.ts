/** A document to draw in, of its own: the only file that knows linkedom. */
export async function createSvgDocument(): Promise<object> {
  const { parseHTML } = await import('linkedom');
  return parseHTML('<!doctype html><html><body></body></html>').document;
}
