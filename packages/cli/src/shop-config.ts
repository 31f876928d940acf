import { loadConfig, type PipelineConfig } from '@recloom/core';
import { recloomError } from '@recloom/plugin-api';
import type { FileProfile, ShopGuess, ShopRole } from '@recloom/plugin-data-duckdb';
import { type PresetName, presetPath } from '@recloom/presets';
import { Document, isMap, isPair, isScalar, isSeq, type Scalar, visit, type YAMLMap } from 'yaml';
import { UsageError } from './report-error.js';

/** A file and what was made of it. */
export interface LookedAt {
  /** Relative to the config that is to be written. */
  readonly path: string;
  readonly profile: FileProfile;
  readonly guess: ShopGuess;
}

export interface ShopConfigInput {
  readonly name: string;
  readonly main: LookedAt;
  /** A file of its own for the items. */
  readonly catalogue: LookedAt | undefined;
}

export interface ShopConfig {
  readonly yaml: string;
  /** Surfaces the config has, of the preset's. */
  readonly surfaces: readonly string[];
  /** What a person should know about the choices. */
  readonly notes: readonly string[];
}

/** Data that ended longer ago than this are replayed as of their last event. */
const oldAfterMs = 30 * 86_400_000;

/** What of a preset matters here, with what it is based on. */
type Preset = Pick<PipelineConfig, 'components' | 'surfaces'>;

async function readPreset(name: PresetName): Promise<Preset> {
  const { config } = await loadConfig(
    { format: '1.0', name, base: `recloom:${name}`, data: {} },
    { presetPaths: (preset) => presetPath(preset as PresetName) },
  );
  return config;
}

/** Plugins whose components learn from events, from whose events, and from the words of items. */
const learnsFromEvents = /^(collaborative-|sequence\/|popularity\/|graph\/|rules\/seen)/;
const learnsFromUsers = /^(collaborative-|sequence\/|graph\/|rules\/seen)/;
const learnsFromWords = /^(text-|vector-search\/|keyword-search\/|ranker-diversity\/mmr)/;

/**
 * A config on top of `recloom:shop` for what the files hold. What the preset needs and the data lack is taken out, so that
 * the config builds as it stands.
 *
 * @throws UsageError when no column can be the item, or a file is given where another kind is needed
 */
