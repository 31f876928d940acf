/** An item as the page shows it; `picture` is a data URI. */
export interface ShownItem {
  readonly id: string;
  readonly label: string;
  readonly group: string;
  readonly picture: string;
}

/** What the page keeps of an answer. */
export interface ShownAnswer {
  readonly milliseconds: number;
  readonly devices: readonly string[];
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
  readonly items: readonly (ShownItem & {
    readonly reason: string;
    readonly sources: readonly { readonly name: string; readonly rank: number; readonly score: number }[];
  })[];
}

/** The picture of a search, as a data URI. */
export interface ShownPicture {
  readonly picture: string;
  readonly alt: string;
  readonly note?: string;
}

/** Everything on the page. Times are in milliseconds. */
export interface PicturePage {
  readonly version: string;
  readonly snapshotId: string;
  readonly counts: { readonly items: number };
  /** How many components were fitted. */
  readonly components: number;
  /** True when the pictures were embedded by an earlier build. */
  readonly kept: boolean;
  readonly buildMs: number;
  readonly totalMs: number;
  readonly sections: {
    readonly text: readonly { readonly text: string; readonly answer: ShownAnswer }[];
    readonly picture: readonly { readonly query: ShownPicture; readonly answer: ShownAnswer }[];
    readonly both: readonly {
      readonly query: ShownPicture;
      readonly text: string;
      readonly textWeight: number;
      readonly answer: ShownAnswer;
    }[];
    readonly broken: { readonly text: string; readonly answer: ShownAnswer };
    readonly like: readonly { readonly item: ShownItem; readonly looks: ShownAnswer; readonly both: ShownAnswer }[];
    readonly twins: readonly (readonly ShownItem[])[];
  };
  formatDuration(milliseconds: number): string;
  formatCount(count: number): string;
}

/** The page as one HTML document: no script, no network. */
export function renderPage(page: PicturePage): string;
