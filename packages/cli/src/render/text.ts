// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const escapeSequence = /\u001b\[[0-9;]*m/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controlCharacters = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const noWidth = /^(?:\p{Mn}|\p{Me}|[\u200b-\u200d])$/u;
const twoWide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

/** Text of a data file made safe for a terminal: control characters and reordering marks become blanks, blanks are joined. */
export function printable(text: string): string {
  return text.replace(controlCharacters, ' ').replace(/\s+/g, ' ').trim();
}

/** Characters that a text takes on a terminal; colours take none, East Asian wide characters two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text.replace(escapeSequence, '')) width += noWidth.test(character) ? 0 : twoWide.test(character) ? 2 : 1;
  return width;
}

/** Cut to `width` with an ellipsis. The text must not hold colours. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    const next = displayWidth(character);
    if (used + next > width - 1) break;
    kept += character;
    used += next;
  }
  return width < 1 ? '' : `${kept.trimEnd()}…`;
}

/** Filled with blanks to `width`. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

/** Lines of at most `width`, broken at blanks; every line starts with `indent` (the first with `first`). A longer word stands alone. */
export function wrap(text: string, width: number, indent = '', first = indent): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(/\s+/)) {
    if (word === '') continue;
    if (!isEmpty && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = indent;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  lines.push(line);
  return lines;
}
