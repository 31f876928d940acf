import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { root } from './online-retail.js';

/** A picture of the picture demo. */
export interface EmojiPicture {
  readonly label: string;
  /** Absolute path of a WebP file. */
  readonly file: string;
}

/** The pictures of Fluent Emoji with the labels of emojibase, in the order of their code points. @throws Error when they are not installed. */
export function emojiPictures(): readonly EmojiPicture[] {
  const { resolve } = createRequire(join(root, 'package.json'));
  const folder = join(dirname(resolve('@lobehub/fluent-emoji-3d/package.json')), 'assets');
  const entries = JSON.parse(readFileSync(resolve('emojibase-data/en/data.json'), 'utf8')) as { hexcode: string; label: string }[];
  return entries
    .map(({ hexcode, label }) => ({ label, file: join(folder, `${hexcode.toLowerCase()}.webp`) }))
    .filter(({ file }) => existsSync(file))
    .sort((one, other) => (one.file < other.file ? -1 : 1));
}
