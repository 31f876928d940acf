import { type Html, type HtmlPart, html } from '../html.js';
import type { Plots } from '../plots.js';
import type { ReportView, Series } from '../view.js';

/** A part of the page: its anchor, its name, and what is in it; nothing when the document says nothing about it. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: Html;
}

/** A picture with its caption; what it shows must stand in a table, too. */
export function figure(plot: Html, caption: HtmlPart): Html {
  return html`<figure>${plot}<figcaption>${caption}</figcaption></figure>`;
}

/** A table that scrolls by itself where it is wider than the page; `caption` names it. */
export function table(id: string, caption: HtmlPart, head: readonly HtmlPart[], rows: readonly (readonly HtmlPart[])[], kind = ''): Html {
  return html`<div class="scroll" role="region" aria-labelledby="${id}" tabindex="0"><table class="${kind}"><caption><span id="${id}">${caption}</span></caption>
<thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([first, ...cells]) => html`<tr><th scope="row">${first}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>
`,
  )}</tbody></table></div>`;
}

/** What may be looked at and need not. */
export function details(summary: HtmlPart, body: HtmlPart): Html {
  return html`<details><summary>${summary}</summary>${body}</details>`;
}

/** A name from the data, kept to itself whatever its script. */
export function name(text: string): Html {
  return html`<bdi>${text}</bdi>`;
}

/** Which line and colour is which pipeline. */
export function legend(series: readonly Series[], plots: Plots): Html {
  return html`<ul class="legend">${series.map((entry) => html`<li>${plots.swatch(entry)}${name(entry.label)}</li>`)}</ul>`;
}

/** A coloured square and what it stands for. */
export function keys(entries: readonly (readonly [colour: string, text: HtmlPart])[]): Html {
  return html`<ul class="legend">${entries.map(([colour, text]) => html`<li><span class="key" style="background:${colour}"></span>${text}</li>`)}</ul>`;
}

/** Names of pipelines as column heads. */
export function heads({ series }: ReportView): readonly Html[] {
  return series.map(({ label }) => name(label));
}
