import { recloomError } from '@recloom/plugin-api';
import type { FileProfile, ShopGuess, ShopRole } from '@recloom/plugin-data-duckdb';
import { Document, type Pair, type Scalar, type YAMLMap } from 'yaml';
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

/** Surfaces of recloom:shop and what they stand on. */
const presetSurfaces = ['home', 'product', 'similar', 'together', 'basket', 'search'] as const;
const behaviourComponents = ['habits', 'neighbours', 'next', 'recent', 'trending', 'together', 'seen'] as const;
const contentComponents = ['text', 'similar', 'meaning', 'words', 'diverse'] as const;

/**
 * A config on top of `recloom:shop` for what the files hold. What the preset needs and the data lack is taken out, so that
 * the config builds as it stands.
 *
 * @throws UsageError when no column can be the item, or a file is given where another kind is needed
 */
export function writeShopConfig(input: ShopConfigInput): ShopConfig {
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
    users: events?.guess.roles.user !== undefined,
    time: events?.guess.roles.time !== undefined,
  };
  const notes: string[] = [];
  const data: Record<string, unknown> = {};
  if (events !== undefined) data['events'] = { use: 'data-duckdb/events', with: eventOptions(events) };
  if (describing !== undefined) data['items'] = { use: 'data-duckdb/items', with: itemOptions(describing) };
  const country = events?.guess.roles.country;
  const user = events?.guess.roles.user;
  if (events !== undefined && country !== undefined && user !== undefined) {
    data['users'] = {
      use: 'data-duckdb/users',
      with: { ...readOptions(events), id: user.mapping, fields: { country: { ...fieldOf(country.mapping), type: 'category' } } },
    };
    data['labels'] = { country: 'location' };
  }
  if (events !== undefined && isOld(events)) {
    data['now'] = 'data';
    notes.push('The data end some time ago: `now: data` takes their last event for now. Remove it when fresh data arrive.');
  }
  const components: Record<string, unknown> = {};
  const surfaces: Record<string, unknown> = {};
  const gone = new Set<string>();
  const takeOut = (names: readonly string[]): void => {
    for (const name of names) {
      components[name] = null;
      gone.add(name);
    }
  };
  if (!has.title) {
    takeOut(contentComponents);
    notes.push('No column holds titles: without words there is neither a search nor a likeness by content.');
  }
  if (!has.events) {
    takeOut(behaviourComponents);
    notes.push('There are no events: items are found by content only, until `data.events` tells who does what.');
  } else if (!has.users) {
    takeOut(['habits', 'next', 'seen']);
    notes.push('No column names the user: recommendations rest on baskets and on what sells, not on a history.');
  }
  if (has.events && has.users) {
    const types = seenTypes(events as LookedAt);
    if (types !== undefined) components['seen'] = { with: { types } };
  }
  if (country !== undefined && has.users) components['popular'] = { use: 'popularity/popular', in: { segment: 'user.country' } };
  const shown = [...(has.title ? ['title'] : []), ...(describing?.guess.roles.price === undefined ? [] : ['price'])];
  const kept: string[] = [];
  for (const name of presetSurfaces) {
    const surface = surfaceFor(name, gone, shown, 'popular' in components);
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

/** Sources of the preset's surfaces, in its order. */
const presetSources: Readonly<Record<(typeof presetSurfaces)[number], readonly string[]>> = {
  home: ['habits', 'neighbours', 'next', 'recent'],
  product: ['together', 'neighbours', 'similar', 'recent'],
  similar: ['similar'],
  together: ['together', 'neighbours'],
  basket: ['together', 'neighbours', 'next', 'recent'],
  search: ['meaning', 'words'],
};

/** What must change on a preset's surface: null when nothing of it is left. */
function surfaceFor(
  name: (typeof presetSurfaces)[number],
  gone: ReadonlySet<string>,
  attributes: readonly string[],
  hasPopular: boolean,
): Record<string, unknown> | null {
  const sources: Record<string, unknown> = {};
  for (const source of presetSources[name]) if (gone.has(source)) sources[source] = null;
  let left = presetSources[name].filter((source) => !gone.has(source));
  if (name === 'home' && left.length === 0 && !gone.has('similar')) {
    sources['similar'] = 200;
    left = ['similar'];
  }
  if (left.length === 0) return null;
  if (name === 'home' && hasPopular) sources['popular'] = { limit: 100, fallback: true };
  const surface: Record<string, unknown> = {};
  if (Object.keys(sources).length > 0) surface['sources'] = sources;
  if (name === 'home') {
    if (gone.has('seen')) surface['filters'] = [];
    const scorers = presetSources.home.filter((source) => !gone.has(source));
    if (scorers.length < presetSources.home.length) {
      surface['scorers'] = scorers;
      // The preset's weights are of all four; without one of them every scorer that is left counts the same.
      surface['value'] = scorers.length === 0 ? null : scorers.map((scorer) => `zscore(score.${scorer})`).join(' + ');
    }
  }
  if (gone.has('diverse') && (name === 'product' || name === 'basket')) surface['rankers'] = [];
  const isDefault = attributes.length === 1 && attributes[0] === 'title';
  if (!isDefault) surface['attributes'] = [...attributes];
  return surface;
}

/** Options that say how to read a file. */
function readOptions({ path, profile, guess }: LookedAt): Record<string, unknown> {
  return {
    path,
    ...(profile.header || (profile.format !== 'csv' && profile.format !== 'tsv') ? {} : { header: false }),
    ...(profile.encoding === 'utf-8' ? {} : { encoding: profile.encoding }),
    ...(guess.rules.length === 0 ? {} : { drop: guess.rules.map(({ reason, where }) => ({ reason, where })) }),
  };
}

function eventOptions(looked: LookedAt): Record<string, unknown> {
  const { guess } = looked;
  const { user, item, time, type, basket } = guess.roles;
  return {
    ...readOptions(looked),
    ...(user === undefined ? {} : { user: user.mapping }),
    item: item?.mapping,
    ...(time === undefined ? {} : { time: time.mapping, ...timeFormat(looked, time.column) }),
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

function itemOptions(looked: LookedAt): Record<string, unknown> {
  const { roles } = looked.guess;
  const fields: Record<string, unknown> = {};
  if (roles.title !== undefined) fields['title'] = { ...fieldOf(roles.title.mapping), type: 'text' };
  if (roles.price !== undefined) fields['price'] = { ...fieldOf(roles.price.mapping), type: 'number' };
  if (roles.category !== undefined) fields['category'] = { ...fieldOf(roles.category.mapping), type: 'category' };
  if (roles.image !== undefined) fields['photo'] = { ...fieldOf(roles.image.mapping), type: 'image' };
  return { ...readOptions(looked), id: roles.item?.mapping, ...(Object.keys(fields).length === 0 ? {} : { fields }) };
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

/** YAML with a comment for each guess that is not certain. */
function render(config: Record<string, unknown>, described: LookedAt, events: LookedAt | undefined): string {
  const document = new Document(config, { aliasDuplicateObjects: false });
  document.commentBefore = ` Written by \`recloom init\` from ${(events ?? described).path}. Everything here is yours to change:\n \`recloom plugins show <component>\` tells the options, \`recloom validate\` checks, \`recloom dev\` shows what an edit does.`;
  const roles = events?.guess.roles ?? {};
  const options = document.getIn(['data', 'events', 'with']) as YAMLMap<Scalar, Scalar> | undefined;
  for (const pair of (options?.items ?? []) as Pair<Scalar, Scalar>[]) {
    const role = String(pair.key.value) as ShopRole;
    const guess = roles[role];
    if (guess === undefined || pair.value === null || typeof (pair.value as { value?: unknown }).value !== 'string') continue;
    pair.value.comment = ` ${roleComments[role] ?? role}${guess.confidence < 0.7 ? `, a guess: ${Math.round(guess.confidence * 100)} % sure` : ''}`;
  }
  return document.toString({ lineWidth: 110, flowCollectionPadding: true });
}
