import type { CandidateBatch, FeatureMatrix, InferenceTensor, RequestView } from '@recloom/plugin-api';
import type { Arena, InputFiller } from './input-filler.js';

/** A float32 input [rows, width] with the vector of each candidate, zeros where it has none. */
export function embeddingInput(input: string, feature: FeatureMatrix): InputFiller {
  return {
    input,
    perCandidate: true,
    reads: [],
    fill(batch: CandidateBatch, arena: Arena): InferenceTensor {
      const { width } = feature;
      const data = arena.outgoing(batch.count * width);
      copyVectors(feature, batch.rows, batch.count, data, 0);
      return { type: 'float32', dims: [batch.count, width], data };
    },
  };
}

/** A float32 input [1, width] with the vector of what the request asks for, zeros where it brings nothing of the kind. */
export function queryEmbeddingInput(input: string, feature: FeatureMatrix): InputFiller {
  return {
    input,
    perCandidate: false,
    reads: [],
    fill(batch: CandidateBatch, arena: Arena): InferenceTensor {
      const { width } = feature;
      const data = arena.floats(width);
      const vector = (batch.requests[0] as RequestView).queryVector(feature.name);
      if (vector?.length === width) data.set(vector);
      else data.fill(0);
      return { type: 'float32', dims: [1, width], data };
    },
  };
}

/** Writes the vectors of `count` rows from row `first` of `out` on; zeros for a row that has none or lies past what is known. */
export function copyVectors(feature: FeatureMatrix, rows: Int32Array, count: number, out: Float32Array, first: number): void {
  const { width, values, presence, rowCount } = feature;
  for (let place = 0; place < count; place++) {
    const row = rows[place] as number;
    const to = (first + place) * width;
    if (row >= rowCount || presence[row] !== 1) {
      out.fill(0, to, to + width);
      continue;
    }
    const from = row * width;
    for (let index = 0; index < width; index++) out[to + index] = values[from + index] as number;
  }
}
