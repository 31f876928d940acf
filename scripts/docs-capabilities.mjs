import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './docs-markdown.mjs';

/** Bytes that a component keeps, by its reference: measured by test/pipelines/capabilities.test.ts, which also checks it. */
const memory = () => JSON.parse(readFileSync(join(root, 'scripts', 'capability-memory.json'), 'utf8'));

const proposesOrScores = ({ provides }) => provides.includes('source') || provides.includes('scorer');
const yes = (value) => (value === true ? 'yes' : '–');

/**
 * The lines of docs/reference/capabilities.md below its notice. `plugins` as `allPlugins()` gives them; `table(head, rows)` and
 * `code(text)` write Markdown.
 *
 * @throws Error for a component that keeps something and was not measured
 */
export function capabilityLines(plugins, { table, code }) {
  const measured = memory();
  const components = plugins
    .filter(({ definition }) => definition.id !== 'template')
    .flatMap(({ definition }) => definition.components.map((component) => ({ reference: `${definition.id}/${component.id}`, component })));
  const link = (reference) => `[${code(reference)}](plugins.md#${reference.toLowerCase().replace(/[^a-z0-9-]/g, '')})`;
  const sizes = ({ reference, component }) => {
    if (component.fit === undefined && !component.provides.includes('extractor')) return ['–', '–', '–'];
    const found = measured[reference];
    if (found === undefined)
      throw new Error(`${reference} was not measured; run "RECLOOM_UPDATE_MEMORY=1 npx vitest run test/pipelines/capabilities.test.ts"`);
    return [amount(found.bytes), perItem(found), found.bytesPerUser < 0.5 ? '0' : amount(found.bytesPerUser)];
  };
  const algorithms = components.filter(({ component }) => proposesOrScores(component));
  const features = components.filter(({ component }) => component.provides.includes('extractor') && !proposesOrScores(component));
  return [
    'What each component that proposes, scores or gives features can do, as its plugin declares it. What can be seen from outside is tested, for "yes" and for "–": [`test/pipelines/capabilities.test.ts`](../../test/pipelines/capabilities.test.ts) builds a made-up shop with each of them and looks at what it does, without options but where the shop is too small for them (its list of set-ups says which).',
    '',
    '- **personal**: two people with different histories get different answers, each nearer to what they chose.',
    '- **new user**: somebody who was not there at the build is answered without a new one: a guest by the events of the visit, everybody by events recorded since. Of a component that is not personal: all get the same answer.',
    '- **new item**: an item added after the build is proposed or scored, by what is known of it, without a new build.',
    '- **recorded events**: the next request sees what `record` was told, without a new build.',
    '- **explains**: gives reasons. They name items of the history or of the request. Of those that are personal, the first reason of an answer is put to the test: with another kind of item in place of the one it names, the score is lower.',
    '- **same bytes**: the same data, options and seed give the same state to the byte, and the same answers, whatever the number of threads.',
    '- **needs**: vectors of another component, or fields of items and users; what stands in brackets may be left out.',
    '- **asked with**: what a request must bring; any of them is enough. –: nothing.',
    '- **memory**: bytes in the snapshot (and, about, in the process that serves) of a made-up shop of 200 items and 400 people with 14 events each, and what one more item or one more person with 14 events adds there; what takes vectors got vectors of 64 numbers. A part that grows with the square of the catalogue is written *bytes × items*. Where links between items are kept, more people bring more links until every item has as many as it keeps. The histories of people are part of the snapshot and are not counted here.',
    '',
    '## Sources and scorers',
    '',
    table(
      [
        'component',
        'personal',
        'new user',
        'new item',
        'recorded events',
        'explains',
        'same bytes',
        'needs',
        'asked with',
        'memory',
        'per item',
        'per user',
      ],
      algorithms.map((entry) => {
        const { capabilities } = entry.component;
        return [
          link(entry.reference),
          yes(capabilities.personal),
          yes(capabilities.coldUser),
          yes(capabilities.coldItem),
          yes(capabilities.incremental),
          yes(capabilities.explains),
          yes(capabilities.deterministic ?? true),
          needsOf(entry.component),
          capabilities.asks?.join(', ') ?? '–',
          ...sizes(entry),
        ];
      }),
    ),
    '',
    'Some depend on what they are told to do. `blend/scores`, `fusion/*`, `rules/boost` and `scorer-onnx/model` compute with columns of others: they are as personal, and know as much of new items, as these do; a blend with `segments` also weighs by how much history there is, and a model whose inputs read the history is personal itself. `popularity/*` with a `segment` answers by a field of the user, not by the history. `vector-search/nearest` is personal when it is asked for a user, and not for a product or a search. `sequence/network` and `collaborative-linear/content-ease` take features and attributes if they are given.',
    '',
    '## Features',
    '',
    'Vectors and numbers that others compute with. Whether a recommendation made of them is personal is decided by who reads them.',
    '',
    table(
      ['component', 'gives', 'personal', 'new item', 'recorded events', 'same bytes', 'needs', 'memory', 'per item', 'per user'],
      features.map((entry) => {
        const { capabilities } = entry.component;
        return [
          link(entry.reference),
          `${capabilities.modality ?? 'numbers'}, of ${capabilities.scopes?.join(' and ') ?? 'item'}`,
          yes(capabilities.personal),
          yes(capabilities.coldItem),
          yes(capabilities.incremental),
          yes(capabilities.deterministic ?? true),
          needsOf(entry.component),
          ...sizes(entry),
        ];
      }),
    ),
    '',
  ];
}

function needsOf({ inputs }) {
  const kinds = { feature: 'vectors', 'item-field': 'item field', 'user-field': 'user field' };
  const words = Object.entries(inputs).map(([name, { kind, optional, many }]) => {
    const text = `${kinds[kind]}${many && kind !== 'feature' ? 's' : ''} \`${name}\``;
    return optional ? `(${text})` : text;
  });
  return words.length === 0 ? '–' : words.join(', ');
}

/** What one more item adds; a part that grows with the square of the catalogue, from half of it on, as bytes × items. */
function perItem({ bytes, bytesPerItem, bytesPerItemAndItem }) {
  const square = bytesPerItemAndItem * 200 * 200;
  if (square > bytes / 2) return `${two(bytesPerItemAndItem)} B × items`;
  return bytesPerItem < 0.5 ? '0' : amount(bytesPerItem);
}

/** Two significant digits: a figure of another machine or a later shop is not a third one. */
const two = (value) => String(Number(value.toPrecision(2)));
function amount(bytes) {
  if (bytes < 1000) return `${two(bytes)} B`;
  return bytes < 1_000_000 ? `${two(bytes / 1000)} kB` : `${two(bytes / 1_000_000)} MB`;
}
