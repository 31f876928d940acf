// Writes the catalogue of the picture demo: one line per emoji that has a picture. `node examples/pictures/prepare.mjs`
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const directory = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
/** Group 2 of emojibase holds skin tones and hair styles, which are no pictures of their own. */
const componentsGroup = 2;

/** The folder of pictures of @lobehub/fluent-emoji-3d. */
export const pictures = join(dirname(require.resolve('@lobehub/fluent-emoji-3d/package.json')), 'assets');
/** Below the config's cache folder, which is never committed. */
export const catalogue = join(directory, '.recloom', 'catalogue', 'items.json');

/** The picture of an emoji by its code points; the package and emojibase differ in where they put the variation selector FE0F. */
export function pictureFinder() {
  const bare = (code) => code.toLowerCase().replaceAll('-fe0f', '');
  const files = new Map();
  for (const file of readdirSync(pictures).sort().reverse()) files.set(bare(file.replace(/\.webp$/, '')), file);
  const exact = new Set(files.values());
  return (hexcode) => {
    const own = `${hexcode.toLowerCase()}.webp`;
    const file = exact.has(own) ? own : files.get(bare(hexcode));
    return file === undefined ? undefined : join(pictures, file);
  };
}

/** Items as they go into the catalogue, in the order of their ids. */
export function readItems() {
  const read = (file) => JSON.parse(readFileSync(require.resolve(`emojibase-data/en/${file}`), 'utf8'));
  const { groups, subgroups } = read('messages.json');
  const nameOf = (list) => new Map(list.map(({ order, message }) => [order, message]));
  const [group, subgroup] = [nameOf(groups), nameOf(subgroups)];
  const pictureOf = pictureFinder();
  return read('data.json')
    .filter((entry) => entry.group !== undefined && entry.group !== componentsGroup)
    .map((entry) => ({ entry, picture: pictureOf(entry.hexcode) }))
    .filter(({ picture }) => picture !== undefined)
    .map(({ entry, picture }) => ({
      id: entry.hexcode,
      label: entry.label,
      group: group.get(entry.group),
      subgroup: subgroup.get(entry.subgroup),
      tags: entry.tags ?? [],
      emoji: entry.emoji,
      photo: relative(directory, picture).replaceAll('\\', '/'),
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Writes the catalogue and gives its items. */
export function prepare() {
  const items = readItems();
  mkdirSync(dirname(catalogue), { recursive: true });
  const part = `${catalogue}.${process.pid}.part`;
  writeFileSync(part, `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]\n`);
  renameSync(part, catalogue);
  return items;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(`${prepare().length} items in ${relative(process.cwd(), catalogue)}\n`);
}
