import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { RecommendRequest, SessionEventInput } from '@recloom/core';
import type { ContextValue } from '@recloom/plugin-api';
import { type Command, InvalidArgumentError } from 'commander';
import { type CommandCall, dateOption, listOption, numberOption } from './command.js';
import { UsageError } from './report-error.js';

/** Options that describe a request, as commander gives them. */
export interface RequestOptions {
  readonly user?: string;
  readonly session?: readonly SessionEventInput[];
  readonly item?: readonly string[];
  readonly text?: string;
  readonly image?: string;
  readonly imageWeight?: number;
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
  if (wanted('image')) {
    command.option('--image <file>', 'a picture to search by: a file of this machine, a data URI or an https address');
    command.option('--image-weight <share>', 'what the picture counts against the words, from 0 to 1; default: half', shareOption);
  }
  command.option('-s, --surface <name>', 'the surface to ask; default: what fits the request');
  command.option('-n, --limit <count>', 'how many items', limitOption);
  if (wanted('explain')) command.option('-e, --explain', 'say why each item is there');
  command.option('--filter <expression>', 'condition an item must meet, e.g. "item.price < 10.0"');
  command.option('--boost <expression>', 'number added to the value, e.g. "item.stock > 10.0 ? 0.2 : 0.0"');
  command.option('--exclude <ids>', 'items that must not be shown', listOption);
  command.option('--diversity <share>', 'from 0 (relevance only) to 1 (diversity only)', shareOption);
  command.option('--context <name=value>', 'a value for expressions (request.name); may be repeated', contextOption);
  command.option('-a, --attributes <names>', 'more item fields to show', listOption);
  command.option('--as-of <date>', '"now" of the request: history and ages are as of then; what was learned stays as built', dateOption);
  command.option('--seed <number>', 'seed of what is random in the request', numberOption);
  command.option('--deadline <ms>', `milliseconds the request may take; default ${coldDeadlineMs}`, numberOption);
  command.option('--snapshot <id>', 'a snapshot other than the published one');
}

/** The request that a call describes. @throws UsageError when its picture cannot be read */
export function requestOf(call: CommandCall<RequestOptions>): RecommendRequest {
  const { options } = call;
  const item = options.item;
  return {
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.session === undefined ? {} : { session: options.session }),
    ...(item === undefined ? {} : item.length === 1 ? { item: item[0] as string } : { items: item }),
    ...(options.text === undefined ? {} : { text: options.text }),
    ...(options.image === undefined ? {} : { image: imageOf(options.image, call.io.directory) }),
    ...(options.imageWeight === undefined ? {} : { queryWeights: { text: 1 - options.imageWeight, image: options.imageWeight } }),
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

/** The largest picture worth handing on; components have limits of their own below it. */
const maximumImageBytes = 64 * 1024 ** 2;

/** The bytes of a file: whoever types a path here may read it, whatever a config allows. An address is left to the image reader. */
function imageOf(option: string, directory: string): Uint8Array | string {
  if (/^(?:data|https):/i.test(option)) return option;
  const path = resolve(directory, option);
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined || !status.isFile())
    throw new UsageError(`There is no picture ${option}.`, 'Paths start at the working folder.');
  if (status.size > maximumImageBytes)
    throw new UsageError(`The picture ${option} has ${status.size} bytes, more than ${maximumImageBytes}.`);
  return new Uint8Array(readFileSync(path));
}

function limitOption(text: string): number {
  const limit = numberOption(text);
  if (!Number.isSafeInteger(limit) || limit < 1) throw new InvalidArgumentError('It must be a whole number from 1.');
  return limit;
}

function shareOption(text: string): number {
  const share = numberOption(text);
  if (share < 0 || share > 1) throw new InvalidArgumentError('It must be a number from 0 to 1.');
  return share;
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
