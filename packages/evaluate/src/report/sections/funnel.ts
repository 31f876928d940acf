import type { FunnelStage } from '../../evaluation.js';
import { type Html, html, plain } from '../html.js';
import { countOf, countText, exact, isNumber, numberText, roundShare } from '../numbers.js';
import type { FunnelRow, Plots } from '../plots.js';
import type { ReportView, Series } from '../view.js';
import { details, figure, name, type Section, table } from './section.js';

const mostPlots = 4;

/** What each source proposes of what customers took, and what is left of it stage by stage. */
export function funnelSection(view: ReportView, plots: Plots): Section | undefined {
  const followed = view.series.filter(({ pipeline }) => pipeline.funnel.length > 0);
  if (followed.length === 0) return undefined;
  const plotted = view.few(mostPlots).filter((series) => followed.includes(series));
  const cases = followed[0]?.pipeline.funnel[0]?.cases;
  return {
    id: 'funnel',
    title: 'Where right products are lost',
    body: html`<p>Sources propose candidates, filters take out what may not be shown, and ranking chooses the list. A bar is the share of what a customer went on to take that is still there, with the limits of serving${
      cases !== undefined && html`, followed for ${countOf(cases, 'case')}`
    }. A list of ${view.k} cannot hold everything that was taken by somebody who took more.</p>
<div class="plots">${plotted.map((series) => figure(plots.funnel(series.pipeline.funnel.map(rowOf(view.k)), series.colour), html`<b>${name(series.label)}.</b> ${sentence(series, view.k)}`))}</div>
${details(
  'The stages as tables',
  followed.map(({ label, pipeline }, place) =>
    table(
      `funnel-${place}`,
      html`What is left at each stage of ${name(label)}`,
      ['stage', 'candidates', 'right products there'],
      pipeline.funnel.map((stage) => [
        name(stageLabel(stage, view.k)),
        exact(stage.candidates, candidateText(stage)),
        exact(stage.recall, numberText(stage.recall, 'share')),
      ]),
      'numbers compact',
    ),
  ),
)}`,
  };
}

function rowOf(k: number): (stage: FunnelStage) => FunnelRow {
  return (stage) => ({
    label: stageLabel(stage, k),
    note:
      stage.stage === 'ranked'
        ? numberText(stage.recall, 'share')
        : `${numberText(stage.recall, 'share')} in ${candidateText(stage)} candidates`,
    share: stage.recall,
    isSource: stage.stage.startsWith('source '),
  });
}

function stageLabel({ stage }: FunnelStage, k: number): string {
  if (stage === 'candidates') return 'All sources together';
  if (stage === 'filters') return 'After filters';
  if (stage === 'ranked') return `The list of ${k}`;
  return plain(stage);
}

function candidateText({ candidates }: FunnelStage): string {
  if (!isNumber(candidates)) return '–';
  return candidates < 10 ? String(Number(candidates.toFixed(1))) : countText(Math.round(candidates));
}

function sentence({ pipeline: { funnel } }: Series, k: number): Html | undefined {
  const at = (stage: string): number | undefined => funnel.find((entry) => entry.stage === stage)?.recall;
  const [found, allowed, ranked] = [at('candidates'), at('filters'), at('ranked')];
  if (!isNumber(found) || !isNumber(allowed) || !isNumber(ranked)) return undefined;
  const filtered = found - allowed;
  return html`The sources find ${roundShare(found)} of what customers took${
    filtered < 0.0005 ? ', filters cost nothing' : html`, filters cost ${(filtered * 100).toFixed(1)} points`
  }, and ${roundShare(ranked)} reach the list of ${k}. What no source proposes, ${roundShare(1 - found)}, no ranking can show.`;
}
