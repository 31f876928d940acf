// The whole job on a real shop's raw export, for someone who wants to look before they read: `npm run demo`.
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  createBuildRenderer,
  exitCodes,
  formatCount,
  formatCountOf,
  formatDuration,
  formatShare,
  itemLines,
  printable,
  renderTable,
  reportError,
  truncate,
} from '@recloom/cli';
import { openPipeline, openWorkspace } from '@recloom/core';
import { evaluatePipelines, makeSplits, renderReport } from '@recloom/evaluate';
import { showFull } from './demo-full.mjs';
import { beside, build, chapter, io, print, say, signal, style, titlesOf } from './show.mjs';

const directory = dirname(fileURLToPath(import.meta.url));
const config = `${directory}/shop.yaml`;
const root = join(directory, '../..');
const started = performance.now();

/** Three customers who bought in the last weeks of the data, for what they like to be easy to see. */
const customers = ['12664', '13026', '15124'];
const purposes = ['personalisation'];
const cakestand = '22423';
const questions = ['something to keep my hands warm', 'a present for someone who loves gardening'];

async function buildShop() {
  chapter('From raw invoice lines to a snapshot');
  say('The shop is described in examples/online-retail/shop.yaml. Everything is learned from scratch, from its 541,909 raw lines:');
  await build(config, { dataLines: true });
}

/** Protocol Q1: the past trains, the last month judges. */
async function measure() {
  chapter('Is it any good?');
  say(
    'The pipeline is fitted again on what happened before 9 November 2011 and asked, for every customer who came back in the last month, for ten items new to them, out of the whole catalogue. Then it is compared with what they really bought.',
  );
  print('');
  const dataset = await cleanedData();
  const splits = makeSplits(dataset, { cutMs: Date.UTC(2011, 10, 9), minimumItemUsers: 5, minimumUserItems: 5 });
  const renderer = createBuildRenderer(io);
  const evaluation = await evaluatePipelines([{ source: config, file: relative(root, config) }], splits, {
    purposes,
    signal,
    dataset,
    segments: ['country'],
    // Enough to see where right answers are lost, at a fifth of the time.
    funnelCases: 100,
    observer: renderer.observer,
  }).finally(() => renderer.stop());
  process.stderr.write('\n');
  const [pipeline, popularity] = evaluation.pipelines;
  const [report] = evaluation.split.reports;
  print(
    style.dim(
      `  learned from ${formatCount(report.trainUsers)} customers × ${formatCount(report.trainItems)} items, asked for ${formatCount(report.testUsers)} customers`,
    ),
    '',
    renderTable(
      [
        { header: '' },
        { header: 'NDCG@10', align: 'right', paint: style.bold },
        { header: '95 %', align: 'right', paint: style.dim },
        { header: 'recall@10', align: 'right' },
        { header: 'any hit', align: 'right' },
        { header: 'coverage', align: 'right' },
      ],
      [
        ['this pipeline', pipeline],
        ['what sells most', popularity],
      ].map(([name, { figures, catalogue }]) => [
        name,
        figures.ndcg.mean.toFixed(4),
        `${figures.ndcg.low.toFixed(4)} … ${figures.ndcg.high.toFixed(4)}`,
        figures.recall.mean.toFixed(4),
        formatShare(figures.hitRate.mean),
        formatShare(catalogue.coverage),
      ]),
      { style },
    ),
    '',
  );
  const ratio = pipeline.figures.ndcg.mean / popularity.figures.ndcg.mean;
  print(`${style.green('✓')} ${style.bold(`${ratio.toFixed(1)} times`)} as good as showing everybody what sells most`);
  await writeReport(evaluation);
  return ratio;
}

/** The same for a browser: curves, groups of customers, where right answers are lost, examples with reasons. */
async function writeReport(evaluation) {
  const file = join(directory, '.recloom', 'report.html');
  const command = `npx recloom evaluate ${relative(root, config)} --cut 2011-11-09 --minimum-item-users 5 --minimum-user-items 5 --segment country --report report.html`;
  await writeFile(file, await renderReport(evaluation, { command }));
  print(`${style.green('✓')} the report for a browser: ${style.bold(relative(process.cwd(), file))}`);
}

/** The snapshot holds the cleaned data: nothing has to be read twice. */
async function cleanedData() {
  const { store } = await openWorkspace(config);
  const { items, users, history, manifest } = await store.open(undefined, { signal });
  return { items, users, history, lastEventMs: manifest.lastEventMs, hash: manifest.dataHash, reports: {} };
}

async function showCustomers(shop) {
  chapter('Three customers, and what their start page would show');
  for (const user of customers) {
    signal.throwIfAborted();
    const answer = await shop.recommend({ user, purposes, limit: 10, explain: true, signal });
    const bought = purchases(shop, user);
    print(
      style.bold(`Customer ${user}`) +
        style.dim(`  ${countryOf(shop, user)} · ${formatCountOf(bought.length, 'different item')} so far, last bought:`),
    );
    print(...bought.slice(0, 4).map((title) => style.dim(`    ${truncate(title, style.width - 4)}`)), '');
    print(itemLines(answer.items, { style, title: 'title', details: false }), '');
  }
  say('With consent only: without the purpose "personalisation" in the request not one column about the customer is read.');
}

