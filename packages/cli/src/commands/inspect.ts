import { existsSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { ModelOfComponent, OpenedSnapshot, SnapshotStore } from '@recloom/core';
import { type Inspectable, isRecloomError, recloomError, type Warning } from '@recloom/plugin-api';
import type { Command } from 'commander';
import { addCommand, type CommandCall, type CommandHost, hostOptions, takeConfig } from '../command.js';
import { formatBytes, formatCount, formatCountOf, formatScore, formatShare } from '../render/format.js';
import type { Style } from '../render/style.js';
import { heading, renderTable, type TableColumn } from '../render/table.js';
import { printable, wrap } from '../render/text.js';
import { UsageError, warningLines } from '../report-error.js';

interface InspectCommandOptions {
  readonly component?: string;
  readonly item?: string;
}

/** `recloom inspect [config] [snapshot] [other]`. */
export function registerInspect(program: Command, host: CommandHost): void {
  addCommand<InspectCommandOptions>(program, host, {
    usage: 'inspect [words...]',
    summary: 'look into a snapshot, or at the difference between two',
    detail:
      'Words: [config] [snapshot] [other]. A snapshot is its id, the beginning of it, `current`, `previous`, or its folder; default current. With two, what changed from the first to the second.',
    examples: [
      ['recloom inspect', 'the published snapshot: counts, fields, components, tensors'],
      ['recloom inspect previous current', 'what the last build changed'],
      ['recloom inspect --component together --item 85123A', 'what a component knows about an item'],
    ],
    configure: (command) => {
      command.option('--component <name>', 'with --item: a component of the config');
      command.option('--item <id>', 'what the component knows about this item');
    },
    run: async (call) => {
      const { component, item } = call.options;
      if ((component === undefined) !== (item === undefined)) throw new UsageError('--component and --item go together.');
      const { store, words, config } = await findStore(call);
      if (words.length > 2) throw new UsageError(`"${words[2]}" is one word too many: at most two snapshots can be compared.`);
      if (component !== undefined && item !== undefined) {
        if (config === undefined) throw new UsageError('--component needs a config, to know how the component is made.');
        await inspectComponent(call, config, component, item, words[0] === undefined ? undefined : await resolveId(store, words[0]));
        return;
      }
      const warnings: Warning[] = [];
      const open = async (word: string): Promise<OpenedSnapshot> =>
        store.open(await resolveId(store, word), { signal: call.io.signal, warn: (warning) => warnings.push(warning) });
      const { diffSnapshots, inspectSnapshot } = await import('@recloom/core');
      const [first, second] = words;
      if (second !== undefined) {
        const difference = diffSnapshots(await open(first as string), await open(second));
        if (call.json) call.printJson(difference);
        else call.print(differenceLines(difference, call.style));
        return;
      }
      const inspection = inspectSnapshot(await open(first ?? 'current'));
      const others = (await store.list()).filter((entry) => entry.id !== inspection.id);
      const models = config === undefined ? [] : await modelsOf(call, config, inspection.id, warnings);
      if (call.json) {
        call.printJson({ ...inspection, models, others });
        return;
      }
      call.print([...inspectionLines(inspection, call.style), ...modelLines(models, call.style)]);
      if (others.length > 0) {
        call.print([
          ...heading('Other snapshots', call.style),
          ...others.map((entry) => `  ${entry.id}  ${formatBytes(entry.bytes)}${entry.published === undefined ? '  never published' : ''}`),
        ]);
      }
      call.print(warningLines(warnings, call.style));
    },
  });
}

/** The models that the config's components run over a snapshot: only they know, so they are made for a moment. */
async function modelsOf(
  call: CommandCall<InspectCommandOptions>,
  config: string,
  snapshot: string,
  warnings: Warning[],
): Promise<readonly ModelOfComponent[]> {
  const { openPipeline, openWorkspace } = await import('@recloom/core');
  const { plan } = (await openWorkspace(config, hostOptions(call.io))).tryPlan();
  if (!plan.nodes.some((node) => (node.definition.capabilities.devices ?? []).length > 0)) return [];
  try {
    const pipeline = await openPipeline(config, { ...hostOptions(call.io), signal: call.io.signal, snapshot });
    try {
      warnings.push(...pipeline.warnings);
      return pipeline.models;
    } finally {
      await pipeline.close();
    }
  } catch (error) {
    call.io.signal.throwIfAborted();
    if (!isRecloomError(error)) throw error;
    // A snapshot can be looked into where its models are not.
    warnings.push({ code: error.code, message: `Its models cannot be shown. ${error.message}`, at: error.at });
    return [];
  }
}

function modelLines(models: readonly ModelOfComponent[], style: Style): string[] {
  if (models.length === 0) return [];
  return [
    ...heading('Models', style),
    ...renderTable(
      [{ header: 'component', paint: style.cyan }, { header: 'file', narrow: 'cut' }, { header: 'device' }, { header: 'sha256' }],
      models.map((model) => [model.component, printable(model.file), model.device, model.sha256.slice(0, 16)]),
      { style },
    ),
  ];
}

/** The store of the config, or of a snapshot folder that is named outright. */
async function findStore(
  call: CommandCall<InspectCommandOptions>,
): Promise<{ readonly store: SnapshotStore; readonly words: readonly string[]; readonly config: string | undefined }> {
  const { openWorkspace, SnapshotStore: Store } = await import('@recloom/core');
  const folders = call.words.map((word) => {
    const path = resolve(call.io.directory, word);
    return existsSync(resolve(path, 'manifest.json')) ? path : undefined;
  });
  const [folder] = folders;
  if (folder !== undefined && call.options.config === undefined) {
    const root = dirname(folder);
    if (folders.some((path) => path === undefined || dirname(path) !== root))
      throw new UsageError('Both snapshots must lie in the same folder.');
    return { store: new Store(root), words: folders.map((path) => basename(path as string)), config: undefined };
  }
  const { config, words } = takeConfig(call);
  return { store: (await openWorkspace(config, hostOptions(call.io))).store, words, config };
}

/** The id a word stands for. */
async function resolveId(store: SnapshotStore, word: string): Promise<string> {
  const entries = await store.list();
  const published = entries.filter((entry) => entry.published !== undefined);
  if (word === 'current' || word === 'previous') {
    const id = published[word === 'current' ? 0 : 1]?.id;
    if (id !== undefined) return id;
    if (word === 'previous' && published.length > 0) throw new UsageError('There is only one published snapshot.');
    throw recloomError('RECLOOM_DAT_SNAPSHOT_MISSING', { path: store.root });
  }
  const matching = entries.filter((entry) => entry.id.startsWith(word));
  if (matching.length === 1) return (matching[0] as { id: string }).id;
  if (entries.length === 0) throw recloomError('RECLOOM_DAT_SNAPSHOT_MISSING', { path: store.root });
  throw new UsageError(
    matching.length === 0 ? `There is no snapshot "${word}".` : `"${word}" is the beginning of ${matching.length} snapshots.`,
    `There are: ${entries.map((entry) => entry.id).join(', ')}.`,
  );
}

async function inspectComponent(
  call: CommandCall<InspectCommandOptions>,
  config: string,
  name: string,
  item: string,
  snapshot: string | undefined,
): Promise<void> {
  const { openPipeline, suggest } = await import('@recloom/core');
  const pipeline = await openPipeline(config, {
    ...hostOptions(call.io),
    signal: call.io.signal,
    ...(snapshot === undefined ? {} : { snapshot }),
  });
  try {
    const row = pipeline.engine.items.rowOf(item);
    if (row < 0) throw new UsageError('The item is not in this snapshot.');
    const instance = componentOf(pipeline, name, suggest);
    if (typeof instance.inspectItem !== 'function') throw new UsageError(`The component "${name}" cannot be looked into.`);
    const known = instance.inspectItem(row);
    if (call.json) call.printJson({ component: name, item, title: pipeline.title(item), known });
    else
      call.print([
        call.style.bold(`${printable(item)} ${printable(pipeline.title(item))}`) + call.style.dim(`  ${name}`),
        '',
        ...(isEmpty(known)
          ? [call.style.dim('  It knows nothing about this item, such as no neighbours.')]
          : valueLines(known, '  ', call.style, (id) => pipeline.title(id))),
      ]);
  } finally {
    await pipeline.close();
  }
}

function componentOf(
  pipeline: { component(name: string): object; readonly engine: { readonly assembly: { readonly nodes: ReadonlyMap<string, unknown> } } },
  name: string,
  suggest: (word: string, known: string[]) => string | undefined,
): Partial<Inspectable> {
  try {
    return pipeline.component(name) as Partial<Inspectable>;
  } catch (error) {
    if (!isRecloomError(error)) throw error;
    const names = [...pipeline.engine.assembly.nodes.keys()];
    const near = suggest(name, names);
    throw new UsageError(
      `There is no component "${name}"${near === undefined ? '.' : `; did you mean "${near}"?`}`,
      `The config has: ${names.join(', ')}.`,
    );
  }
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** A JSON value as an indented outline; lists of flat records as tables, with the title of what they name under `item`. */
function valueLines(value: unknown, indent: string, style: Style, title: (id: string) => string): string[] {
  if (Array.isArray(value)) {
    if (value.length === 0) return [`${indent}${style.dim('none')}`];
    if (value.length > 0 && value.every(isFlatRecord)) return recordLines(value, indent, style, title);
    if (value.every((entry) => typeof entry !== 'object' || entry === null))
      return wrap(printable(value.map(scalar).join(', ')), style.width, indent);
    return value.map((entry) => `${indent}- ${inline(entry)}`);
  }
  if (typeof value !== 'object' || value === null) return [`${indent}${scalar(value)}`];
  return Object.entries(value).flatMap(([key, entry]) =>
    typeof entry === 'object' && entry !== null
      ? [`${indent}${key}:`, ...valueLines(entry, `${indent}  `, style, title)]
      : [`${indent}${key}: ${scalar(entry)}`],
  );
}

function isFlatRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every((entry) => typeof entry !== 'object')
  );
}

