import { closeSync, constants, fstatSync, open, read, readlinkSync } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { BlockList, isIP, isIPv4 } from 'node:net';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { type ImageReader, type RecloomError, recloomError } from '@recloom/plugin-api';

/** Where pictures may be read from. */
export interface ImageReaderSettings {
  /** Absolute folder of the config: relative paths start here, and everything below it may be read. */
  readonly directory: string;
  /** Further folders that may be read, absolute or relative to `directory`. */
  readonly directories: readonly string[];
  /** Hosts that may be asked over https: `images.example.com`, with a port `:8443`, or every host below one `*.example.com`. */
  readonly hosts: readonly string[];
  /** Longest time for one picture from a host, in milliseconds. */
  readonly timeoutMs: number;
}

/** Sends one request; `node:https` unless a test stands in for it. */
export type HttpsRequest = (
  options: RequestOptions,
  onResponse: (response: IncomingMessage) => void,
) => {
  on(event: 'error', listener: (error: Error) => void): unknown;
  end(): unknown;
  destroy(): unknown;
};

/** Finds the addresses of a host name; `dns.lookup` unless a test stands in for it. */
export type LookUpAddresses = (host: string) => Promise<readonly string[]>;

/** Where an open file really lies, without links; undefined where the system does not tell. */
export type OpenedPath = (file: number) => string | undefined;

const mostRedirects = 3;
/** Where a folder really is need not be asked again for so long, in milliseconds: every picture of a catalogue would ask it. */
const folderKnownMs = 1_000;
/** Decoded between two turns of the event loop; a multiple of 4 characters of base64, about half a millisecond of work. */
const decodeStretch = 1 << 18;

/**
 * Reads pictures from data URIs, from files below the config's folder and the folders allowed, and from the hosts allowed over
 * https. Whatever a reference names beyond that is refused without a look at whether it exists.
 */
export function createImageReader(
  settings: ImageReaderSettings,
  transport: { readonly request?: HttpsRequest; readonly lookUp?: LookUpAddresses; readonly openedPath?: OpenedPath } = {},
): ImageReader {
  const folders = new AllowedFolders(settings.directory, settings.directories);
  const hosts = settings.hosts.map((host) => host.toLowerCase());
  return {
    async read(reference, { maximumBytes }, signal) {
      signal.throwIfAborted();
      if (/^data:/i.test(reference)) return readDataUri(reference, maximumBytes, signal);
      if (/^https:/i.test(reference)) {
        const remote = new RemoteImage(hosts, settings.timeoutMs, transport.request, transport.lookUp);
        return remote.read(reference, maximumBytes, signal);
      }
      // A letter and a colon is a drive.
      if (/^[a-z][a-z0-9+.-]+:/i.test(reference)) throw refused('only paths, data URIs and https addresses are read');
      return readFileBelow(folders, reference, maximumBytes, signal, transport.openedPath ?? openedPath);
    },
  };
}

function refused(why: string, cause?: unknown): RecloomError {
  return recloomError('RECLOOM_DAT_IMAGE_REFUSED', { why }, cause === undefined ? {} : { cause });
}

function missing(cause?: unknown): RecloomError {
  return recloomError('RECLOOM_DAT_IMAGE_MISSING', {}, cause === undefined ? {} : { cause });
}

function tooLarge(maximumBytes: number): RecloomError {
  return recloomError('RECLOOM_DAT_IMAGE_TOO_LARGE', { maximumBytes });
}

/** `data:[<type>][;base64],<data>` (RFC 2397). The type is not believed, so it is not read. */
async function readDataUri(reference: string, maximumBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const comma = reference.indexOf(',');
  if (comma < 0 || comma > 1_000) throw refused('the data URI has no data');
  const isBase64 = /;\s*base64\s*$/i.test(reference.slice(0, comma));
  const begin = comma + 1;
  const most = isBase64 ? Math.ceil(((reference.length - begin) * 3) / 4) : (reference.length - begin) * 3;
  const bytes = new Uint8Array(Math.min(maximumBytes, most));
  let written = 0;
  const take = (part: Uint8Array): void => {
    if (written + part.length > maximumBytes) throw tooLarge(maximumBytes);
    bytes.set(part, written);
    written += part.length;
  };
  // What a stretch cuts in two waits for the next.
  let escape = '';
  let base64 = '';
  for (let at = begin; at < reference.length; at += decodeStretch) {
    if (at > begin) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    }
    let text = escape + reference.slice(at, at + decodeStretch);
    const isLast = at + decodeStretch >= reference.length;
    const whole = isLast ? text.length : wholeLength(text);
    escape = text.slice(whole);
    text = text.slice(0, whole);
    if (!isBase64) {
      take(percentDecoded(text));
      continue;
    }
    if (text.includes('%')) text = Buffer.from(percentDecoded(text)).toString('latin1');
    base64 += /\s/.test(text) ? text.replace(/\s+/g, '') : text;
    // The last group of four may be padded, so one is always kept for the end.
    const groups = isLast ? base64.length : Math.max(0, base64.length - (base64.length % 4) - 4);
    take(base64Decoded(isLast ? base64.replace(/={1,2}$/, '') : base64.slice(0, groups)));
    base64 = base64.slice(groups);
  }
  return checkLength(bytes.subarray(0, written), maximumBytes);
}

