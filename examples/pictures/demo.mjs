// A catalogue of pictures, searched by words, by a picture and by both; writes one page to look at: `npm run demo:pictures`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  createBuildRenderer,
  dataReportLines,
  exitCodes,
  formatCount,
  formatDuration,
  processIo,
  reportError,
  styleOf,
  wrap,
} from '@recloom/cli';
import { buildPipeline, openPipeline } from '@recloom/core';
import { renderPage } from './page.mjs';
import { catalogue, prepare } from './prepare.mjs';

const directory = dirname(fileURLToPath(import.meta.url));
const config = join(directory, 'shop.yaml');
const page = join(directory, '.recloom', 'pictures.html');
const started = performance.now();
const perRow = 8;

const questions = [
  'something to drink when it is cold',
  'how to get to the airport',
  'a party tonight',
  'I miss you',
  'animals that live in the sea',
  'too hot outside',
];

/** Pictures that are not in the catalogue. */
const pictures = {
  mug: { file: 'mug.png', alt: 'A flat drawing of a red mug with steam', note: 'drawn by hand for this demo' },
  violin: {
    file: 'violin.jpg',
    alt: 'A violin, tilted, on a pink background',
    note: 'mirrored, tilted, faded, on another background, as a JPEG',
  },
  bicycle: {
    file: 'bicycle.jpg',
    alt: 'A bicycle, tilted, on a green background',
    note: 'mirrored, tilted, faded, on another background; the model never saw a picture of this thing while it was trained',
  },
};
const combinations = [
  ['mug', 'with alcohol', 0.3],
  ['mug', 'with alcohol', 0.7],
  ['bicycle', 'with a motor', 0.2],
];
const anchors = ['1F697', '1F33B', '1F370'];

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM']) {
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(exitCodes.interrupted);
    interrupt.abort(new DOMException('interrupted', 'AbortError'));
  });
}
const { signal } = interrupt;
const io = processIo(signal);
const style = styleOf(process.stdout, process.env);
const print = (...lines) => process.stdout.write(`${lines.flat().join('\n')}\n`);
const say = (text) => print(wrap(text, style.width));

const mediaTypes = { '.png': 'image/png', '.jpg': 'image/jpeg', '.webp': 'image/webp' };
const dataUri = (file) => `data:${mediaTypes[extname(file)]};base64,${readFileSync(file).toString('base64')}`;

/** Reads the catalogue, embeds labels and pictures, writes, verifies, publishes. */
async function build() {
  process.stderr.write('\n');
  const renderer = createBuildRenderer(io);
  try {
    const report = await buildPipeline(config, { observer: renderer.observer, signal });
    renderer.stop();
    const without = report.warnings.reduce((sum, { at, count }) => sum + (at?.node === 'image' ? (count ?? 1) : 0), 0);
    if (without * 2 > report.counts.items)
      throw new Error(
        `${without} of ${report.counts.items} pictures could not be read: is @lobehub/fluent-emoji-3d installed, and does images.directories of shop.yaml name it?`,
      );
    print(
      dataReportLines(report.data, report.counts, style),
      '',
      `${style.green('✓')} snapshot ${style.bold(report.snapshotId)} published after ${formatDuration(report.milliseconds)}`,
      '',
    );
    return report;
  } finally {
    renderer.stop();
  }
}

/** Asks, and keeps what the page shows of the answer. */
async function ask(shop, items, request) {
  const before = performance.now();
  const answer = await shop.recommend({ limit: perRow, explain: true, signal, ...request });
  const milliseconds = performance.now() - before;
  return {
    milliseconds,
    devices: [...new Set(answer.timings.flatMap(({ device }) => device ?? []))],
    warnings: answer.warnings.map(({ code, message }) => ({ code, message })),
    items: answer.items.map(({ id, reason, explanation }) => ({
      ...shown(items, id),
      reason: reason ?? '',
      sources: explanation.sources.map(({ name, rank, score }) => ({ name, rank, score })),
    })),
  };
}

function shown(items, id) {
  const { label, group, photo } = items.get(id);
  return { id, label, group, picture: dataUri(join(directory, photo)) };
}

function list(title, { items, milliseconds }) {
  print(
    `  ${style.bold(title)}${style.dim(`  ${formatDuration(milliseconds)}`)}`,
    style.dim(`    ${items.map(({ label }) => label).join(' · ')}`),
    '',
  );
}