export async function writeShopConfig(input: ShopConfigInput): Promise<ShopConfig> {
  const { main, catalogue } = input;
  if (main.guess.rows === 'unknown') {
    const names = main.profile.columns.map((column) => column.name).join(', ');
    throw new UsageError(`${main.path}: ${main.guess.rowsReason}.`, `The columns are: ${names}. Rename them, or write the config by hand.`);
  }
  if (catalogue !== undefined && (catalogue.guess.roles.item === undefined || main.guess.rows === 'items'))
    throw new UsageError(
      catalogue.guess.roles.item === undefined
        ? `${catalogue.path}: no column looks like an item id.`
        : `${main.path} describes items itself.`,
      'Give the file of events first, and the file of items with --items.',
    );
  const describing = catalogue ?? (main.guess.rows === 'events' ? undefined : main);
  const events = main.guess.rows === 'items' ? undefined : main;
  if (events === undefined && describing === undefined) throw recloomError('RECLOOM_DAT_EMPTY', { what: 'events or items' });
  const has = {
    title: describing?.guess.roles.title !== undefined,
    events: events !== undefined,
    users: events !== undefined && userOf(events) !== undefined,
    time: events?.guess.roles.time !== undefined,
  };
  const notes: string[] = [];
  const eventRules = events === undefined ? [] : rulesOf(events);
  const data: Record<string, unknown> = {};
  if (events !== undefined) data['events'] = { use: 'data-duckdb/events', with: eventOptions(events, eventRules) };
  if (describing !== undefined)
    data['items'] = { use: 'data-duckdb/items', with: itemOptions(describing, describing === events ? eventRules : rulesOf(describing)) };
  const country = events?.guess.roles.country;
  const user = events?.guess.roles.user;
  if (events !== undefined && country !== undefined && user !== undefined) {
    data['users'] = {
      use: 'data-duckdb/users',
      with: {
        ...readOptions(events, eventRules),
        id: user.mapping,
        fields: { country: { ...fieldOf(country.mapping), type: 'category' } },
      },
    };
    data['labels'] = { country: 'location' };
  }
  if (events !== undefined && !has.time) {
    data['now'] = 'data';
    notes.push('No column holds times: rows are taken in their order, each a second after the one before.');
  }
  if (events !== undefined && isOld(events)) {
    data['now'] = 'data';
    notes.push('The data end some time ago: `now: data` takes their last event for now. Remove it when fresh data arrive.');
  }
  notes.push(...unusedNotes(events === undefined ? [] : [events], describing, data));
  if (events !== undefined) notes.push(...weightNotes(events));
  const preset = await readPreset('shop');
  const components: Record<string, unknown> = {};
  const surfaces: Record<string, unknown> = {};
  const gone = new Set<string>();
  const takeOut = (uses: RegExp): void => {
    for (const [name, { use }] of Object.entries(preset.components)) {
      if (!uses.test(use)) continue;
      components[name] = null;
      gone.add(name);
    }
  };
  if (!has.title) {
    takeOut(learnsFromWords);
    notes.push('No column holds titles: without words there is neither a search nor a likeness by content.');
  }
  if (!has.events) {
    takeOut(learnsFromEvents);
    notes.push('There are no events: items are found by content only, until `data.events` tells who does what.');
  } else if (!has.users) {
    takeOut(learnsFromUsers);
    notes.push('No column names a user or an order: recommendations rest on what sells.');
  } else if (events?.guess.roles.user === undefined) {
    notes.push('No column names the user: every order counts as a person of its own.');
  }
  if (has.users) {
    const types = seenTypes(events as LookedAt);
    if (types !== undefined) components['seen'] = { with: { types } };
  }
  if (country !== undefined && has.users) components['popular'] = { use: 'popularity/popular', in: { segment: 'user.country' } };
  const shown = [...(has.title ? ['title'] : []), ...(describing?.guess.roles.price === undefined ? [] : ['price'])];
  const kept: string[] = [];
  for (const name of Object.keys(preset.surfaces)) {
    const surface = surfaceFor(name, preset, gone, shown, 'popular' in components);
    if (surface === null || Object.keys(surface).length > 0) surfaces[name] = surface;
    if (surface !== null) kept.push(name);
  }
  const config = {
    format: '1.0',
    name: input.name,
    base: 'recloom:shop',
    data,
    ...(Object.keys(components).length === 0 ? {} : { components }),
    ...(Object.keys(surfaces).length === 0 ? {} : { surfaces }),
  };
  return { yaml: render(config, describing ?? main, events), surfaces: kept, notes };
}

/** What must change on a preset's surface: null when nothing of it is left. */
function surfaceFor(
  name: string,
  preset: Preset,
  gone: ReadonlySet<string>,
  attributes: readonly string[],
  hasPopular: boolean,
): Record<string, unknown> | null {
  const { sources = {}, filters = [], scorers = [], rankers = [], attributes: usual = [], value } = preset.surfaces[name] ?? {};
  const stays = (component: string): boolean => !gone.has(component);
  const surface: Record<string, unknown> = {};
  const changed: Record<string, unknown> = Object.fromEntries(
    Object.keys(sources)
      .filter((source) => !stays(source))
      .map((source) => [source, null]),
  );
  if (!Object.keys(sources).some(stays)) {
    // A shop without events still has a start page: what is like the items of a visit.
    if (name !== 'home' || !stays('similar')) return null;
    changed['similar'] = 200;
  }
  if (name === 'home' && hasPopular) changed['popular'] = { limit: 100, fallback: true };
  if (Object.keys(changed).length > 0) surface['sources'] = changed;
  for (const [stage, uses] of Object.entries({ filters, rankers, scorers })) {
    const names = uses.map((use) => use.name);
    if (!names.every(stays)) surface[stage] = names.filter(stays);
  }
  const lost = scorers.map((scorer) => scorer.name).filter((scorer) => !stays(scorer));
  if (lost.length > 0 && value !== undefined) surface['value'] = valueWithout(value, lost);
  if (attributes.join() !== usual.join()) surface['attributes'] = [...attributes];
  return surface;
}

/** A sum without the terms that read lost scores, the weights of the others as they are; null when nothing is left. */
function valueWithout(value: string, lost: readonly string[]): string | null {
  const reads = lost.map((name) => new RegExp(`\\bscore\\.${name}\\b`));
  const left = value.split(' + ').filter((term) => !reads.some((read) => read.test(term)));
  return left.length === 0 ? null : left.join(' + ');
}

type Rule = { readonly reason: string; readonly where: string };