/** How much of a text can be decoded before what comes after it is known: no half of an escape or of a character. */
function wholeLength(text: string): number {
  const escape = text.lastIndexOf('%');
  if (escape >= 0 && escape > text.length - 3) return escape;
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
}

function base64Decoded(text: string): Uint8Array {
  if (text.length % 4 === 1 || !/^[A-Za-z0-9+/_-]*$/.test(text)) throw refused('the data URI is not valid base64');
  return Buffer.from(text, 'base64');
}

function checkLength(bytes: Uint8Array, maximumBytes: number): Uint8Array {
  if (bytes.length === 0) throw missing();
  if (bytes.length > maximumBytes) throw tooLarge(maximumBytes);
  return bytes;
}

/** Bytes of a text in which `%41` stands for a byte, and any other character for its UTF-8. */
function percentDecoded(text: string): Uint8Array {
  const source = Buffer.from(text, 'utf8');
  const bytes = new Uint8Array(source.length);
  let length = 0;
  for (let at = 0; at < source.length; at++) {
    const byte = source[at] as number;
    if (byte !== 0x25) {
      bytes[length++] = byte;
      continue;
    }
    const high = hexValue(source[at + 1]);
    const low = hexValue(source[at + 2]);
    if (high < 0 || low < 0) throw refused('the data URI has a "%" that no two digits follow');
    bytes[length++] = high * 16 + low;
    at += 2;
  }
  return bytes.subarray(0, length);
}

/** What an ASCII digit or letter stands for in hexadecimal; -1 for all else. */
function hexValue(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** The folders that files may be read from, as they are named and as they really are. */
class AllowedFolders {
  readonly directory: string;
  readonly #named: readonly string[];
  /** What `realpath` said of a folder, and when in milliseconds. */
  readonly #real = new Map<string, { readonly path: string; readonly atMs: number }>();

  constructor(directory: string, directories: readonly string[]) {
    this.directory = directory;
    this.#named = [directory, ...directories.map((folder) => resolve(directory, folder))];
  }

  /** Whether a path, as it is written, leads into one of them. */
  named(path: string): boolean {
    return this.#named.some((folder) => isInside(folder, path));
  }

  /** Whether a path without symbolic links lies in one of them. */
  async really(path: string): Promise<boolean> {
    // A folder may be a link that was set to another place a moment ago: before a picture is refused, all are asked again.
    return (await this.#lies(path, folderKnownMs)) || this.#lies(path, 0);
  }

  async #lies(path: string, knownMs: number): Promise<boolean> {
    for (const folder of this.#named) {
      const real = await this.#realOf(folder, knownMs);
      if (real !== undefined && isInside(real, path)) return true;
    }
    return false;
  }

  async #realOf(folder: string, knownMs: number): Promise<string | undefined> {
    const known = this.#real.get(folder);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.atMs < knownMs) return known.path;
    const path = await realpath(folder).catch(() => undefined);
    if (path === undefined) this.#real.delete(folder);
    else this.#real.set(folder, { path, atMs: nowMs });
    return path;
  }
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/**
 * What was opened is asked where it lies, not its name: between the two a link could be set to another place. A link in a folder that
 * may be read can so make the process open what lies elsewhere, and close it unread. Opening and reading wait for the disk and leave
 * this thread, each at a price for the host's event loop; what is asked of the open file is known already.
 */
async function readFileBelow(
  folders: AllowedFolders,
  reference: string,
  maximumBytes: number,
  signal: AbortSignal,
  pathOf: OpenedPath,
): Promise<Uint8Array> {
  if (reference.trim() === '') throw missing();
  if (reference.includes('\0')) throw refused('the path holds a zero byte');
  const path = resolve(folders.directory, reference);
  const outside = 'it lies outside the folders that may be read';
  if (!folders.named(path)) throw refused(outside);
  const file = await openFile(path).catch(async (error: NodeJS.ErrnoException) => {
    const real = await realpath(path).catch(() => undefined);
    if (real !== undefined && !(await folders.really(real))) throw refused(outside);
    throw fileError(error);
  });
  try {
    const status = fstatSync(file);
    const real = pathOf(file) ?? (await pathOfSame(path, file));
    if (real === undefined || !(await folders.really(real))) throw refused(outside);
    signal.throwIfAborted();
    if (!status.isFile()) throw refused('it is no regular file');
    if (status.size > maximumBytes) throw tooLarge(maximumBytes);
    const bytes = new Uint8Array(status.size);
    let length = 0;
    while (length < bytes.length) {
      signal.throwIfAborted();
      const count = await readInto(file, bytes, length);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

/** Opened for reading; a pipe is not waited for. */
function openFile(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0), (error, file) => {
      if (error === null) resolve(file);
      else reject(error);
    });
  });
}

