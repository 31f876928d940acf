#!/usr/bin/env node
// Turns a recorded terminal session into an SVG:
//   script -qfc "stty cols 100 rows 50; npm run --silent demo" demo.rec
//   node scripts/docs-demo-image.mjs demo.rec docs/images/demo.svg 1,2,3:29,5,6
// The last argument names the chapters of the demo that are shown (lines that begin with "━━ <number>"), `3:29` the first 29
// lines of the third; all when absent.
import { readFileSync, writeFileSync } from 'node:fs';

const characterWidth = 7.83;
const lineHeight = 17;
const margin = 16;
const colours = { 31: '#ff7b72', 32: '#7ee787', 33: '#e3b341', 34: '#79c0ff', 35: '#d2a8ff', 36: '#76e3ea', 90: '#8b949e' };
const plain = { colour: undefined, bold: false, dim: false };

/** The lines a terminal would show at the end: a list of cells `{ text, style }` each. Cursor movements and erasing are followed. */
export function screenOf(recording) {
  const lines = [[]];
  let row = 0;
  let column = 0;
  let style = plain;
  const line = () => {
    while (lines.length <= row) lines.push([]);
    return lines[row];
  };
  const tokens = recording.matchAll(
    /\x1b\[([?\d;]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|\x1b[=>78]|([\r\n\b])|([^\x1b\r\n\b]+)/gu,
  );
  for (const [, parameters, command, control, text] of tokens) {
    const number = Number.parseInt(parameters || '', 10);
    const count = Number.isNaN(number) ? 1 : number;
    if (control === '\r') column = 0;
    else if (control === '\n') row++;
    else if (control === '\b') column = Math.max(0, column - 1);
    else if (command === 'm') style = styled(style, parameters);
    else if (command === 'A' || command === 'F') row = Math.max(0, row - count);
    else if (command === 'B' || command === 'E') row += count;
    else if (command === 'C') column += count;
    else if (command === 'D') column = Math.max(0, column - count);
    else if (command === 'G') column = count - 1;
    else if (command === 'K') {
      if (number === 2) line().length = 0;
      else if (number !== 1) line().length = Math.min(line().length, column);
    } else if (command === 'J') {
      line().length = Math.min(line().length, column);
      lines.length = row + 1;
    }
    for (const character of text ?? '') {
      const cells = line();
      while (cells.length < column) cells.push({ text: ' ', style: plain });
      cells[column++] = { text: character, style };
    }
    if (command === 'E' || command === 'F') column = 0;
  }
  return lines;
}

function styled(style, parameters) {
  let next = style;
  for (const code of (parameters || '0').split(';').map(Number)) {
    if (code === 0) next = plain;
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 2) next = { ...next, dim: true };
    else if (code === 22) next = { ...next, bold: false, dim: false };
    else if (code === 39) next = { ...next, colour: undefined };
    else if (colours[code] !== undefined) next = { ...next, colour: colours[code] };
  }
  return next;
}

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const textOf = (cells) => cells.map((cell) => cell.text).join('');

/** The chapters of the demo by number, each with its heading; what stands before the first is chapter 0. */
function chaptersOf(lines) {
  const chapters = new Map([[0, []]]);
  let current = 0;
  for (const cells of lines) {
    const heading = /^━━ (\d+) /.exec(textOf(cells));
    if (heading !== null) chapters.set((current = Number(heading[1])), []);
    chapters.get(current).push(cells);
  }
  return chapters;
}

function runsOf(cells) {
  const runs = [];
  for (const [column, cell] of cells.entries()) {
    const last = runs.at(-1);
    if (last !== undefined && last.style === cell.style) last.text += cell.text;
    else runs.push({ column, text: cell.text, style: cell.style });
  }
  return runs.filter((run) => run.text.trim() !== '');
}

/** An SVG of lines of cells, as a window of a dark terminal. */
export function svgOf(lines, columns) {
  const width = Math.ceil(columns * characterWidth + 2 * margin);
  const height = lines.length * lineHeight + 2 * margin + 24;
  const rows = lines.map((cells, index) => {
    const y = margin + 24 + (index + 1) * lineHeight - 4;
    return runsOf(cells)
      .map(({ column, text, style }) => {
        const indent = text.length - text.trimStart().length;
        // Spaces that no browser takes for one.
        const shown = text.trim().replaceAll(' ', '\u00a0');
        const x = (margin + (column + indent) * characterWidth).toFixed(1);
        // A length keeps columns aligned whatever monospaced font there is.
        const length = ([...shown].length * characterWidth).toFixed(1);
        const fill = style.dim ? '#8b949e' : (style.colour ?? '#e6edf3');
        return `<text x="${x}" y="${y}" textLength="${length}" fill="${fill}"${style.bold ? ' font-weight="bold"' : ''}>${escape(shown)}</text>`;
      })
      .join('');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace" font-size="13">`,
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...['#ff5f57', '#febc2e', '#28c840'].map((fill, index) => `<circle cx="${margin + 6 + index * 20}" cy="18" r="6" fill="${fill}"/>`),
    ...rows.filter((row) => row !== ''),
    '</svg>',
    '',
  ].join('\n');
}

const [input, output, wanted] = process.argv.slice(2);
if (input === undefined || output === undefined) {
  console.error('usage: node scripts/docs-demo-image.mjs <recording> <output.svg> [chapters]');
  process.exitCode = 1;
} else {
  const recording = readFileSync(input, 'utf8')
    .replace(/^Script started.*\r?\n/, '')
    .replace(/\r?\nScript done on[\s\S]*$/, '');
  const chapters = chaptersOf(screenOf(recording));
  const parts = wanted === undefined ? [...chapters.keys()].map(String) : wanted.split(',');
  const lines = parts.flatMap((part) => {
    const [number, most] = part.split(':').map(Number);
    const chapter = chapters.get(number) ?? [];
    if (most === undefined || chapter.length <= most) return chapter;
    const more = Array.from('  …', (text) => ({ text, style: { ...plain, dim: true } }));
    return [...chapter.slice(0, most), more, []];
  });
  while (lines.length > 0 && textOf(lines.at(-1)).trim() === '') lines.pop();
  while (lines.length > 0 && textOf(lines[0]).trim() === '') lines.shift();
  const columns = Math.max(...lines.map((cells) => textOf(cells).trimEnd().length));
  writeFileSync(output, svgOf(lines, columns));
  console.log(`${output}: ${lines.length} lines of ${columns} characters`);
}