/** Titles of what a customer bought, latest first, each once. */
function purchases(shop, user) {
  const { history, users, items } = shop.engine;
  const view = history.view(users.rowOf(user), { asOfMs: Number.POSITIVE_INFINITY, session: [] });
  return [...new Set(Array.from(view.items).reverse())].map((row) => printable(shop.title(items.idOf(row))));
}

function countryOf(shop, user) {
  const column = shop.engine.users.column('country');
  const code = column?.codes[shop.engine.users.rowOf(user)] ?? -1;
  return column?.categories[code] ?? 'unknown country';
}

async function showItem(shop) {
  chapter('A product page');
  const [alike, together] = await Promise.all([
    shop.recommend({ surface: 'similar', item: cakestand, limit: 6, signal }),
    shop.recommend({ surface: 'together', item: cakestand, limit: 6, signal }),
  ]);
  print(`  ${style.bold(shop.title(cakestand))}`, '');
  beside([titlesOf(alike), titlesOf(together)], ['like it (by its words)', 'bought together with it']);
}

async function showGuest(shop) {
  chapter('A guest who looked at two items');
  const session = [
    { item: '22867', type: 'view' },
    { item: '23355', type: 'view' },
  ];
  print(...session.map((event) => style.dim(`    ${shop.title(event.item)}`)), '');
  const answer = await shop.recommend({ session, limit: 5, explain: true, signal });
  print(itemLines(answer.items, { style, title: 'title', details: false }));
}

async function showSearch(shop) {
  chapter('A search by meaning beside a search by words');
  for (const text of questions) {
    const [meaning, words] = await Promise.all([
      shop.search({ surface: 'byMeaning', text, limit: 6, signal }),
      shop.search({ surface: 'byWords', text, limit: 6, signal }),
    ]);
    print(`  ${style.bold(`“${text}”`)}`, '');
    beside([titlesOf(meaning), titlesOf(words)], ['by meaning', 'by words']);
    print('');
  }
  say('The search page of this shop fuses both: what is meant, and what is written.');
}

function showNext() {
  chapter('Try next');
  const path = relative(process.cwd(), config) || config;
  const full = relative(process.cwd(), `${directory}/shop-full.yaml`);
  const commands = [
    ['recommend', path, '--user 17850 --purpose personalisation --explain'],
    ['search', path, '"a present for a gardener"'],
    ['explain', path, '--user 12664 --purpose personalisation --target 22423'],
    ['inspect', path, `--component together --item ${cakestand}`],
    ['diagram', path, '--surface home'],
    ['explain', full, '--user 12664 --purpose personalisation --target 23256'],
    ['search', full, '--image node_modules/@lobehub/fluent-emoji-3d/assets/1f40e.webp'],
    ['dev', path, '--user 12664 --purpose personalisation'],
    ['init', 'your-own-orders.csv'],
  ];
  for (const [command, file, options] of commands) {
    print(`  $ npx recloom ${style.cyan(command)} ${file}${options === undefined ? '' : ` \\\n      ${options}`}`);
  }
}

async function demo() {
  const { version } = createRequire(import.meta.url)('@recloom/core/package.json');
  print(style.bold(`Recloom ${version}`) + style.dim('  recommendations from a real shop’s raw export, on this machine'), '');
  say('Online Retail: a UK gift-ware web shop, December 2010 to December 2011 (D. Chen, S. L. Sain, K. Guo, 2012).');
  await buildShop();
  const ratio = await measure();
  // The very shop.yaml, with two more surfaces for the comparison of searches: that is what a base is for.
  const shop = await openPipeline(
    {
      format: '1.0',
      base: './shop.yaml',
      surfaces: {
        byMeaning: { needs: ['text'], sources: { meaning: 50 }, attributes: ['title'] },
        byWords: { needs: ['text'], sources: { words: 50 }, attributes: ['title'] },
      },
    },
    { directory, signal },
  );
  let blend;
  try {
    await showCustomers(shop);
    await showItem(shop);
    await showGuest(shop);
    await showSearch(shop);
    // The start page of the hand-made blend, kept for the comparison with the trained models.
    blend = await shop.recommend({ user: customers[0], purposes, limit: 100, signal });
  } finally {
    await shop.close();
  }
  await showFull({ directory, user: customers[0], purposes, blend });
  showNext();
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  print(
    '',
    style.dim(
      `${formatDuration(performance.now() - started)} in all, ${(peakBytes / 1e9).toFixed(2)} GB of memory at most, no network, NDCG@10 ${ratio.toFixed(1)} × popularity`,
    ),
  );
}

demo().then(
  () => process.exit(exitCodes.ok),
  async (error) => process.exit(await reportError(error, io, { json: false, debug: process.argv.includes('--debug') })),
);