async function demo() {
  const { version } = createRequire(import.meta.url)('@recloom/core/package.json');
  print(style.bold(`Recloom ${version}`) + style.dim('  a catalogue of pictures, searched by words, by a picture, by both'), '');
  const prepared = prepare();
  say(
    `${formatCount(prepared.length)} pictures of Fluent Emoji with the labels of emojibase. Their keywords are not indexed: what is found is found by meaning, by looks, or by the words of a label.`,
  );
  const report = await build();
  const items = new Map(prepared.map((item) => [item.id, item]));
  const shop = await openPipeline(config, { signal });
  try {
    const sections = { text: [], picture: [], both: [], like: [], twins: [] };
    print(style.bold(style.cyan('By words')), '');
    for (const text of questions) {
      const answer = await ask(shop, items, { surface: 'search', text });
      list(`“${text}”`, answer);
      sections.text.push({ text, answer });
    }
    print(style.bold(style.cyan('By a picture')), '');
    for (const { file, alt, note } of Object.values(pictures)) {
      const path = join(directory, 'queries', file);
      const answer = await ask(shop, items, { surface: 'search', image: new Uint8Array(readFileSync(path)) });
      list(`${file} (${note})`, answer);
      sections.picture.push({ query: { picture: dataUri(path), alt, note }, answer });
    }
    print(style.bold(style.cyan('By both')), '');
    for (const [name, text, textWeight] of combinations) {
      const { file, alt } = pictures[name];
      const path = join(directory, 'queries', file);
      const image = new Uint8Array(readFileSync(path));
      const answer = await ask(shop, items, { surface: 'search', text, image, queryWeights: { text: textWeight, image: 1 - textWeight } });
      list(`${file} + “${text}” (words ${textWeight}, picture ${(1 - textWeight).toFixed(1)})`, answer);
      sections.both.push({ query: { picture: dataUri(path), alt }, text, textWeight, answer });
    }
    const mug = join(directory, 'queries', pictures.mug.file);
    const image = new Uint8Array(readFileSync(mug));
    const broken = await ask(shop, items, { surface: 'search', text: 'with alcohol', image: image.subarray(0, 200) });
    list('a file cut off after 200 bytes + “with alcohol”', broken);
    sections.broken = { text: 'with alcohol', answer: broken };
    print(style.bold(style.cyan('Items like this')), '');
    for (const id of anchors) {
      const [looks, both] = await Promise.all([
        ask(shop, items, { surface: 'lookalike', item: id }),
        ask(shop, items, { surface: 'related', item: id }),
      ]);
      list(`${items.get(id).label}, by its looks`, looks);
      list(`${items.get(id).label}, by looks and meaning`, both);
      sections.like.push({ item: shown(items, id), looks, both });
    }
    sections.twins = twinsOf(shop, items, prepared);
    print(
      `  ${style.bold('Near duplicates')}`,
      ...sections.twins.map((group) => style.dim(`    ${group.map(({ label }) => label).join(' = ')}`)),
      '',
    );
    const totalMs = performance.now() - started;
    mkdirSync(dirname(page), { recursive: true });
    writeFileSync(
      page,
      renderPage({
        version,
        snapshotId: report.snapshotId,
        counts: { items: prepared.length },
        components: report.components.length,
        kept: report.components.some(({ name, reused }) => name === 'image' && reused),
        buildMs: report.milliseconds,
        totalMs,
        sections,
        formatDuration,
        formatCount,
      }),
    );
    print(
      `${style.green('✓')} ${style.bold(page)}`,
      style.dim(`  open it in a browser: one file, no network · ${formatDuration(totalMs)} in all`),
      '',
    );
    const path = relative(process.cwd(), config) || config;
    print(
      `  $ npx recloom ${style.cyan('search')} ${path} "royalty"`,
      `  $ npx recloom ${style.cyan('search')} ${path} --image ${relative(process.cwd(), mug)} --text "with alcohol" --explain`,
      `  $ npx recloom ${style.cyan('inspect')} ${path} --component twins --item ${anchors[0]}`,
      style.dim(`  the catalogue: ${relative(process.cwd(), catalogue)}`),
    );
  } finally {
    await shop.close();
  }
}

/** Groups of nearly the same picture, largest first, each with at most `perGroup` of its members. */
function twinsOf(shop, items, prepared, { groups = 12, perGroup = 5 } = {}) {
  const component = shop.component('twins');
  const seen = new Set();
  const found = [];
  for (const { id } of prepared) {
    if (seen.has(id)) continue;
    const { nearDuplicates } = component.inspectItem(shop.engine.items.rowOf(id));
    const group = [id, ...nearDuplicates.map(({ item }) => item)].filter((one) => !seen.has(one));
    for (const one of group) seen.add(one);
    if (group.length > 1) found.push(group);
  }
  return found
    .sort((one, other) => other.length - one.length)
    .slice(0, groups)
    .map((group) => group.slice(0, perGroup).map((id) => shown(items, id)));
}

demo().then(
  () => process.exit(exitCodes.ok),
  async (error) => process.exit(await reportError(error, io, { json: false, debug: process.argv.includes('--debug') })),
);
