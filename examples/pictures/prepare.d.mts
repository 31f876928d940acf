/** One item of the catalogue. */
export interface PictureItem {
  readonly id: string;
  readonly label: string;
  readonly group: string;
  readonly subgroup: string;
  /** In the catalogue, in no index. */
  readonly tags: readonly string[];
  readonly emoji: string;
  /** Path from the folder of shop.yaml. */
  readonly photo: string;
}

/** The folder of pictures of `@lobehub/fluent-emoji-3d`. */
export const pictures: string;
/** The file that `prepare` writes. */
export const catalogue: string;
/** Finds the picture of an emoji by its code points (`1F98A`), as an absolute path; undefined where there is none. */
export function pictureFinder(): (hexcode: string) => string | undefined;
/** Items as they go into the catalogue, in the order of their ids. */
export function readItems(): readonly PictureItem[];
/** Writes the catalogue and gives its items. */
export function prepare(): readonly PictureItem[];
