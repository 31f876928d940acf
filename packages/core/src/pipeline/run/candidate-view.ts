import type { CandidateBatch, SourceColumns } from '@recloom/plugin-api';
import type { AssembledSurface } from '../assemble.js';
import type { CandidateSet } from '../candidate-set.js';
import type { RequestState } from '../request-state.js';

/** A set's columns as a component sees them. */
export class CandidateView implements CandidateBatch {
  readonly set: CandidateSet;
  readonly requests: readonly RequestState[];
  readonly count: number;
  readonly offsets: Int32Array;
  readonly rows: Int32Array;
  readonly #surface: AssembledSurface;
  readonly #finished: ReadonlyMap<string, Float32Array>;
  #sources: readonly SourceColumns[] | undefined;

  constructor(
    set: CandidateSet,
    requests: readonly RequestState[],
    surface: AssembledSurface,
    finished: ReadonlyMap<string, Float32Array>,
  ) {
    this.set = set;
    this.requests = requests;
    this.count = set.count;
    this.offsets = set.offsets.length === requests.length + 1 ? set.offsets : set.offsets.subarray(0, requests.length + 1);
    this.rows = set.rows.subarray(0, set.count);
    this.#surface = surface;
    this.#finished = finished;
  }

  get sources(): readonly SourceColumns[] {
    this.#sources ??= this.#surface.allSources.map((source, index) => ({
      name: source.name,
      scores: (this.set.sourceScores[index] as Float32Array).subarray(0, this.count),
      ranks: (this.set.sourceRanks[index] as Int32Array).subarray(0, this.count),
    }));
    return this.#sources;
  }

  column(name: string): Float32Array | undefined {
    return this.#finished.get(name);
  }
}
