import type { Inference, InferenceSession, InferenceTensor, InferenceTensorInfo, ModelRequest } from '@recloom/plugin-api';

/** Numbers per picture: the mean red, green and blue (0 to 1) of the four quadrants, row by row, and a 1. */
export const fakeWidth = 13;

export interface FakeInference extends Inference {
  readonly requests: ModelRequest[];
  readonly runs: { readonly file: string; readonly rows: number }[];
  readonly closed: () => number;
}

/**
 * A model that can be checked by eye instead of by weights: its embedding of a picture is what the picture looks like.
 * Texts come out as their number of tokens times the unit vectors. `overrides` replace parts of a session by the kind of its file.
 */
export function fakeInference(
  overrides: { readonly vision?: Partial<InferenceSession>; readonly text?: Partial<InferenceSession> } = {},
): FakeInference {
  const requests: ModelRequest[] = [];
  const runs: { readonly file: string; readonly rows: number }[] = [];
  let closed = 0;
  return {
    requests,
    runs,
    closed: () => closed,
    load: async (request) => {
      requests.push(request);
      const kind = request.file.includes('vision') ? 'vision' : 'text';
      const session: InferenceSession = {
        inputs: kind === 'vision' ? [pixelInput] : [tokenInput('input_ids'), tokenInput('attention_mask')],
        outputs: [{ name: kind === 'vision' ? 'image_embeds' : 'text_embeds', type: 'float32', dims: ['batch', fakeWidth] }],
        provider: 'cpu',
        warnings: [],
        sha256: (kind === 'vision' ? 'ab' : 'cd').repeat(32),
        run: async (feeds) =>
          kind === 'vision' ? { image_embeds: look(feeds['pixel_values']) } : { text_embeds: count(feeds['input_ids']) },
        close: async () => {
          closed++;
        },
        ...overrides[kind],
      };
      return {
        ...session,
        run: (feeds, options) => {
          runs.push({ file: kind, rows: Object.values(feeds)[0]?.dims[0] ?? 0 });
          return session.run(feeds, options);
        },
      };
    },
  };
}

export const pixelInput: InferenceTensorInfo = { name: 'pixel_values', type: 'float32', dims: ['batch', 3, 224, 224] };
export const tokenInput = (name: string): InferenceTensorInfo => ({ name, type: 'int64', dims: ['batch', 'sequence'] });

function look(feed: InferenceTensor | undefined): InferenceTensor {
  const [rows = 0, , height = 0, width = 0] = feed?.dims ?? [];
  const pixels = feed?.data as Float32Array;
  const data = new Float32Array(rows * fakeWidth);
  for (let row = 0; row < rows; row++) {
    for (let channel = 0; channel < 3; channel++) {
      const plane = pixels.subarray((row * 3 + channel) * height * width, (row * 3 + channel + 1) * height * width);
      plane.forEach((value, place) => {
        const quadrant = (Math.floor(place / width) < height / 2 ? 0 : 2) + (place % width < width / 2 ? 0 : 1);
        const at = row * fakeWidth + quadrant * 3 + channel;
        data[at] = (data[at] as number) + (value * 0.5 + 0.5) / ((height * width) / 4);
      });
    }
    data[row * fakeWidth + fakeWidth - 1] = 1;
  }
  return { type: 'float32', dims: [rows, fakeWidth], data };
}

function count(feed: InferenceTensor | undefined): InferenceTensor {
  const [rows = 0, tokens = 0] = feed?.dims ?? [];
  const data = new Float32Array(rows * fakeWidth);
  for (let row = 0; row < rows; row++) data[row * fakeWidth + (tokens % fakeWidth)] = 1;
  return { type: 'float32', dims: [rows, fakeWidth], data };
}

/** Colours of the four quadrants, 0 to 255, out of an embedding of the fake model. */
export function colours(embedding: readonly number[] = []): readonly (readonly number[])[] {
  const one = embedding[fakeWidth - 1] ?? 1;
  return [0, 1, 2, 3].map((quadrant) => [0, 1, 2].map((channel) => Math.round(((embedding[quadrant * 3 + channel] ?? 0) / one) * 255)));
}
