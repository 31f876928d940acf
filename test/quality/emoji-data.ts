// The emoji of protocol Q7 (quality of keyword search): documents, queries and what is relevant to them.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pictureFinder } from '../../examples/pictures/prepare.mjs';

const require = createRequire(import.meta.url);
/** The repository; paths of pictures are relative to it. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
/** Group 2 of emojibase: skin tones and hair styles. */
const componentsGroup = 2;

interface EmojibaseEntry {
  readonly hexcode: string;
  readonly label: string;
  readonly tags?: readonly string[];
  readonly group?: number;
  readonly subgroup?: number;
}

/** One document; tags are never in it, since they are the queries. A type: records of a dataset have an index signature. */
export type EmojiDocument = {
  readonly id: string;
  readonly label: string;
  readonly group: string;
  readonly subgroup: string;
  /** Path of its picture from the repository; null where it has none. */
  readonly photo: string | null;
};

/** One query: a tag whose words occur in none of its relevant labels. */
export interface EmojiQuery {
  readonly text: string;
  /** Rows of the documents that carry the tag. */
  readonly relevant: ReadonlySet<number>;
  /** Options are chosen on one half, by a hash of the query; the other judges. */
  readonly half: 'validation' | 'test';
}

/** What protocol Q7 searches. */
export interface EmojiSearch {
  /** In the order of their ids, so that ties by ascending row are ties by ascending id. */
  readonly documents: readonly EmojiDocument[];
  readonly queries: readonly EmojiQuery[];
}

const wordsOf = (text: string): readonly string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];

function read(reference: string): unknown {
  return JSON.parse(readFileSync(require.resolve(reference), 'utf8'));
}

/** Labels whose pictures the image model was never trained on. */
export function heldOutLabels(): ReadonlySet<string> {
  const file = join(root, 'packages/model-image-minilm-lite0/heldout.json');
  return new Set((JSON.parse(readFileSync(file, 'utf8')) as { readonly emoji_labels: readonly string[] }).emoji_labels);
}

/** emojibase-data 17.0.0, English: the 1,914 documents (or those of them that `keep` keeps) and their queries. */
export function readEmojiSearch(keep: (document: EmojiDocument) => boolean = () => true): EmojiSearch {
  const entries = read('emojibase-data/en/data.json') as readonly EmojibaseEntry[];
  const { groups, subgroups } = read('emojibase-data/en/messages.json') as Record<
    'groups' | 'subgroups',
    readonly { readonly order: number; readonly message: string }[]
  >;
  const nameIn = (list: typeof groups, order: number | undefined): string => list.find((one) => one.order === order)?.message ?? '';
  const pictureOf = pictureFinder();
  const kept = entries
    .filter(({ group }) => group !== undefined && group !== componentsGroup)
    .sort((one, other) => (one.hexcode < other.hexcode ? -1 : 1))
    .map((entry) => {
      const picture = pictureOf(entry.hexcode);
      const document: EmojiDocument = {
        id: entry.hexcode,
        label: entry.label,
        group: nameIn(groups, entry.group),
        subgroup: nameIn(subgroups, entry.subgroup),
        photo: picture === undefined ? null : relative(root, picture).replaceAll('\\', '/'),
      };
      return { document, tags: entry.tags ?? [] };
    })
    .filter(({ document }) => keep(document));
  const rowsByTag = new Map<string, Set<number>>();
  for (const [row, { tags }] of kept.entries()) {
    for (const tag of tags) {
      const text = tag.toLowerCase();
      const rows = rowsByTag.get(text) ?? new Set<number>();
      rows.add(row);
      rowsByTag.set(text, rows);
    }
  }
  const documents = kept.map(({ document }) => document);
  const queries = [...rowsByTag].flatMap(([text, relevant]): EmojiQuery[] => {
    const words = new Set(wordsOf(text));
    const shared = [...relevant].some((row) => wordsOf(documents[row]?.label ?? '').some((word) => words.has(word)));
    if (shared) return [];
    const half = (createHash('sha256').update(text).digest()[0] ?? 0) % 2 === 0 ? 'validation' : 'test';
    return [{ text, relevant, half }];
  });
  return { documents, queries };
}
