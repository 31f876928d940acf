import type { HistoryStore, Warning } from '@recloom/plugin-api';

/**
 * Which event types count, one flag per type code: those named; by default `purchase` where such events occur, else all.
 * A name the data do not have is told through `warn` (code GRAPH_UNKNOWN_TYPE).
 */
export function countedTypes(
  history: HistoryStore,
  names: readonly string[] | undefined,
  warn: (warning: Warning) => void,
): readonly boolean[] {
  if (names === undefined) {
    const purchase = history.typeNames.indexOf('purchase');
    const bought = purchase >= 0 && history.types.includes(purchase);
    return history.typeNames.map((_, code) => !bought || code === purchase);
  }
  const unknown = names.filter((name) => !history.typeNames.includes(name));
  if (unknown.length > 0) {
    warn({
      code: 'GRAPH_UNKNOWN_TYPE',
      message: `The events have no type ${unknown.map((name) => `"${name}"`).join(', ')}; they have ${history.typeNames.map((name) => `"${name}"`).join(', ') || 'none'}.`,
      count: unknown.length,
    });
  }
  return history.typeNames.map((name) => names.includes(name));
}
