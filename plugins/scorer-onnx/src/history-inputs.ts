import type { CandidateBatch, FeatureMatrix, HistoryView, InferenceTensor, RequestView, Table } from '@recloom/plugin-api';
import type { Vocabulary } from './category-input.js';
import { copyVectors } from './embedding-inputs.js';
import type { Arena, InputFiller } from './input-filler.js';
import { writeIntegers } from './integers.js';

const dayMs = 86_400_000;

/** Where the newest `length` events begin in the history, and where they begin in the input. */
function window(history: HistoryView, length: number): { readonly from: number; readonly first: number } {
  const kept = Math.min(history.length, length);
  return { from: history.length - kept, first: length - kept };
}

function filler(input: string, fill: (request: RequestView, history: HistoryView, arena: Arena) => InferenceTensor): InputFiller {
  return {
    input,
    perCandidate: false,
    reads: [],
    fill: (batch: CandidateBatch, arena: Arena) => {
      const request = batch.requests[0] as RequestView;
      return fill(request, request.history, arena);
    },
  };
}

/** An integer input [1, length] with the numbers of the items of the newest events, newest last, 0 in front. */
export function historyIdsInput(input: string, length: number, type: 'int64' | 'int32', vocabulary: Vocabulary, items: Table): InputFiller {
  return filler(input, (_request, history, arena) => {
    const numbers = arena.words(length).fill(0);
    const { from, first } = window(history, length);
    for (let place = first; place < length; place++) {
      numbers[place] = vocabulary.numberOf(items.idOf(history.items[from + place - first] as number));
    }
    const dims = [1, length];
    return type === 'int32' ? { type, dims, data: numbers } : { type, dims, data: writeIntegers(numbers, arena.longs(length)) };
  });
}

/** A float32 input [1, length, width] with the vectors of the items of the newest events, newest last, zeros in front. */
export function historyEmbeddingInput(input: string, length: number, feature: FeatureMatrix): InputFiller {
  return filler(input, (_request, history, arena) => {
    const { width } = feature;
    const data = arena.floats(length * width);
    const { from, first } = window(history, length);
    data.fill(0, 0, first * width);
    copyVectors(feature, history.items.subarray(from), length - first, data, first);
    return { type: 'float32', dims: [1, length, width], data };
  });
}

/** A float32 input [1, length] with the ages of the newest events in days (0 at the least) or their weights, newest last, 0 in front. */
export function historyNumberInput(input: string, length: number, kind: 'ageDays' | 'weight'): InputFiller {
  return filler(input, (request, history, arena) => {
    const data = arena.floats(length).fill(0);
    const { from, first } = window(history, length);
    for (let place = first; place < length; place++) {
      const event = from + place - first;
      data[place] =
        kind === 'weight' ? (history.weights[event] as number) : Math.max(0, (request.asOfMs - (history.timesMs[event] as number)) / dayMs);
    }
    return { type: 'float32', dims: [1, length], data };
  });
}

/** An input [1, length], float32 or bool: 1 where there is an event, 0 in front. */
export function historyMaskInput(input: string, length: number, type: 'float32' | 'bool'): InputFiller {
  return filler(input, (_request, history, arena) => {
    const data = type === 'bool' ? arena.bytes(length) : arena.floats(length);
    const { first } = window(history, length);
    data.fill(0, 0, first).fill(1, first);
    return { type, dims: [1, length], data };
  });
}