function readInto(file: number, bytes: Uint8Array, length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(file, bytes, length, bytes.length - length, length, (error, count) => {
      if (error === null) resolve(count);
      else reject(fileError(error));
    });
  });
}

/** Linux names what is open. */
const openedPath: OpenedPath = (file) => {
  try {
    return process.platform === 'linux' ? readlinkSync(`/proc/self/fd/${file}`) : undefined;
  } catch {
    return undefined;
  }
};

/** Where a path leads, if that is the file that was opened and no link was set anew meanwhile. */
async function pathOfSame(path: string, file: number): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    const found = await lstat(real, { bigint: true });
    const opened = fstatSync(file, { bigint: true });
    return found.dev === opened.dev && found.ino === opened.ino && (await realpath(path)) === real ? real : undefined;
  } catch {
    return undefined;
  }
}

function fileError(error: NodeJS.ErrnoException): RecloomError {
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return missing(error);
    case 'EACCES':
    case 'EPERM':
      return refused('permission denied', error);
    case 'ENAMETOOLONG':
      return refused('the path is too long', error);
    case 'ELOOP':
      return refused('its links lead in a circle', error);
    default:
      return refused('the file cannot be opened', error);
  }
}

/** Addresses of this machine and of networks that are not the internet. */
function privateAddresses(): BlockList {
  const list = new BlockList();
  for (const [network, bits] of [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
    ['224.0.0.0', 4],
    ['240.0.0.0', 4],
  ] as const)
    list.addSubnet(network, bits, 'ipv4');
  for (const [network, bits] of [
    ['::', 96],
    ['64:ff9b::', 96],
    ['64:ff9b:1::', 48],
    ['100::', 64],
    ['2001::', 32],
    ['2001:db8::', 32],
    ['2002::', 16],
    ['fc00::', 7],
    ['fe80::', 10],
    ['ff00::', 8],
  ] as const)
    list.addSubnet(network, bits, 'ipv6');
  return list;
}

/** One picture asked of a host, over at most three redirects within that host. */
class RemoteImage {
  readonly #hosts: readonly string[];
  readonly #timeoutMs: number;
  readonly #request: HttpsRequest | undefined;
  readonly #lookUp: LookUpAddresses | undefined;

  constructor(hosts: readonly string[], timeoutMs: number, request: HttpsRequest | undefined, lookUp: LookUpAddresses | undefined) {
    this.#hosts = hosts;
    this.#timeoutMs = timeoutMs;
    this.#request = request;
    this.#lookUp = lookUp;
  }

  async read(reference: string, maximumBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    let url = parseUrl(reference);
    const late = AbortSignal.timeout(this.#timeoutMs);
    const both = AbortSignal.any([signal, late]);
    try {
      for (let redirects = 0; ; redirects++) {
        if (!this.#allows(url)) throw refused('its host is not among images.hosts');
        const answer = await this.#get(url, maximumBytes, both);
        if (!('location' in answer)) return checkLength(answer.bytes, maximumBytes);
        if (redirects === mostRedirects) throw refused(`the host redirects more than ${mostRedirects} times`);
        const next = parseUrl(answer.location, url);
        if (next.host !== url.host) throw refused('the host redirects to another host');
        url = next;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (late.aborted) throw refused(`the host took more than ${this.#timeoutMs} ms`);
      throw error;
    }
  }

  #allows(url: URL): boolean {
    const name = url.hostname.toLowerCase();
    const port = url.port === '' ? '443' : url.port;
    return this.#hosts.some((host) => {
      const [allowedName, allowedPort] = splitPort(host);
      if (allowedPort !== port) return false;
      return allowedName.startsWith('*.')
        ? name.endsWith(allowedName.slice(1)) && name.length > allowedName.length - 1
        : name === allowedName;
    });
  }

