import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import type { Evaluation, Figure } from '../evaluation.js';
import { evaluationOf, figure, pipelineOf } from './evaluation.test-support.js';
import { renderReport } from './render-report.js';

/** What the tests use of a page. */
interface Found {
  readonly textContent: string;
  readonly innerHTML: string;
  readonly id: string;
  getAttribute(name: string): string | null;
  querySelector(selector: string): Found | null;
  querySelectorAll(selector: string): Iterable<Found>;
}

const parse = (page: string): Found => parseHTML(page).document as unknown as Found;
const all = (found: Found, selector: string): Found[] => [...found.querySelectorAll(selector)];
const textOf = (found: Found | null): string => (found?.textContent ?? '').replace(/\s+/g, ' ').trim();

const voidTags = new Set(['meta', 'link', 'br', 'hr', 'img', 'input']);

/** Every tag closed in order, every attribute quoted, every `&` an entity; HTML parsers forgive all of these. */
function strictProblems(page: string): string[] {
  const problems: string[] = [];
  const open: string[] = [];
  const body = page.replace(/^<!doctype html>/, '').replace(/<style>[^<]*<\/style>/, '');
  for (const [tag, closing, name, attributes, self] of body.matchAll(
    /<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z][\w:-]*(?:="[^"<>]*")?)*)\s*(\/?)>/gi,
  )) {
    if (closing === '/') {
      if (open.pop() !== name) problems.push(`${tag} closes something else`);
    } else if (self !== '/' && !voidTags.has(name as string)) open.push(name as string);
    const names = [...(attributes ?? '').matchAll(/([\w:-]+)=/g)].map((match) => match[1]);
    if (new Set(names).size !== names.length) problems.push(`${tag} has an attribute twice`);
  }
  const text = body.replace(/<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z][\w:-]*(?:="[^"<>]*")?)*)\s*(\/?)>/gi, '');
  if (/[<>]/.test(text)) problems.push(`a stray bracket: ${text.slice(Math.max(0, text.search(/[<>]/) - 30)).slice(0, 60)}`);
  if (/&(?!#\d+;|[a-z]+;)/i.test(body)) problems.push('a bare &');
  return [...problems, ...open.map((name) => `${name} is never closed`)];
}

/** What no page may lack, whatever the evaluation. */
async function soundPage(evaluation: Evaluation, options = {}): Promise<Found> {
  const page = await renderReport(evaluation, options);
  expect(strictProblems(page)).toEqual([]);
  expect(page).not.toMatch(/NaN|undefined|\[object|Infinity|>null</);
  const document = parse(page);
  const ids = all(document, '[id]').map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const link of all(document, 'a[href]')) expect(ids).toContain(link.getAttribute('href')?.slice(1));
  for (const labelled of all(document, '[aria-labelledby]')) expect(ids).toContain(labelled.getAttribute('aria-labelledby'));
  for (const table of all(document, 'table')) {
    expect(textOf(table.querySelector('caption'))).not.toBe('');
    const columns = all(table, 'thead th').length;
    for (const row of all(table, 'tbody tr')) expect(all(row, 'th[scope=row],td').length).toBe(columns);
  }
  for (const plot of all(document, 'figure')) expect(textOf(plot.querySelector('figcaption'))).not.toBe('');
  expect(all(document, 'h1')).toHaveLength(1);
  return document;
}

const means = (evaluation: Evaluation): Figure[] => evaluation.pipelines.flatMap(({ figures }) => Object.values(figures) as Figure[]);

describe('renderReport', () => {
  it('begins with a sentence that a manager understands', async () => {
    const document = await soundPage(evaluationOf());
    // 3.9 × .1312 and 3.9 × .0341.
    expect(textOf(document.querySelector('h1'))).toBe(
      'Your pipeline shows a right product to 51 % of customers; the bestseller list to 13 %',
    );
    expect(textOf(document.querySelector('.verdicts'))).toBe(
      '▲Your pipeline is better than the bestseller list, by more than chance explains: +.0971 NDCG@10 (95 % interval +.0868 … +.1077, p < .001). 468 customers got a better list, 120 a worse one, 674 one as good.',
    );
    expect(textOf(document.querySelector('.tile'))).toContain('Customers with a right product 51.2 % 49.9 … 52.5 %');
  });

  it('says every number as the document does', async () => {
    const evaluation = evaluationOf();
    const document = await soundPage(evaluation);
    const shown = new Set(all(document, 'data').map((data) => Number(data.getAttribute('value'))));
    for (const { mean } of means(evaluation)) expect(shown).toContain(mean);
    for (const { catalogue, curves, segments, funnel } of evaluation.pipelines) {
      const { popularityShares, ...others } = catalogue;
      const values = [
        ...Object.values(others),
        ...Object.values(popularityShares),
        ...curves.ndcg,
        ...curves.recall,
        ...curves.hitRate,
        ...curves.precision,
      ];
      for (const value of values) expect(shown).toContain(value);
      for (const { ndcg, recall, hitRate, cases } of segments)
        for (const value of [ndcg.mean, recall.mean, hitRate.mean, cases]) expect(shown).toContain(value);
      for (const { candidates, recall } of funnel) for (const value of [candidates, recall]) expect(shown).toContain(value);
    }
    // What is read is the exact number, rounded.
    for (const data of all(document, 'data')) {
      const value = Number(data.getAttribute('value'));
      const text = textOf(data).replace('−', '-').replace('+', '').replaceAll(',', '');
      const read = Number.parseFloat(text.replace(/^< /, ''));
      if (text.startsWith('<')) expect(value).toBeLessThan(read);
      else if (/ min | s$/.test(text)) expect(Math.abs(value / 1000 - read)).toBeLessThan(1);
      else if (/%|points/.test(text)) expect(Math.abs(value * 100 - read)).toBeLessThanOrEqual(0.5);
      else expect(Math.abs(value - read)).toBeLessThanOrEqual(Math.abs(value) > 100 ? 0.5 : 0.051);
    }
  });

  it('puts each number in its pipeline’s column, with its interval', async () => {
    const document = await soundPage(evaluationOf());
    const row = all(document, '#figures tbody tr').find((entry) => textOf(entry).startsWith('NDCG@10'));
    expect(all(row as Found, 'td').map(textOf)).toEqual(['.1312.1189 … .1443', '.0341.0218 … .0472']);
    expect(all(document, '#figures thead th').map(textOf)).toEqual(['figure', 'lamps', 'Bestseller list']);
    expect(textOf(document.querySelector('#differences tbody tr'))).toBe(
      'lampsBestseller listNDCG@10+.0971+.0868 … +.1077< .001468120674better',
    );
    expect(textOf(document.querySelector('#funnel figcaption'))).toContain(
      'The sources find 58 % of what customers took, filters cost 1.1 points, and 6.6 % reach the list of 10. What no source proposes, 42 %, no ranking can show.',
    );
  });

  it('needs nothing from anywhere', async () => {
    const page = await renderReport(evaluationOf());
    // The names of SVG's and XLink's namespaces are no addresses that are loaded.
    expect(page.replace(/xmlns(?::\w+)?="[^"]*"/g, '')).not.toMatch(/https?:|\/\/[a-z]|url\(|@import|<script|<link|<img|<iframe|\son\w+=/i);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });

  it('draws every part with the library', async () => {
    const document = await soundPage(evaluationOf());
    const drawn = Object.fromEntries(all(document, 'section').map((section) => [section.id, all(section, 'figure svg').length]));
    expect(drawn).toEqual({
      summary: 0,
      figures: 0,
      differences: 1,
      curves: 4,
      segments: 2,
      funnel: 1,
      catalogue: 1,
      examples: 0,
      method: 0,
    });
    // Two lines in each of the four plots, three points on each.
    const paths = all(document, '#curves figure [aria-label=line] path').map((path) => path.getAttribute('d') ?? '');
    expect(paths).toHaveLength(8);
    for (const path of paths) expect(path.match(/[ML]/g)?.length ?? 0).toBe(3);
    // The further bar is the larger one.
    const bars = all(document, '#segments figure rect').map((bar) => Number(bar.getAttribute('width')));
    expect(bars).toHaveLength(4);
    expect((bars[1] as number) / (bars[0] as number)).toBeCloseTo(0.0341 / 0.1312, 6);
  });

  it('escapes whatever the data hold', async () => {
    const nasty = `<script>alert("1")</script> & 'x' </style><!-- ]]>`;
    const evaluation = evaluationOf({
      shop: nasty,
      pipelines: [pipelineOf(nasty, 0.1, { file: nasty, surface: nasty }), pipelineOf('popularity', 0.03)],
      examples: evaluationOf().examples.map((example) => ({
        ...example,
        why: nasty,
        history: [{ id: 'a', title: nasty }],
        lists: [{ pipeline: nasty, items: [{ id: nasty, hit: true, reason: nasty }] }],
      })),
      warnings: [{ code: nasty, message: nasty, pipeline: nasty, node: nasty, times: 2 }],
    });
    const [first] = evaluation.pipelines;
    const segments = (first?.segments ?? []).map((segment) => ({ ...segment, by: nasty, name: nasty }));
    const funnel = [{ stage: `source ${nasty}`, candidates: 1, recall: 0.5 }];
    const document = await soundPage(
      { ...evaluation, pipelines: evaluation.pipelines.map((pipeline) => ({ ...pipeline, segments: segments.slice(0, 1), funnel })) },
      { command: nasty },
    );
    expect(all(document, 'script')).toEqual([]);
    for (const selector of ['.command', '.card bdi', 'title'])
      expect(textOf(document.querySelector(selector))).toContain('<script>alert("1")</script> & \'x\'');
  });

  it('numbers customers, and names them only when asked to', async () => {
    const page = await renderReport(evaluationOf());
    expect(page).not.toContain('17850');
    const document = parse(page);
    expect(textOf(document.querySelector('.card h3'))).toBe('Customer 1');
    expect(textOf(document.querySelector('#examples'))).toContain('treat the page as personal data');
    expect(textOf(parse(await renderReport(evaluationOf(), { showUsers: true })).querySelector('.card h3'))).toBe('user-17850');
  });

  it('shows what was taken, what was found of it, and why it was proposed', async () => {
    const document = await soundPage(evaluationOf());
    const [had, took] = all(document, '.card .chips');
    expect(all(had as Found, 'li').map(textOf)).toEqual(['The lamp', 'The shade']);
    // What a pipeline found comes first.
    expect(all(took as Found, 'li').map(textOf)).toEqual(['✓ The cable', 'The bulb']);
    expect(all(document, '.card .list li').map(textOf)).toEqual([
      'The plug',
      'The cable ✓ takenBecause you bought The lamp',
      'The bellTaken by 751 users',
    ]);
  });

  it('says how to repeat it, what was left out, and what went wrong', async () => {
    const document = await soundPage(
      evaluationOf({
        warnings: [{ code: 'RECLOOM_RUN_FEW_CASES', message: 'Few.', times: 1 }],
        split: { ...evaluationOf().split, seeds: [3, 7] },
      }),
      { command: 'recloom evaluate shop.yaml --report report.html' },
    );
    const method = textOf(document.querySelector('#method'));
    for (const text of [
      'recloom evaluate shop.yaml --report report.html',
      '696 items: fewer than 5 users in training',
      'ba4c145b5dcd96df',
      'Seeds3, 7',
      '@recloom/core 0.1.0',
      'node 20.20.2',
      'RECLOOM_RUN_FEW_CASES',
      'cut 2011-11-09',
    ])
      expect(method).toContain(text);
    expect(textOf(document.querySelector('#summary'))).toContain('A warning was given');
  });

  it('calls a worse pipeline worse, and a small difference open', async () => {
    const [comparison] = evaluationOf().comparisons;
    const with_ = (further: object) =>
      evaluationOf({ comparisons: [{ ...(comparison as Evaluation['comparisons'][number]), ...further }] });
    const worse = await soundPage(with_({ difference: { mean: -0.02, low: -0.03, high: -0.01, confidence: 0.95 } }));
    expect(textOf(worse.querySelector('.verdicts .worse'))).toContain('▼Your pipeline is worse than the bestseller list');
    expect(all(worse, '.verdicts .better')).toEqual([]);
    const open = await soundPage(with_({ significant: false, adjustedPValue: 0.31 }));
    expect(textOf(open.querySelector('.verdicts .open'))).toMatch(/cannot be told apart.*p = \.310/);
  });

  it('names several pipelines, and takes the best of many with salt', async () => {
    const two = await soundPage(
      evaluationOf({ pipelines: [pipelineOf('a.yaml', 0.1), pipelineOf('b.yaml', 0.12), pipelineOf('popularity', 0.03)] }),
    );
    expect(textOf(two.querySelector('h1'))).toBe(
      '“b.yaml” shows a right product to 47 % of customers, “a.yaml” to 39 %; the bestseller list to 12 %',
    );
    const names = Array.from({ length: 11 }, (_, place) => `config number ${place + 1}`);
    const many = await soundPage(
      evaluationOf({
        pipelines: [...names.map((name, place) => pipelineOf(name, 0.1 + ((place * 7) % 11) / 100)), pipelineOf('popularity', 0.03)],
        comparisons: names.map((challenger) => ({ ...(evaluationOf().comparisons[0] as Evaluation['comparisons'][number]), challenger })),
        examples: evaluationOf().examples.map((example) => ({
          ...example,
          lists: names.map((pipeline) => ({ pipeline, items: example.lists[0]?.items ?? [] })),
        })),
      }),
    );
    // (place × 7) % 11 is 10 for the fourth… 7 × 3 = 21 = 10 (mod 11).
    expect(textOf(many.querySelector('h1'))).toContain('The best of 11 pipelines, “config number 4”, shows a right product to 78 %');
    expect(textOf(many.querySelector('#summary'))).toContain('partly the luckiest');
    expect(all(many, '#figures thead th')).toHaveLength(13);
    // No two lines look alike: colour, dash and symbol together.
    const looks = all(many, '#curves .legend svg').map((svg) => svg.innerHTML);
    expect(new Set(looks).size).toBe(12);
  });

  it.each<[string, Evaluation]>([
    ['one pipeline alone', evaluationOf({ pipelines: [pipelineOf('only', 0.1)], comparisons: [], examples: [] })],
    ['popularity alone', evaluationOf({ pipelines: [pipelineOf('popularity', 0.03)], comparisons: [] })],
    [
      'no segments, no funnel, no examples',
      evaluationOf({ examples: [], pipelines: evaluationOf().pipelines.map((pipeline) => ({ ...pipeline, segments: [], funnel: [] })) }),
    ],
    [
      'one length alone',
      evaluationOf({
        pipelines: evaluationOf().pipelines.map((pipeline) => ({
          ...pipeline,
          curves: { at: [10], ndcg: [0.1], recall: [0.1], precision: [0.1], hitRate: [0.1] },
        })),
      }),
    ],
    ['no hit at all', evaluationOf({ pipelines: [pipelineOf('zero', 0), pipelineOf('popularity', 0)] })],
    [
      'nothing proposed',
      evaluationOf({
        examples: evaluationOf().examples.map((example) => ({
          ...example,
          history: [],
          took: [],
          lists: example.lists.map((list) => ({ ...list, items: [] })),
        })),
      }),
    ],
    [
      'many repetitions',
      evaluationOf({
        split: { ...evaluationOf().split, reports: [1, 2, 3].flatMap(() => evaluationOf().split.reports) },
        pipelines: evaluationOf().pipelines.map((pipeline) => ({
          ...pipeline,
          figures: { ...pipeline.figures, ndcg: { ...figure(0.1), spread: 0.0042 } },
        })),
      }),
    ],
  ])('%s', async (_, evaluation) => {
    const document = await soundPage(evaluation);
    const anchors = all(document, 'nav a').map((link) => link.getAttribute('href'));
    expect(anchors).toEqual(
      all(document, 'main > section')
        .slice(1)
        .map(({ id }) => `#${id}`),
    );
    expect(anchors.includes('#examples')).toBe(evaluation.examples.length > 0);
  });

  it('shows what could not be measured as such, also after a way through JSON', async () => {
    const none: Figure = { mean: Number.NaN, standardError: Number.NaN, low: Number.NaN, high: Number.NaN };
    const base = pipelineOf('holes', 0.1);
    const holes = {
      ...base,
      figures: { ...base.figures, hitRate: none, mrr: none },
      catalogue: { ...base.catalogue, novelty: Number.NaN, popularityShares: { head: Number.NaN, middle: Number.NaN, tail: Number.NaN } },
      curves: { ...base.curves, ndcg: [Number.NaN, 0.1, Number.NaN] },
      segments: base.segments.map((segment) => ({ ...segment, hitRate: none })),
      funnel: base.funnel.map((stage) => ({ ...stage, recall: Number.NaN })),
    };
    const evaluation = evaluationOf({
      pipelines: [holes, pipelineOf('popularity', 0.03)],
      comparisons: evaluationOf().comparisons.map((comparison) => ({
        ...comparison,
        challenger: 'holes',
        difference: { ...none, confidence: 0.95 },
        adjustedPValue: Number.NaN,
        significant: false,
      })),
    });
    for (const document of [await soundPage(evaluation), await soundPage(JSON.parse(JSON.stringify(evaluation)) as Evaluation)]) {
      expect(textOf(document.querySelector('h1'))).toBe('How many customers would have seen a right product could not be measured');
      const row = all(document, '#figures tbody tr').find((entry) => textOf(entry).startsWith('MRR@10'));
      expect(textOf(all(row as Found, 'td')[0] as Found)).toBe('–not measured');
    }
  });

  it('keeps names of any script, and cuts what is endless', async () => {
    const names = ['推荐管道：时间衰减', '🦊 emoji 👩‍👩‍👧‍👦', 'مرحبا', 'a'.repeat(5000)];
    const document = await soundPage(
      evaluationOf({
        pipelines: [...names.map((name, place) => pipelineOf(name, 0.1 + place / 100)), pipelineOf('popularity', 0.03)],
        examples: evaluationOf().examples.map((example) => ({
          ...example,
          took: [
            { id: 'x', title: '👩‍👩‍👧‍👦'.repeat(500) },
            { id: 'y', title: 'bad \u0000\u202e\ud800 letters' },
          ],
        })),
      }),
    );
    const heads = all(document, '#figures thead th').map(textOf);
    expect(heads.slice(1, 4)).toEqual(names.slice(0, 3));
    expect(heads[4]).toBe(`${'a'.repeat(47)}…`);
    const [, took] = all(document, '.card .chips');
    const titles = all(took as Found, 'li').map(textOf);
    // A family counts twice and is never cut into its members.
    expect(titles[0]).toBe(`${'👩‍👩‍👧‍👦'.repeat(79)}…`);
    expect(titles[1]).toBe('bad letters');
  });

  it('is the same page for the same document', async () => {
    expect(await renderReport(evaluationOf())).toBe(await renderReport(evaluationOf()));
  });

  it('refuses a document without pipelines', async () => {
    await expect(renderReport(evaluationOf({ pipelines: [], comparisons: [] }))).rejects.toThrow(TypeError);
  });
});
