/** A piece of a page that is safe to insert: written here, or escaped. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template takes: texts and numbers are escaped, `undefined` and `false` show nothing, lists are joined. */
export type HtmlPart = Html | string | number | undefined | false | readonly HtmlPart[];

/** A template whose values are escaped unless they are `Html` themselves, for text and for attributes in double quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  let text = strings[0] as string;
  for (const [place, part] of parts.entries()) text += textOf(part) + (strings[place + 1] as string);
  return new Html(text);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unshowable =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Text without characters that no page may hold or that reorder what stands around them, blanks joined. */
export function plain(text: string): string {
  return text.replace(unshowable, ' ').replace(/\s+/g, ' ').trim();
}

/** Markup out, for text between tags and in attributes in quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Cut to at most `length` letters with an ellipsis, never within a character; East Asian letters and emoji count twice, as wide as they are. */
export function shortened(text: string, length: number): string {
  let kept = '';
  let used = 0;
  let wasShort = '';
  for (const { segment } of new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)) {
    used += wide.test(segment) ? 2 : 1;
    if (used <= length - 1) wasShort += segment;
    if (used > length) return `${wasShort.trimEnd()}…`;
    kept += segment;
  }
  return kept;
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f000}-\u{1faff}\u{20000}-\u{3fffd}]/u;

function textOf(part: HtmlPart): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'string') return escapeHtml(part);
  if (typeof part === 'number') return String(part);
  return part.map(textOf).join('');
}