/** The rules of a file; one list for all that read it, so that the YAML says it once. */
/** Columns that no role took, file by file: a person decides what they are worth. */
function unusedNotes(
  events: readonly LookedAt[],
  describing: LookedAt | undefined,
  data: Readonly<Record<string, unknown>>,
): readonly string[] {
  const files = new Set([...events, ...(describing === undefined ? [] : [describing])]);
  // An expression may read any column: what stands in the options as a word is used.
  const written = new Set(JSON.stringify(data).split(/[^\p{L}\p{N}_ ]+/u));
  return [...files].flatMap(({ path, profile, guess }) => {
    // Of a catalogue, only what becomes a field or the id: when an item was added is no time of an event.
    const roles = events.some((entry) => entry.path === path)
      ? Object.values(guess.roles)
      : [guess.roles.item, guess.roles.title, guess.roles.price, guess.roles.category, guess.roles.image];
    const taken = new Set(roles.map((role) => role?.column));
    const unused = profile.columns.map(({ name }) => name).filter((name) => !taken.has(name) && !written.has(name));
    if (unused.length === 0) return [];
    const names = unused.join(', ');
    const describes = path === describing?.path;
    return [
      describes
        ? `${path}: not used yet: ${names}. What describes an item becomes a field under data.items.with.fields, such as { column: ${unused[0]}, type: category }; conditions, expressions and models can read it then.`
        : `${path}: not used: ${names}.`,
    ];
  });
}

/** Several types of events without weights count the same, which is seldom meant. */
function weightNotes({ profile, guess }: LookedAt): readonly string[] {
  const column = profile.columns.find((entry) => entry.name === guess.roles.type?.column);
  const types = column?.examples ?? [];
  if (types.length < 2) return [];
  return [
    `There are several types of events (${types.join(', ')}), and each counts 1. Where one says more than another, add weights under data.events.with, such as { ${types.map((type, place) => `${type}: ${place + 1}`).join(', ')} }, and \`recloom compare\` before and after.`,
  ];
}

function rulesOf(looked: LookedAt): readonly Rule[] {
  return looked.guess.rules.map(({ reason, where }) => ({ reason, where }));
}

/** Options that say how to read a file. */
function readOptions({ path, profile }: LookedAt, rules: readonly Rule[]): Record<string, unknown> {
  return {
    path,
    ...(profile.header || (profile.format !== 'csv' && profile.format !== 'tsv') ? {} : { header: false }),
    ...(profile.encoding === 'utf-8' ? {} : { encoding: profile.encoding }),
    ...(rules.length === 0 ? {} : { drop: rules }),
  };
}

/** Who did it: the user, or else the order, each of which then counts as a person of its own. */
function userOf({ guess }: LookedAt): ShopGuess['roles']['user'] {
  return guess.roles.user ?? guess.roles.basket;
}

function eventOptions(looked: LookedAt, rules: readonly Rule[]): Record<string, unknown> {
  const { guess } = looked;
  const { item, time, type, basket } = guess.roles;
  return {
    ...readOptions(looked, rules),
    user: userOf(looked)?.mapping ?? { sql: "'everybody'" },
    ...(userOf(looked) === undefined ? { deduplicate: 'none' } : {}),
    item: item?.mapping,
    time: time?.mapping ?? { sequence: '2024-01-01' },
    ...(time === undefined ? {} : timeFormat(looked, time.column)),
    ...(type === undefined ? (guess.eventType === undefined ? {} : { type: { value: guess.eventType } }) : { type: type.mapping }),
    ...(basket === undefined ? {} : { basket: basket.mapping }),
  };
}

/** Days and months that cannot be told apart: the day first, as most of the world writes; the notes say so. */
function timeFormat({ profile }: LookedAt, column: string): Record<string, unknown> {
  const found = profile.columns.find((entry) => entry.name === column);
  if (found?.time !== 'ambiguous') return {};
  const example = found.examples[0] ?? '';
  const separator = /[./-]/.exec(example)?.[0] ?? '/';
  const clock = /\d:\d\d:\d\d/.test(example) ? ' %H:%M:%S' : /\d:\d\d/.test(example) ? ' %H:%M' : '';
  const year = /\d{4}/.test(example) ? '%Y' : '%y';
  return { timeFormat: `%d${separator}%m${separator}${year}${clock}` };
}

