import type { Evaluation } from '../evaluation.js';
import { html, plain } from './html.js';
import { openPlots } from './plots.js';
import { catalogueSection } from './sections/catalogue.js';
import { curvesSection } from './sections/curves.js';
import { differencesSection } from './sections/differences.js';
import { examplesSection } from './sections/examples.js';
import { figuresSection } from './sections/figures.js';
import { funnelSection } from './sections/funnel.js';
import { instant, methodSection } from './sections/method.js';
import { name, type Section } from './sections/section.js';
import { segmentsSection } from './sections/segments.js';
import { headline, summary } from './sections/summary.js';
import { styleSheet } from './style-sheet.js';
import { viewOf } from './view.js';

/** What the page tells besides the evaluation itself. */
export interface RenderReportOptions {
  /** Show the examples' customers by their ids; default: by numbers, and their ids are not in the page. */
  readonly showUsers?: boolean;
  /** The command that repeats the evaluation, as a person types it. */
  readonly command?: string;
}

/**
 * An evaluation as one page for people: HTML 5 with everything in it, no script and no address, light or dark as the reader
 * likes, for a telephone, a desk, and paper. Every number bears the exact one (`<data value>`).
 *
 * The examples show what customers bought: treat the page as personal data, or evaluate with `examples: 0`.
 *
 * @throws TypeError when the document holds no pipeline
 */
export async function renderReport(evaluation: Evaluation, options: RenderReportOptions = {}): Promise<string> {
  const view = viewOf(evaluation, options);
  const plots = await openPlots();
  const sections = [
    figuresSection(view),
    differencesSection(view, plots),
    curvesSection(view, plots),
    segmentsSection(view, plots),
    funnelSection(view, plots),
    catalogueSection(view, plots),
    examplesSection(view),
    methodSection(view),
  ].filter((section): section is Section => section !== undefined);
  const shop = plain(evaluation.shop);
  const few = evaluation.warnings?.length ?? 0;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${shop}: recommendations measured ${instant(evaluation.createdAt)}</title>
<style>${styleSheet}</style>
</head>
<body>
<header class="top"><p class="kicker">${name(shop)} · recommendations measured <time datetime="${evaluation.createdAt}">${instant(evaluation.createdAt)}</time></p>
<h1>${headline(view)}</h1></header>
<main>
<section id="summary" aria-label="Summary">${summary(view)}${few > 0 && html`<p class="note">${few === 1 ? 'A warning was' : `${few} warnings were`} given while it was measured: see <a href="#method">How it was measured</a>.</p>`}
<nav aria-label="Parts of this page"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav></section>
${sections.map(
  ({ id, title, body }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>
${body}</section>
`,
)}</main>
<footer><p>Made by Recloom from a document of the format ${evaluation.format}. The page loads nothing and sends nothing.</p></footer>
</body>
</html>
`.text;
}
