// The second half of `npm run demo`: shop-full.yaml, where words, pictures, baskets, a graph, behaviour and two trained models
// meet in one pipeline.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatCount, formatDuration, formatShare, itemLines, printable, renderTable, truncate, wrap } from '@recloom/cli';
import { openPipeline } from '@recloom/core';
import { beside, build, chapter, print, say, signal, style, titlesOf } from './show.mjs';

/** The bird that products called "bird" show, too; and an owl, for a product that is not there yet. */
const pictureFolder = '../../node_modules/@lobehub/fluent-emoji-3d/assets';
const bird = '1f426.webp';
const owl = '1f989.webp';
const question = 'keeps you warm';
const handWarmer = '22867';
const newItem = { id: '99901', title: 'OWL NIGHT LIGHT', price: 4.95 };
const lights = '22179';

/** What tells a trained model's opinion of an item: the calibrated probability that someone who comes back within a month buys it. */
const opinions = { trees: 'score.ranker.taken', network: 'score.attention.taken' };

/** Protocol Q1, 1,262 customers: docs/guide/own-model.md, printed again by `npm run quality -- ranker --part test`. */
const measured = [
  ['four scores, weights by hand', '.148', ''],
  ['trees alone (LambdaMART)', '.164', '+.010 … +.022'],
  ['the network alone', '.161', '+.007 … +.019'],
  ['both, with a little of the blend', '.166', '+.014 … +.022'],
];

/**
 * Builds shop-full.yaml in `directory` and shows what it can do. `blend`: the start page of shop.yaml for `user`, at least ten
 * items, to hold the trained models' against.
 */
export async function showFull({ directory, user, purposes, blend }) {
  const config = join(directory, 'shop-full.yaml');
  chapter('Words, pictures, baskets, a graph, behaviour, trained models: one file');
  say(
    'examples/online-retail/shop-full.yaml adds the rest to the same shop: longer habits, walks, what is rising, where a candidate lies in the graph, pictures, and two models that examples/train-ranker made from this shop’s past. The shop has no pictures; products whose name says mirror, bird, teapot … get the emoji of that name as a stand-in.',
  );
  await build(config, { dataLines: false });
  const shop = await openPipeline(config, { signal });
  try {
    showModels(shop);
    await showHome(shop, { user, purposes, blend });
    await showSearches(shop, directory);
    await showNewItem(shop, directory);
  } finally {
    await shop.close();
  }
}

/** Which engine runs which model, as the pipeline itself tells it. */
function showModels(shop) {
  let pictured = 0;
  const photos = shop.engine.items.column('photo');
  for (let row = 0; row < shop.itemCount; row++) if (photos?.values[row]) pictured++;
  print(
    `  ${formatCount(pictured)} of ${formatCount(shop.itemCount)} products have a picture; the others simply lack one`,
    '',
    renderTable(
      [
        { header: 'component', paint: style.cyan },
        { header: 'model', narrow: 'cut' },
        { header: 'runs on', paint: style.bold },
        { header: 'sha256', paint: style.dim },
      ],
      shop.models.map(({ component, file, device, sha256 }) => [component, file, device, sha256.slice(0, 12)]),
      { style },
    ),
  );
}