function itemOptions(looked: LookedAt, rules: readonly Rule[]): Record<string, unknown> {
  const { roles } = looked.guess;
  const fields: Record<string, unknown> = {};
  if (roles.title !== undefined) fields['title'] = { ...fieldOf(roles.title.mapping), type: 'text' };
  if (roles.price !== undefined) fields['price'] = { ...fieldOf(roles.price.mapping), type: 'number' };
  if (roles.category !== undefined) fields['category'] = { ...fieldOf(roles.category.mapping), type: 'category' };
  if (roles.image !== undefined) fields['photo'] = { ...fieldOf(roles.image.mapping), type: 'image' };
  return { ...readOptions(looked, rules), id: roles.item?.mapping, ...(Object.keys(fields).length === 0 ? {} : { fields }) };
}

function fieldOf(mapping: string | { readonly sql: string }): Record<string, unknown> {
  return typeof mapping === 'string' ? { column: mapping } : { sql: mapping.sql };
}

function isOld({ profile, guess }: LookedAt): boolean {
  const column = profile.columns.find((entry) => entry.name === guess.roles.time?.column);
  const latest = lastTime(column?.max, column?.time);
  return latest !== undefined && Date.now() - latest > oldAfterMs;
}

function lastTime(text: string | undefined, notation: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const perMillisecond: Readonly<Record<string, number>> = { seconds: 1000, milliseconds: 1, microseconds: 1e-3, nanoseconds: 1e-6 };
  const factor = notation === undefined ? undefined : perMillisecond[notation];
  if (factor !== undefined) return Number(text) * factor;
  const year = /\b(19|20)\d\d\b/.exec(text)?.[0];
  const timeMs = Date.parse(text);
  // Notations that JavaScript does not read: the year alone tells old from new.
  return Number.isNaN(timeMs) ? (year === undefined ? undefined : Date.UTC(Number(year), 11, 31)) : timeMs;
}

/** Event types after which an item is no news to its user; undefined when the preset's `[purchase]` is right. */
function seenTypes({ profile, guess }: LookedAt): readonly string[] | undefined {
  const column = profile.columns.find((entry) => entry.name === guess.roles.type?.column);
  if (column === undefined) return guess.eventType === undefined || guess.eventType === 'purchase' ? undefined : [guess.eventType];
  const bought = column.examples.filter((type) => /purchas|buy|bought|order|transaction|sale|kauf|achat|compra|acquist/i.test(type));
  return bought.length > 0 ? bought : column.examples;
}

const roleComments: Readonly<Partial<Record<ShopRole, string>>> = {
  user: 'who',
  item: 'which item',
  time: 'when',
  type: 'what happened',
  basket: 'what was bought together',
};

/** YAML as a person would write it: short mappings in one line, rules once, a comment on each guess. */
function render(config: Record<string, unknown>, described: LookedAt, events: LookedAt | undefined): string {
  const document = new Document(config, { anchorPrefix: 'same' });
  document.commentBefore = ` Written by \`recloom init\` from ${(events ?? described).path}. Everything here is yours to change:\n \`recloom plugins show <component>\` tells the options, \`recloom validate\` checks, \`recloom dev\` shows what an edit does.`;
  visit(document, {
    Collection: (_key, node, path) => {
      const isShort = node.items.every(
        (entry) => isScalar(isPair(entry) ? entry.value : entry) || isFlow(isPair(entry) ? entry.value : entry),
      );
      // Not the file itself, nor its sections.
      if (isShort && node.items.length <= 3 && path.length > 4) node.flow = true;
    },
  });
  for (const pair of (document.contents as unknown as YAMLMap<Scalar, unknown>).items)
    if (!['format', 'name', 'base'].includes(String(pair.key.value))) pair.key.spaceBefore = true;
  const roles = events?.guess.roles ?? {};
  const options = document.getIn(['data', 'events', 'with']) as YAMLMap<Scalar, unknown> | undefined;
  for (const pair of options?.items ?? []) {
    const role = String(pair.key.value) as ShopRole;
    const guess = roles[role];
    if (guess === undefined || !isScalar(pair.value)) continue;
    pair.value.comment = ` ${roleComments[role] ?? role}${guess.confidence < 0.7 ? `, a guess: ${Math.round(guess.confidence * 100)} % sure` : ''}`;
  }
  return document.toString({ lineWidth: 110, flowCollectionPadding: true });
}

function isFlow(node: unknown): boolean {
  return (
    (isMap(node) || isSeq(node)) && node.items.every((entry) => isScalar(isPair(entry) ? entry.value : entry)) && node.items.length <= 3
  );
}
