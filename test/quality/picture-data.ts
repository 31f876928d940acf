// The held-out emoji of the image model: pictures and labels it was never trained on. Used by picture-search.ts.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { heldOutLabels } from './emoji-data.js';

const require = createRequire(import.meta.url);
/** Groups and subgroups of emojibase that the model's evaluation leaves out: skin tones, flags, letters in a box. */
const leftOutGroups = new Set([2, 9]);
const leftOutSubgroups = new Set([94, 95]);

/** One concept: the first of its emoji that has a picture. */
export interface HeldOutConcept {
  /** As the model's evaluation writes it: small, without punctuation that separates. */
  readonly label: string;
  /** Absolute path of the picture, a WebP with transparency. */
  readonly picture: string;
}

const plain = (text: string): string =>
  text
    .replaceAll(':', ' ')
    .replaceAll(/[_\-/.]+/g, ' ')
    .replaceAll(/\b\d+\b/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .toLowerCase();

/** What "woman cook", "man cook" and "cook" have in common; they are one concept. */
const conceptOf = (label: string): string =>
  label
    .toLowerCase()
    .replaceAll(/\b(?:man|woman|men|women|person|people|boy|girl|old|older|mr|mrs|claus)\b|:.*/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '')
    .join(' ') || label.toLowerCase();

/** The concepts of heldout.json that Fluent Emoji 3D draws, in the order of emojibase-data. */
export function heldOutConcepts(): readonly HeldOutConcept[] {
  const entries = JSON.parse(readFileSync(require.resolve('emojibase-data/en/data.json'), 'utf8')) as readonly {
    readonly hexcode: string;
    readonly label: string;
    readonly group?: number;
    readonly subgroup?: number;
  }[];
  const assets = join(dirname(require.resolve('@lobehub/fluent-emoji-3d/package.json')), 'assets');
  const labels = heldOutLabels();
  const concepts = new Map<string, HeldOutConcept>();
  for (const { hexcode, label, group, subgroup } of entries) {
    if (group === undefined || leftOutGroups.has(group) || (subgroup !== undefined && leftOutSubgroups.has(subgroup))) continue;
    const written = plain(label);
    if ((!labels.has(written) && !labels.has(label)) || concepts.has(conceptOf(label))) continue;
    const code = hexcode.toLowerCase();
    const picture = [code, code.replace('-fe0f', ''), `${code}-fe0f`]
      .map((name) => join(assets, `${name}.webp`))
      .find((file) => existsSync(file));
    if (picture !== undefined) concepts.set(conceptOf(label), { label: written, picture });
  }
  return [...concepts.values()];
}

/** A drawing as the model's evaluation lays it out: cut to what is drawn, its long side 248 in a square of 256. */
export async function laidOut(file: string): Promise<Buffer> {
  const { data, info } = await sharp(file).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  let [left, top, right, bottom] = [info.width, info.height, -1, -1];
  for (let y = 0; y < info.height; y++) {
    for (let x = 0; x < info.width; x++) {
      if (data[(y * info.width + x) * 4 + 3] === 0) continue;
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
    }
  }
  const [width, height] = [right - left + 1, bottom - top + 1];
  const scale = 248 / Math.max(width, height);
  const [toWidth, toHeight] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const drawn = await sharp(file)
    .ensureAlpha()
    .extract({ left, top, width, height })
    .resize(toWidth, toHeight, { fit: 'fill', kernel: 'lanczos3' })
    .png()
    .toBuffer();
  return sharp({ create: { width: 256, height: 256, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } } })
    .composite([{ input: drawn, left: Math.floor((256 - toWidth) / 2), top: Math.floor((256 - toHeight) / 2) }])
    .png()
    .toBuffer();
}
