/** A large batch lets the event loop turn after so long. */
const turnAfterMs = 8;

/** Resolves at once, or after the event loop has turned when this thread was busy for a while. */
export function eventLoopTurns(): () => Promise<void> | undefined {
  let last = performance.now();
  return () => {
    if (performance.now() - last < turnAfterMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        last = performance.now();
        resolve();
      });
    });
  };
}
