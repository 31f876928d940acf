import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PictureError } from './picture-fault.js';
import { checkPromise, sniffPicture } from './picture-format.js';

const text = (value: string): Uint8Array => Uint8Array.from(value, (character) => character.charCodeAt(0));
const faultOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof PictureError) return error.fault;
    throw error;
  }
  return 'none';
};

describe('the first bytes', () => {
  // Signatures as the formats' specifications give them.
  it.each([
    ['jpeg', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0)],
    ['png', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
    ['gif', text('GIF87a')],
    ['gif', text('GIF89a')],
    ['webp', text('RIFF\u0004\0\0\0WEBPVP8 ')],
    ['avif', text('\0\0\0\u0018ftypavif\0\0\0\0avifmif1')],
    ['avif', text('\0\0\0\u0018ftypmif1\0\0\0\0mif1avif')],
  ])('say %s', (format, bytes) => {
    expect(sniffPicture(bytes)).toBe(format);
  });

  it.each([
    ['empty', new Uint8Array(0)],
    ['format', text('RIFF\u0004\0\0\0WAVEfmt ')],
    ['format', text('\0\0\0\u0018ftypheic\0\0\0\0mif1heic')],
    ['format', text('\0\0\0\u0018ftypmif1\0\0\0\0mif1heicavif')],
    ['format', text('II*\0')],
    ['animated', text('\0\0\0\u0018ftypavis\0\0\0\0avifmif1')],
    ['animated', text('RIFF\u0016\0\0\0WEBPVP8X\n\0\0\0\u0002\0\0\0')],
  ])('refuse what is %s', (fault, bytes) => {
    expect(faultOf(() => sniffPicture(bytes))).toBe(fault);
  });

  it('of a PNG of millions of empty chunks are told soon: well within the time a test has', () => {
    const chunks = 5_000_000;
    const bytes = new Uint8Array(12 * (chunks + 1));
    bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    expect(sniffPicture(bytes)).toBe('png');
    bytes.set(text('acTL'), 8 + 12 * (chunks - 1) + 4);
    expect(faultOf(() => sniffPicture(bytes))).toBe('animated');
  });

  it('of anything: a format or a fault, soon, whatever stands in length fields', () => {
    const starts = [
      [],
      [0xff, 0xd8, 0xff],
      [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
      [...text('\0\0\0\u0018ftyp')],
      [...text('RIFF    WEBP')],
    ];
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 200 }), (start, rest) => {
        const bytes = Uint8Array.from([...start, ...rest]);
        expect(['none', 'empty', 'format', 'animated']).toContain(faultOf(() => sniffPicture(bytes)));
      }),
    );
  });
});

describe('what a reference promises', () => {
  it.each([
    ['photos/a.png', 'png', 'none'],
    ['photos/a.PNG', 'png', 'none'],
    ['photos/a.jpg', 'jpeg', 'none'],
    ['photos/a.jpeg', 'png', 'lying'],
    ['photos/a.tiff', 'jpeg', 'lying'],
    ['photos/a.svg', 'png', 'lying'],
    ['photos/a.1200x800', 'png', 'none'],
    ['photos/a', 'gif', 'none'],
    ['s3://bucket/a.webp', 'avif', 'lying'],
    ['https://cdn.example/a.jpg', 'webp', 'none'],
    ['data:image/png;base64,AAAA', 'png', 'none'],
    ['data:image/jpeg;base64,AAAA', 'png', 'lying'],
    ['data:image/svg+xml;base64,AAAA', 'png', 'lying'],
    ['data:image/PNG,AAAA', 'png', 'none'],
    ['data:application/octet-stream;base64,AAAA.jpg', 'png', 'none'],
    ['data:;base64,AAAA', 'png', 'none'],
    ['constructor.toString', 'png', 'none'],
  ] as const)('%s with the bytes of %s: %s', (reference, format, fault) => {
    expect(faultOf(() => checkPromise(reference, format))).toBe(fault);
  });
});