function recordLines(
  records: readonly Readonly<Record<string, unknown>>[],
  indent: string,
  style: Style,
  title: (id: string) => string,
): string[] {
  const keys = [...new Set(records.flatMap((record) => Object.keys(record)))];
  const columns: TableColumn[] = keys.flatMap((key): TableColumn[] => {
    if (key === 'item')
      return [
        { header: 'item', paint: style.cyan },
        { header: '', narrow: 'cut' },
      ];
    return [records.every((record) => typeof record[key] === 'number') ? { header: key, align: 'right' } : { header: key, narrow: 'cut' }];
  });
  const cell = (value: unknown): string => {
    if (value === undefined) return '';
    return typeof value === 'number' && !Number.isInteger(value) ? formatScore(value) : scalar(value);
  };
  const rows = records.map((record) =>
    keys.flatMap((key) => (key === 'item' ? [scalar(record[key]), printable(title(String(record[key])))] : [cell(record[key])])),
  );
  return renderTable(columns, rows, { style, indent });
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return value.map(inline).join(', ');
  if (typeof value !== 'object' || value === null) return scalar(value);
  return Object.entries(value)
    .map(([key, entry]) => `${key} ${inline(entry)}`)
    .join(', ');
}

function scalar(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  return printable(String(value));
}

function inspectionLines(inspection: ReturnType<typeof import('@recloom/core').inspectSnapshot>, style: Style): string[] {
  const { counts, components } = inspection;
  const span = inspection.firstEvent === null ? '' : ` from ${inspection.firstEvent.slice(0, 10)} to ${inspection.lastEvent?.slice(0, 10)}`;
  const fields = (list: typeof inspection.itemFields, of: number): string[][] =>
    list.map((field) => [field.name, field.type, of === 0 ? '' : formatShare(field.filled / of)]);
  const fieldColumns = [{ header: 'field', paint: style.cyan }, { header: 'type' }, { header: 'filled', align: 'right' as const }];
  return [
    `${style.bold(`Snapshot ${inspection.id}`)}  ${style.dim(`${inspection.pipeline}, ${formatBytes(inspection.bytes)}`)}`,
    style.dim(`  ${inspection.directory}`),
    `  config ${inspection.configHash.slice(0, 16)}  data ${inspection.dataHash.slice(0, 16)}  format ${inspection.formatVersion}`,
    ...heading('Data', style),
    ...wrap(
      `${formatCountOf(counts.items, 'item')}, ${formatCountOf(counts.users, 'user')}, ${formatCountOf(counts.events, 'event')}${span}${inspection.baskets === null ? '' : `, ${formatCountOf(inspection.baskets, 'basket')}`}`,
      style.width,
      '  ',
    ),
    ...wrap(inspection.eventTypes.map((type) => `${printable(type.name)} ${formatCount(type.count)}`).join(', '), style.width, '  '),
    ...(inspection.itemFields.length === 0
      ? []
      : [...heading('Item fields', style), ...renderTable(fieldColumns, fields(inspection.itemFields, counts.items), { style })]),
    ...(inspection.userFields.length === 0
      ? []
      : [...heading('User fields', style), ...renderTable(fieldColumns, fields(inspection.userFields, counts.users), { style })]),
    ...heading('Components', style),
    ...renderTable(
      [
        { header: 'name', paint: style.cyan },
        { header: 'component', narrow: 'cut' },
        { header: 'state', align: 'right' },
        { header: 'size', align: 'right' },
      ],
      components.map((component) => [component.name, component.reference, `v${component.stateVersion}`, formatBytes(component.bytes)]),
      { style },
    ),
    ...heading('Tensors', style),
    ...renderTable(
      [
        { header: 'component', paint: style.cyan },
        { header: 'tensor', narrow: 'cut' },
        { header: 'type' },
        { header: 'shape', align: 'right' },
        { header: 'size', align: 'right' },
      ],
      components.flatMap((component) =>
        component.tensors.map((tensor, place) => [
          place === 0 ? component.name : '',
          tensor.name,
          tensor.dtype,
          tensor.shape.map((size) => formatCount(size)).join(' × '),
          formatBytes(tensor.bytes),
        ]),
      ),
      { style },
    ),
  ];
}