async function showHome(shop, { user, purposes, blend }) {
  chapter('A start page ranked by the shop’s own models');
  const request = { user, purposes, limit: 10, explain: true, signal };
  // The first request warms up what is loaded lazily; the second is what customers wait for.
  await shop.recommend(request);
  const before = performance.now();
  const answer = await shop.recommend(request);
  const milliseconds = performance.now() - before;
  for (const name of Object.values(opinions)) {
    if (!answer.items.every(({ explanation }) => Number.isFinite(explanation.scores[name])))
      throw new Error(`A trained model did not score this start page (${name}): ${answer.warnings.map(({ code }) => code).join(', ')}`);
  }
  const earlier = new Map(blend.items.map(({ id }, place) => [id, String(place + 1)]));
  const blendTitles = titlesOf(blend);
  const share = (item, name) => formatShare(item.explanation.scores[opinions[name]]);
  print(
    `${style.bold(`Customer ${user}`)}${style.dim('  trees, network: the chance that it is bought, should they come back within a month')}`,
    '',
    renderTable(
      [
        { header: '', align: 'right', paint: style.dim },
        { header: 'trained models', narrow: 'cut', paint: style.bold },
        { header: 'trees', align: 'right' },
        { header: 'network', align: 'right' },
        { header: 'before', align: 'right', paint: style.dim },
        { header: 'the plain blend', narrow: 'cut', paint: style.dim },
      ],
      answer.items.map((item, place) => [
        String(place + 1),
        titlesOf(answer)[place],
        share(item, 'trees'),
        share(item, 'network'),
        earlier.get(item.id) ?? '–',
        blendTitles[place] ?? '',
      ]),
      { style },
    ),
    '',
  );
  const [first] = answer.items;
  const trace = await shop.explain({ user, purposes, target: first.id, limit: 10, signal });
  print(
    `  Why ${style.bold(truncate(printable(first.attributes.title), style.width - 10))}?`,
    wrap(`${printable(first.reason)}. ${printable(trace.verdict)}`, style.width, '    '),
    wrap(`proposed by ${trace.proposedBy.map(({ source, rank }) => `${source} #${rank}`).join(', ')}`, style.width, '    ').map(style.dim),
    '',
  );
  const engines = answer.timings.filter(({ device }) => device !== undefined);
  const runs = engines.map(({ node, milliseconds: each, device }) => `${node} ${formatDuration(each)} on ${device}`);
  print(
    wrap(
      `${formatCount(answer.ledger.scored)} candidates ranked in ${formatDuration(milliseconds)}: ${runs.join(', ')}`,
      style.width,
      '  ',
    ).map(style.dim),
    '',
    renderTable(
      [
        { header: 'what it is worth, next month’s purchases', narrow: 'cut' },
        { header: 'NDCG@10', align: 'right', paint: style.bold },
        { header: 'against the blend (95 %)', paint: style.dim },
      ],
      measured,
      { style },
    ),
    '',
  );
  say('Measured once, on 1,262 customers and a month that no model saw: docs/guide/own-model.md.');
}

async function showSearches(shop, directory) {
  chapter('By words, by a picture, by both');
  const image = new Uint8Array(readFileSync(join(directory, pictureFolder, bird)));
  const ask = (request) => shop.search({ limit: 6, signal, ...request });
  const [words, picture, both] = await Promise.all([ask({ text: question }), ask({ image }), ask({ text: question, image })]);
  print(`  ${style.bold(`“${question}”`)} and ${style.bold('the picture of a bird')}`, '');
  beside([words, picture, both].map(titlesOf), ['words', 'picture', 'both']);
  const surface = 'similar';
  const alike = await shop.recommend({ surface, item: handWarmer, limit: 6, explain: true, signal });
  print(
    '',
    `  ${style.bold(`Like ${printable(shop.title(handWarmer))}`)}${style.dim('  where its words and its picture put the others')}`,
    '',
  );
  const rankBy = ({ explanation }, name) => explanation.sources.find((source) => source.name === name)?.rank;
  const place = (item, name) => (rankBy(item, name) === undefined ? '–' : `#${rankBy(item, name)}`);
  print(
    renderTable(
      [
        { header: '', align: 'right', paint: style.dim },
        { header: 'title', narrow: 'cut', paint: style.bold },
        { header: 'by words', align: 'right' },
        { header: 'by looks', align: 'right' },
      ],
      alike.items.map((item, index) => [String(index + 1), titlesOf(alike)[index], place(item, 'similar'), place(item, 'lookalike')]),
      { style },
    ),
  );
}

/** An item nobody has ever bought: it is found and recommended from the next request on. */
async function showNewItem(shop, directory) {
  chapter('A product that is new this minute');
  const photo = new Uint8Array(readFileSync(join(directory, pictureFolder, owl)));
  const before = performance.now();
  await shop.upsertItems([{ ...newItem, photo }]);
  const milliseconds = performance.now() - before;
  print(
    `${style.green('✓')} ${style.bold(newItem.title)}: its words and its picture of an owl read in ${formatDuration(milliseconds)}`,
    '',
  );
  const [itself, neighbour, found] = await Promise.all([
    shop.recommend({ surface: 'similar', item: newItem.id, limit: 4, explain: true, signal }),
    shop.recommend({ surface: 'similar', item: lights, limit: 50, signal }),
    shop.search({ text: 'a lamp with an owl', limit: 50, signal }),
  ]);
  const placeIn = (answer) => {
    const place = answer.items.findIndex(({ id }) => id === newItem.id) + 1;
    if (place === 0) throw new Error(`The new item is missing on the surface "${answer.surface}"`);
    return place;
  };
  print(
    itemLines(itself.items, { style, title: 'title', details: false }),
    '',
    `  on the page of ${style.bold(printable(shop.title(lights)))}: recommended at place ${style.bold(String(placeIn(neighbour)))}`,
    `  in a search for ${style.bold('“a lamp with an owl”')}: found at place ${style.bold(String(placeIn(found)))}`,
  );
}
