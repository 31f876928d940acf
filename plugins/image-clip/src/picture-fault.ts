/** Why a picture is left out. Facts about the bytes, never the bytes or the reference themselves. */
export const pictureFaults = {
  animated: { code: 'IMAGE_CLIP_ANIMATED', what: 'moves' },
  damaged: { code: 'IMAGE_CLIP_DAMAGED', what: 'is damaged or cut short' },
  empty: { code: 'IMAGE_CLIP_EMPTY', what: 'is empty' },
  format: { code: 'IMAGE_CLIP_FORMAT', what: 'is not JPEG, PNG, WebP, AVIF or GIF' },
  lying: { code: 'IMAGE_CLIP_LYING', what: 'has another format than its name or media type says' },
  missing: { code: 'IMAGE_CLIP_MISSING', what: 'was not found' },
  notFinite: { code: 'IMAGE_CLIP_NOT_FINITE', what: 'made the model give numbers that are not finite, or nothing but zeros' },
  refused: { code: 'IMAGE_CLIP_REFUSED', what: 'lies outside the folders and hosts that may be read' },
  timeout: { code: 'IMAGE_CLIP_TIMEOUT', what: 'took too long to decode' },
  tooManyBytes: { code: 'IMAGE_CLIP_TOO_MANY_BYTES', what: 'has a file larger than `maximumBytes`' },
  tooManyPixels: { code: 'IMAGE_CLIP_TOO_MANY_PIXELS', what: 'has more pixels than `maximumPixels`' },
  unreadable: { code: 'IMAGE_CLIP_UNREADABLE', what: 'could not be read' },
} as const;

/** Why a picture cannot be used. */
export type PictureFault = keyof typeof pictureFaults;

/** Thrown within the plugin for one picture that cannot be used; never leaves it. */
export class PictureError extends Error {
  readonly fault: PictureFault;

  constructor(fault: PictureFault, cause?: unknown) {
    super(fault, cause === undefined ? undefined : { cause });
    this.name = 'PictureError';
    this.fault = fault;
  }
}