function differenceLines(difference: ReturnType<typeof import('@recloom/core').diffSnapshots>, style: Style): string[] {
  const lines = [style.bold(`${difference.before} → ${difference.after}`)];
  if (difference.same) return [...lines, '', '  The same snapshot.'];
  const changes = [
    ...(difference.pipelineChanged ? ['another pipeline'] : []),
    ...(difference.configChanged ? ['the config'] : []),
    ...(difference.dataChanged ? ['the data'] : []),
  ];
  lines.push(...wrap(changes.length === 0 ? 'Neither config nor data changed.' : `Changed: ${changes.join(' and ')}.`, style.width, '  '));
  const { items, users, events } = difference;
  lines.push(
    ...heading('Data', style),
    ...renderTable(
      [
        { header: '' },
        { header: 'before', align: 'right' },
        { header: 'after', align: 'right' },
        { header: 'added', align: 'right', paint: style.green },
        { header: 'removed', align: 'right', paint: style.red },
      ],
      [
        ['items', formatCount(items.before), formatCount(items.after), formatCount(items.added), formatCount(items.removed)],
        ['users', formatCount(users.before), formatCount(users.after), formatCount(users.added), formatCount(users.removed)],
        ['events', formatCount(events.before), formatCount(events.after), '', ''],
        ...events.byType.map((type) => [`  ${printable(type.name)}`, formatCount(type.before), formatCount(type.after), '', '']),
      ],
      { style },
    ),
  );
  if (items.addedIds.length > 0)
    lines.push(
      ...wrap(
        `added: ${printable(items.addedIds.join(', '))}${items.added > items.addedIds.length ? ', …' : ''}`,
        style.width,
        '    ',
        '  ',
      ),
    );
  if (items.removedIds.length > 0)
    lines.push(
      ...wrap(
        `removed: ${printable(items.removedIds.join(', '))}${items.removed > items.removedIds.length ? ', …' : ''}`,
        style.width,
        '    ',
        '  ',
      ),
    );
  for (const { field, items: count } of items.changedFields) lines.push(`  ${field} changed in ${formatCountOf(count, 'item')}`);
  if (items.addedFields.length > 0) lines.push(`  new fields: ${items.addedFields.join(', ')}`);
  if (items.removedFields.length > 0) lines.push(`  fields gone: ${items.removedFields.join(', ')}`);
  lines.push(
    ...heading('Components', style),
    ...renderTable(
      [{ header: 'name', paint: style.cyan }, { header: 'change' }, { header: 'what', narrow: 'wrap' }],
      difference.components.map((component) => [component.name, component.change, component.what.join(', ')]),
      { style },
    ),
  );
  return lines;
}
