import { crc32, deflateSync } from 'node:zlib';
import { createRandomStream, type ImageReader, recloomError } from '@recloom/plugin-api';

/** How large a made-up picture is. */
export interface PictureSize {
  /** Pixels; default 48. */
  readonly width?: number;
  /** Pixels; default 48. */
  readonly height?: number;
}

/**
 * A small PNG (RGB, 8 bits) of coloured rectangles: the same seed gives the same pixels, another seed a picture that
 * looks different. For tests of components that decode pictures.
 */
export function testPicture(seed: number, { width = 48, height = 48 }: PictureSize = {}): Uint8Array {
  const random = createRandomStream(seed + 1);
  const colour = (): number[] => [random.integer(256), random.integer(256), random.integer(256)];
  const shapes = Array.from({ length: 5 }, (_, index) => {
    const left = index === 0 ? 0 : random.integer(width);
    const top = index === 0 ? 0 : random.integer(height);
    return {
      left,
      top,
      right: index === 0 ? width : left + 4 + random.integer(width),
      bottom: index === 0 ? height : top + 4 + random.integer(height),
      colour: colour(),
    };
  });
  // One filter byte (0: none) before each line, as PNG wants it.
  const lines = new Uint8Array(height * (1 + width * 3));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const shape of shapes) {
        if (x >= shape.left && x < shape.right && y >= shape.top && y < shape.bottom) {
          lines.set(shape.colour, y * (1 + width * 3) + 1 + x * 3);
        }
      }
    }
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8);
  return Uint8Array.from(
    Buffer.concat([
      Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
      chunk('IHDR', header),
      chunk('IDAT', deflateSync(lines)),
      chunk('IEND', new Uint8Array(0)),
    ]),
  );
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.byteLength, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** Bytes that are no picture anybody can read, by what is wrong with them. */
export function brokenPictures(): Readonly<Record<string, Uint8Array>> {
  const whole = testPicture(7);
  const text = new TextEncoder().encode('this is no picture, whatever its name says');
  return {
    empty: new Uint8Array(0),
    text,
    truncated: whole.subarray(0, Math.floor(whole.byteLength / 2)).slice(),
    'header-only': whole.subarray(0, 8).slice(),
    'lying-header': Uint8Array.from([...whole.subarray(0, 8), ...text]),
    vector: new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'),
  };
}

/**
 * An image reader over made-up pictures. References: `picture:<n>` is the picture of seed n, `broken:<kind>` one of
 * `brokenPictures`, `data:` URIs with base64 are decoded, and whatever `pictures` names. `refused:` is refused, `failing:`
 * fails with an error of no code (a host's own reader may), everything else is missing. Limits and signals are kept.
 */
export function pictureReader(pictures: Readonly<Record<string, Uint8Array>> = {}): ImageReader & { readonly reads: number } {
  const broken = brokenPictures();
  let reads = 0;
  const find = (reference: string): Uint8Array => {
    const own = pictures[reference];
    if (own !== undefined) return own;
    const [scheme, rest = ''] = reference.split(/:(.*)/s);
    if (scheme === 'picture' && /^\d+$/.test(rest)) return testPicture(Number(rest));
    if (scheme === 'broken' && Object.hasOwn(broken, rest)) return broken[rest] as Uint8Array;
    if (scheme === 'data' && rest.includes(';base64,')) return Uint8Array.from(Buffer.from(rest.slice(rest.indexOf(',') + 1), 'base64'));
    if (scheme === 'refused') throw recloomError('RECLOOM_DAT_IMAGE_REFUSED', { why: 'it lies outside the allowed folders' });
    if (scheme === 'failing') throw new Error('The storage does not answer.');
    throw recloomError('RECLOOM_DAT_IMAGE_MISSING', {});
  };
  return {
    get reads() {
      return reads;
    },
    async read(reference, { maximumBytes }, signal) {
      signal.throwIfAborted();
      reads++;
      await Promise.resolve();
      const bytes = find(reference);
      if (bytes.byteLength > maximumBytes) throw recloomError('RECLOOM_DAT_IMAGE_TOO_LARGE', { maximumBytes });
      return bytes.slice();
    },
  };
}
