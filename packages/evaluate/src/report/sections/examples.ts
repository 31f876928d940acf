import type { ExampleCase, ExampleItem } from '../../evaluation.js';
import { type Html, type HtmlPart, html, plain, shortened } from '../html.js';
import { countOf } from '../numbers.js';
import type { ReportView } from '../view.js';
import { details, name, type Section } from './section.js';

const mostLists = 3;
const mostTaken = 12;
const longestTitle = 160;

const kinds: Readonly<Record<string, string>> = {
  typical: 'A typical hit',
  best: 'Among the best',
  missed: 'Missed',
};

/** Customers: what they had, what they took, what each pipeline proposed and why. */
export function examplesSection(view: ReportView): Section | undefined {
  const { examples } = view.evaluation;
  if (examples.length === 0) return undefined;
  const marked = new Set(view.few(mostLists).map(({ pipeline }) => pipeline.name));
  return {
    id: 'examples',
    title: 'Customers as examples',
    body: html`<p>Chosen by rule, not by hand: typical, best and missed cases of the first pipeline. ${
      view.showUsers ? 'Customers are shown by their ids, as was asked for.' : 'Customers are numbered; their ids are not in this page.'
    } What they took is: treat the page as personal data, or measure with no examples before you pass it on.</p>
<div class="cards">${examples.map((example, place) => card(view, example, place, marked))}</div>`,
  };
}

function card(view: ReportView, example: ExampleCase, place: number, marked: ReadonlySet<string>): Html {
  const hits = new Set(example.lists.flatMap(({ items }) => items.filter(({ hit }) => hit).map(({ id }) => id)));
  // What was found comes first, so that it is seen where much was taken.
  const took = [...example.took].sort((left, right) => Number(hits.has(right.id)) - Number(hits.has(left.id)));
  const listOf = (list: ExampleCase['lists'][number]): Html =>
    html`<div class="list"><h4>${name(view.labelOf(list.pipeline))}</h4>${
      list.items.length === 0
        ? html`<p class="meaning">nothing proposed</p>`
        : html`<ol>${list.items.map(
            (item) =>
              html`<li class="${item.hit ? 'hit' : ''}">${title(item)}${item.hit && html` <span class="tag">✓ taken</span>`}${
                item.reason !== undefined && html`<span class="meaning">${name(shortened(plain(item.reason), longestTitle))}</span>`
              }</li>`,
          )}</ol>`
    }</div>`;
  const near = example.lists.filter(({ pipeline }) => marked.has(pipeline));
  const rest = example.lists.filter(({ pipeline }) => !marked.has(pipeline));
  const found = took.filter(({ id }) => hits.has(id)).length;
  return html`<article class="card"><header><h3>${view.showUsers ? name(plain(example.user)) : html`Customer ${place + 1}`}</h3><p class="kind">${kinds[example.why] ?? plain(example.why)}</p></header>
<div class="before"><div><h4>Had already, newest first</h4>${chips(example.history.map(title), 'nothing that is known')}</div>
<div><h4>Then took ${countOf(took.length, 'product')} new to them${found > 0 && html`, ${found} of them shown here`}</h4>${chips(
    took.slice(0, mostTaken).map((item) => (hits.has(item.id) ? html`<span class="found">✓ ${title(item)}</span>` : title(item))),
    'nothing',
    took.length > mostTaken && html`and ${took.length - mostTaken} more`,
  )}</div></div>
<div class="lists">${near.map(listOf)}</div>
${rest.length > 0 && details(html`${countOf(rest.length, 'more list')}`, html`<div class="lists">${rest.map(listOf)}</div>`)}</article>`;
}

function chips(entries: readonly Html[], none: string, more?: HtmlPart): Html {
  if (entries.length === 0) return html`<p class="meaning">${none}</p>`;
  return html`<ul class="chips">${entries.map((entry) => html`<li>${entry}</li>`)}${more !== undefined && more !== false && html`<li class="more">${more}</li>`}</ul>`;
}

function title({ id, title: text }: ExampleItem): Html {
  return name(shortened(plain(text ?? '') || plain(id), longestTitle));
}
