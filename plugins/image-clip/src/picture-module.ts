import { type DecoderSettings, PictureDecoder } from './picture-decoder.js';
import { PictureError, type PictureFault } from './picture-fault.js';
import type { Preprocessing } from './preprocessing.js';

/** How pictures are decoded, as it crosses to another thread: `preprocessing` as JSON. */
export type PictureSettings = { readonly [Name in keyof DecoderSettings]: Name extends 'preprocessing' ? string : DecoderSettings[Name] };

/** What came of a picture: a fault, or the planes where the caller gave no memory that both sides see. */
export type DecodedPicture = { readonly fault: PictureFault } | { readonly planes?: Float32Array };

/** What `open` gives: a function whose arguments and result cross to another thread. */
export interface PictureModule {
  /** Writes the planes to `planes` when that is memory both sides see, else to memory of its own. */
  decode(bytes: Uint8Array, planes: Float32Array | undefined): Promise<DecodedPicture>;
}

/**
 * Opens a decoder; run by the inference service on its background thread: setting native work up, cutting and scaling the pixels take
 * a millisecond or two a picture, and the memory they fill would have V8 collect the garbage of the host's heap several times a second.
 *
 * @throws RECLOOM_PLG_LIBRARY_MISSING
 */
export async function open({ preprocessing: text, ...limits }: PictureSettings): Promise<PictureModule> {
  const preprocessing = JSON.parse(text) as Preprocessing;
  const { cropWidth, cropHeight } = preprocessing;
  const decoder = await PictureDecoder.open({ ...limits, preprocessing });
  return {
    decode: async (bytes, planes = new Float32Array(3 * cropWidth * cropHeight)) => {
      try {
        await decoder.decode(bytes, planes);
      } catch (error) {
        if (error instanceof PictureError) return { fault: error.fault };
        throw error;
      }
      return planes.buffer instanceof SharedArrayBuffer ? {} : { planes };
    },
  };
}
