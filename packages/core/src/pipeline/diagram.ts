import type { Plan, PlannedNode, PlannedSurface } from './plan.js';

/** The plan as a Mermaid flowchart: data and fits above, one subgraph per surface (or the one named). */
export function diagramPipeline(plan: Plan, onlySurface?: string): string {
  const lines = ['flowchart LR'];
  const { data, nodes } = plan;
  const id = (name: string): string => name.replace(/[^A-Za-z0-9]/g, '_');
  for (const [kind, node] of Object.entries(data)) {
    if (node !== undefined) lines.push(`  data_${kind}[("${kind}<br/><small>${node.reference}</small>")]`);
  }
  const surfaces = [...plan.surfaces.values()].filter((surface) => onlySurface === undefined || surface.name === onlySurface);
  const shown = new Set(surfaces.flatMap((surface) => [...usedNodes(surface)]));
  lines.push('  subgraph build["build: fitted once"]');
  for (const node of nodes)
    if (shown.has(node.name) && isLearned(node))
      lines.push(`    fit_${id(node.name)}["${node.name}<br/><small>${node.reference}</small>"]`);
  lines.push('  end');
  for (const node of nodes) {
    if (!shown.has(node.name) || !isLearned(node)) continue;
    if (node.definition.fit !== undefined && data.events !== undefined) lines.push(`  data_events --> fit_${id(node.name)}`);
    for (const [input, { entries }] of node.inputs) {
      for (const entry of entries) {
        if (entry.kind === 'feature') lines.push(`  fit_${id(entry.node.name)} -- ${input} --> fit_${id(node.name)}`);
        else if (entry.kind === 'item-field' && data.items !== undefined)
          lines.push(`  data_items -- ${entry.field} --> fit_${id(node.name)}`);
        else if (entry.kind === 'user-field' && data.users !== undefined)
          lines.push(`  data_users -- ${entry.field} --> fit_${id(node.name)}`);
      }
    }
  }
  for (const surface of surfaces) lines.push(...surfaceLines(surface, id));
  return `${[...new Set(lines)].join('\n')}\n`;
}

function isLearned(node: PlannedNode): boolean {
  return node.definition.fit !== undefined || node.definition.provides.includes('extractor');
}

function usedNodes(surface: PlannedSurface): Set<string> {
  const names = new Set<string>();
  const add = (node: PlannedNode): void => {
    if (names.has(node.name)) return;
    names.add(node.name);
    for (const { entries } of node.inputs.values()) for (const entry of entries) if (entry.kind === 'feature') add(entry.node);
  };
  for (const { node } of [
    ...surface.sources,
    ...surface.filters,
    ...surface.features,
    ...surface.scorers,
    ...surface.rankers,
    ...surface.privacy,
    ...surface.effects,
  ])
    add(node);
  return names;
}

/** The stages of a surface in the order a request passes them. */
function surfaceLines(surface: PlannedSurface, id: (name: string) => string): string[] {
  const prefix = `${id(surface.name)}_`;
  const lines = [`  subgraph ${prefix}surface["surface: ${surface.name}"]`, '    direction LR'];
  let previous: string[] = [`${prefix}request(["request"])`];
  const chain = (stage: string[]): void => {
    if (stage.length === 0) return;
    for (const from of previous) for (const to of stage) lines.push(`    ${from} --> ${to}`);
    previous = stage.map((entry) => entry.replace(/[[({>].*$/s, ''));
  };
  const gates = surface.privacy.map(({ node }) => `${prefix}gate_${id(node.name)}{{"${node.name}"}}`);
  chain(gates);
  chain(
    surface.sources.map(
      ({ node, use }) =>
        `${prefix}source_${id(node.name)}["${node.name} (${use.limit}${use.fallback ? ', fallback' : ''}${use.required ? ', required' : ''})"]`,
    ),
  );
  chain([`${prefix}merge(["merge"])`]);
  for (const { node } of surface.filters) chain([`${prefix}filter_${id(node.name)}[/"${node.name}"/]`]);
  chain(surface.features.map(({ node }) => `${prefix}feature_${id(node.name)}["${node.name}"]`));
  chain(surface.scorers.map(({ node }) => `${prefix}scorer_${id(node.name)}["${node.name}"]`));
  const value = surface.config.value?.replace(/"/g, "'").replace(/\s+/g, ' ');
  chain([`${prefix}value["value${value === undefined ? '' : `<br/><small>${value}</small>`}"]`]);
  for (const { node } of surface.rankers) chain([`${prefix}ranker_${id(node.name)}["${node.name}"]`]);
  chain([`${prefix}answer(["answer (${surface.config.limit})"])`]);
  lines.push('  end');
  return lines;
}
