import type { Column, ComponentDefinition, FeatureMatrix, FeatureRows, RequestView } from '@recloom/plugin-api';
import { imageColumn, textColumn } from '../host/columns.js';
import { testPicture } from '../host/pictures.js';
import type { RequestParts } from '../host/requests.js';
import type { Subject } from './subject.js';

/** What a search brings along. */
export type QueryKind = 'text' | 'image' | 'both' | 'neither';

const words = ['red mug', 'something warm', 'garden lantern', 'a', 'vintage suitcase for travel'];

/** Which of words and pictures an extractor is asked with: what it says under `asks`, else what its modality says. */
export function askedWith({ capabilities }: ComponentDefinition): ReadonlySet<'text' | 'image'> {
  const asks = capabilities.asks ?? (capabilities.modality === 'text' ? ['text'] : capabilities.modality === 'image' ? ['image'] : []);
  return new Set(asks.filter((one) => one === 'text' || one === 'image'));
}

/** A search, the same for the same number: words, a picture as bytes (or, every third, as a reference), or both. */
export function sampleQuery(subject: Subject, row: number, kind: QueryKind, parts: RequestParts = {}): RequestView {
  const text = words[row % words.length] as string;
  const image = row % 3 === 2 ? `picture:${row}` : testPicture(row);
  return subject.shop.request(-1, {
    ...subject.fixture.request,
    queryVectors: queryVectorsOf(subject, row),
    seed: 50 + row,
    ...(kind === 'text' || kind === 'both' ? { text } : {}),
    ...(kind === 'image' || kind === 'both' ? { image } : {}),
    ...parts,
  });
}

/** One search per row: words and pictures in turn, as far as the extractor is asked with them. */
export function sampleQueries(subject: Subject, rows: readonly number[]): readonly RequestView[] {
  const asked = askedWith(subject.definition);
  const kinds: readonly QueryKind[] =
    asked.size === 0 || asked.size === 2 ? ['text', 'image', 'both'] : asked.has('text') ? ['text'] : ['image'];
  return rows.map((row, index) => ({ ...sampleQuery(subject, row, kinds[row % kinds.length] ?? 'text'), index }));
}

/** The columns of an extractor at query scope: words for a text input, the reference of a picture for an image input. */
export function queryColumns(subject: Subject, requests: readonly RequestView[]): Readonly<Record<string, readonly Column[]>> {
  const columns: Record<string, readonly Column[]> = {};
  for (const [name, spec] of Object.entries(subject.definition.inputs)) {
    if (spec.kind === 'feature' || subject.inputs[name] === undefined) continue;
    if (spec.types?.includes('image') === true) {
      columns[name] = [imageColumn(requests.map(({ image }) => (typeof image === 'string' ? image : null)))];
    } else if (spec.types === undefined || spec.types.includes('text') || spec.types.includes('category')) {
      columns[name] = [textColumn(requests.map(({ text }) => text ?? null))];
    }
  }
  return columns;
}

/** The features the test plugs in, by input name. */
export function featureInputs(subject: Subject): readonly (readonly [string, readonly FeatureMatrix[]])[] {
  return Object.entries(subject.inputs).flatMap(([name, given]): (readonly [string, readonly FeatureMatrix[]])[] => {
    const matrices = (Array.isArray(given) ? (given as readonly unknown[]) : [given]).filter(
      (one): one is FeatureMatrix => typeof one === 'object' && one !== null,
    );
    return matrices.length === 0 ? [] : [[name, matrices]];
  });
}

/** Made-up query vectors by feature: where there are several features, every fourth search lacks one of them. */
function queryVectorsOf(subject: Subject, row: number): Record<string, ArrayLike<number>> {
  const vectors: Record<string, ArrayLike<number>> = {};
  const matrices = featureInputs(subject).flatMap(([, some]) => some);
  for (const [place, matrix] of matrices.entries()) {
    if (matrices.length > 1 && (row + place) % 4 === 3) continue;
    const from = presentRow(matrix, row);
    vectors[matrix.name] = matrix.values.slice(from * matrix.width, (from + 1) * matrix.width);
  }
  return vectors;
}

/** The first row from `start` on that has the feature. */
function presentRow(matrix: FeatureMatrix, start: number): number {
  for (let step = 0; step < matrix.rowCount; step++) {
    const row = (start + step) % matrix.rowCount;
    if (matrix.presence[row] === 1) return row;
  }
  return 0;
}

/** The items' vectors for a batch at item scope; rows past the feature are absent. */
export function itemFeatures(subject: Subject, rows: readonly number[]): Readonly<Record<string, readonly FeatureRows[]>> {
  return featureRows(subject, rows.length, (matrix, place) => {
    const row = rows[place] ?? -1;
    return row >= 0 && row < matrix.rowCount && matrix.presence[row] === 1
      ? matrix.values.subarray(row * matrix.width, (row + 1) * matrix.width)
      : undefined;
  });
}

/** The vectors the features gave for the same requests. */
export function queryFeatures(subject: Subject, requests: readonly RequestView[]): Readonly<Record<string, readonly FeatureRows[]>> {
  return featureRows(subject, requests.length, (matrix, place) => requests[place]?.queryVector(matrix.name));
}

function featureRows(
  subject: Subject,
  count: number,
  vectorAt: (matrix: FeatureMatrix, place: number) => Float32Array | undefined,
): Readonly<Record<string, readonly FeatureRows[]>> {
  return Object.fromEntries(
    featureInputs(subject).map(([name, matrices]) => [
      name,
      matrices.map((matrix): FeatureRows => {
        const values = new Float32Array(count * matrix.width);
        const presence = new Uint8Array(count);
        for (let place = 0; place < count; place++) {
          const vector = vectorAt(matrix, place);
          if (vector === undefined) continue;
          values.set(vector, place * matrix.width);
          presence[place] = 1;
        }
        return { name: matrix.name, width: matrix.width, values, presence };
      }),
    ]),
  );
}
