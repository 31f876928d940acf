import type { RecommendRequest, SessionEventInput } from '@recloom/core';
import type { ContextValue } from '@recloom/plugin-api';
import { type Command, InvalidArgumentError } from 'commander';
import { type CommandCall, dateOption, listOption, numberOption } from './command.js';

/** Options that describe a request, as commander gives them. */
export interface RequestOptions {
  readonly user?: string;
  readonly session?: readonly SessionEventInput[];
  readonly item?: readonly string[];
  readonly text?: string;
  readonly image?: string;
  readonly surface?: string;
  readonly purpose?: readonly string[];
  readonly limit?: number;
  readonly explain?: boolean;
  readonly filter?: string;
  readonly boost?: string;
  readonly exclude?: readonly string[];
  readonly diversity?: number;
  readonly context?: Readonly<Record<string, ContextValue>>;
  readonly attributes?: readonly string[];
  readonly asOf?: number;
  readonly seed?: number;
  readonly deadline?: number;
  readonly snapshot?: string;
}

/** A one-shot process is cold: models and code are loaded by its first request. */
const coldDeadlineMs = 10_000;

/** Adds the options of a request to a command. */
export function requestOptions(command: Command, leaveOut: readonly ('text' | 'image' | 'explain')[] = []): void {
  const wanted = (name: 'text' | 'image' | 'explain'): boolean => !leaveOut.includes(name);
  command.option('-u, --user <id>', 'the user to recommend for');
  command.option('-p, --purpose <names>', 'what the person agreed to, e.g. personalisation; default: nothing', listOption);
  command.option('--session <events>', 'events of this visit, newest last: item[:type],…', sessionOption);
  command.option('-i, --item <ids>', 'the item (or items, comma-separated) the page shows', listOption);
  if (wanted('text')) command.option('-t, --text <words>', 'words to search for');
  if (wanted('image')) command.option('--image <file>', 'a picture to search by');
  command.option('-s, --surface <name>', 'the surface to ask; default: what fits the request');
  command.option('-n, --limit <count>', 'how many items', numberOption);
  if (wanted('explain')) command.option('-e, --explain', 'say why each item is there');
  command.option('--filter <expression>', 'condition an item must meet, e.g. "item.price < 10.0"');
  command.option('--boost <expression>', 'number added to the value, e.g. "item.stock > 10.0 ? 0.2 : 0.0"');
  command.option('--exclude <ids>', 'items that must not be shown', listOption);
  command.option('--diversity <share>', 'from 0 (relevance only) to 1 (diversity only)', numberOption);
  command.option('--context <name=value>', 'a value for expressions (request.name); may be repeated', contextOption);
  command.option('-a, --attributes <names>', 'more item fields to show', listOption);
  command.option('--as-of <date>', '"now" of the request; nothing later is seen', dateOption);
  command.option('--seed <number>', 'seed of what is random in the request', numberOption);
  command.option('--deadline <ms>', `milliseconds the request may take; default ${coldDeadlineMs}`, numberOption);
  command.option('--snapshot <id>', 'a snapshot other than the published one');
}

/** The request that a call describes. */
export function requestOf(call: CommandCall<RequestOptions>): RecommendRequest {
  const { options } = call;
  const item = options.item;
  return {
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.session === undefined ? {} : { session: options.session }),
    ...(item === undefined ? {} : item.length === 1 ? { item: item[0] as string } : { items: item }),
    ...(options.text === undefined ? {} : { text: options.text }),
    ...(options.image === undefined ? {} : { image: options.image }),
    ...(options.surface === undefined ? {} : { surface: options.surface }),
    ...(options.purpose === undefined ? {} : { purposes: options.purpose }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    ...(options.explain === true ? { explain: true } : {}),
    ...(options.filter === undefined ? {} : { filter: options.filter }),
    ...(options.boost === undefined ? {} : { boost: options.boost }),
    ...(options.exclude === undefined ? {} : { exclude: options.exclude }),
    ...(options.diversity === undefined ? {} : { diversity: options.diversity }),
    ...(options.context === undefined ? {} : { context: options.context }),
    ...(options.attributes === undefined ? {} : { attributes: options.attributes }),
    ...(options.asOf === undefined ? {} : { asOf: options.asOf }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    deadlineMs: options.deadline ?? coldDeadlineMs,
    signal: call.io.signal,
  };
}

/** `item[:type],…`; the type stands after the last colon, so an id with a colon needs one at its end. */
function sessionOption(text: string, before: readonly SessionEventInput[] | undefined): readonly SessionEventInput[] {
  const events = listOption(text, undefined).map((entry): SessionEventInput => {
    const colon = entry.lastIndexOf(':');
    if (colon < 0) return { item: entry };
    const item = entry.slice(0, colon);
    const type = entry.slice(colon + 1);
    if (item === '') throw new InvalidArgumentError('Each event is item or item:type.');
    return type === '' ? { item } : { item, type };
  });
  return [...(before ?? []), ...events];
}

function contextOption(text: string, before: Readonly<Record<string, ContextValue>> | undefined): Readonly<Record<string, ContextValue>> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('It must be name=value.');
  return { ...before, [text.slice(0, equals).trim()]: contextValue(text.slice(equals + 1)) };
}

/** `true`, `false`, `null` and numbers are what they look like; quotes keep them text. */
function contextValue(text: string): ContextValue {
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  if (/^".*"$/s.test(text)) return text.slice(1, -1);
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}