  /** An address of the host that may be connected to: a public one, or one that stands in the list itself. */
  async #addressOf(url: URL): Promise<string> {
    const name = url.hostname.replace(/^\[|\]$/g, '');
    // An address written in the URL was compared with the list already.
    if (isIP(name) !== 0) return name;
    let addresses: readonly string[];
    try {
      addresses = await (this.#lookUp ?? lookUpAddresses)(name);
    } catch (error) {
      throw refused('the host was not found', error);
    }
    const blocked = privateAddresses();
    const address = addresses.find((candidate) => this.#isListed(candidate) || !isPrivate(candidate, blocked));
    if (address === undefined)
      throw refused('its host has no address on the internet; list the address itself in images.hosts to allow it');
    return address;
  }

  #isListed(address: string): boolean {
    return this.#hosts.some((host) => splitPort(host)[0].replace(/^\[|\]$/g, '') === address.toLowerCase());
  }

  async #get(url: URL, maximumBytes: number, signal: AbortSignal): Promise<{ readonly bytes: Uint8Array } | { readonly location: string }> {
    const address = await this.#addressOf(url);
    signal.throwIfAborted();
    const send = this.#request ?? (await import('node:https')).request;
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        signal.removeEventListener('abort', onAbort);
        request.destroy();
        reject(error as Error);
      };
      const onAbort = (): void => fail(signal.reason);
      const request = send(
        {
          protocol: 'https:',
          // Connected to is what was checked; the name is for the certificate and the header.
          host: address,
          port: url.port === '' ? 443 : Number(url.port),
          path: `${url.pathname}${url.search}`,
          method: 'GET',
          headers: { host: url.host, accept: 'image/*', 'accept-encoding': 'identity', 'user-agent': 'recloom' },
          agent: false,
          ...({ servername: isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0 ? url.hostname : '' } as object),
        },
        (response) => {
          takeBody(response, maximumBytes).then((answer) => {
            signal.removeEventListener('abort', onAbort);
            if ('location' in answer) request.destroy();
            resolve(answer);
          }, fail);
        },
      );
      request.on('error', (error) => fail(signal.aborted ? signal.reason : refused('the host cannot be reached', error)));
      signal.addEventListener('abort', onAbort, { once: true });
      request.end();
    });
  }
}

async function takeBody(
  response: IncomingMessage,
  maximumBytes: number,
): Promise<{ readonly bytes: Uint8Array } | { readonly location: string }> {
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400 && response.headers.location !== undefined) return { location: response.headers.location };
  if (status === 404 || status === 410) throw missing();
  if (status !== 200) throw refused(`the host answered with status ${status}`);
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw refused('the host answered in a compressed form');
  if (Number(response.headers['content-length'] ?? 0) > maximumBytes) throw tooLarge(maximumBytes);
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const part of response as AsyncIterable<Uint8Array>) {
      length += part.length;
      if (length > maximumBytes) throw tooLarge(maximumBytes);
      parts.push(part);
    }
  } catch (error) {
    throw length > maximumBytes ? error : refused('the host broke off its answer', error);
  }
  return { bytes: new Uint8Array(Buffer.concat(parts)) };
}

function parseUrl(text: string, base?: URL): URL {
  let url: URL;
  try {
    url = new URL(text, base);
  } catch (error) {
    throw refused('the address is not valid', error);
  }
  if (url.protocol !== 'https:') throw refused('the host redirects to an address that is not https');
  if (url.username !== '' || url.password !== '') throw refused('the address holds a name or password');
  return url;
}

/** A host of the list as name and port; `[::1]:8443` has its address in brackets. */
function splitPort(host: string): readonly [name: string, port: string] {
  const match = /^(.*?)(?::(\d+))?$/.exec(host);
  const isBareAddress = isIP(host) === 6;
  if (isBareAddress || match === null) return [`[${host}]`, '443'];
  return [match[1] as string, match[2] ?? '443'];
}

async function lookUpAddresses(host: string): Promise<readonly string[]> {
  const { lookup } = await import('node:dns/promises');
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

function isPrivate(address: string, blocked: BlockList): boolean {
  // ::ffff:10.0.0.1 is 10.0.0.1.
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return blocked.check(mapped, 'ipv4');
  return blocked.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}
