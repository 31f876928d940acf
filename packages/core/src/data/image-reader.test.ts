import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type RequestOptions, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRecloomError } from '@recloom/plugin-api';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataUriOf } from './data-uri.js';
import { createImageReader, type HttpsRequest, type ImageReaderSettings, type OpenedPath } from './image-reader.js';

const limits = { maximumBytes: 1_000 };
const signal = new AbortController().signal;
const bytes = Uint8Array.of(0, 1, 254, 255, 13, 10);
const root = realpathSync(mkdtempSync(join(tmpdir(), 'recloom-images-')));
const shop = join(root, 'shop');

beforeAll(() => {
  for (const folder of ['shop/pictures', 'media', 'secret', 'shop-next-door']) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(shop, 'pictures/a.png'), bytes);
  writeFileSync(join(shop, '..fine.png'), bytes);
  writeFileSync(join(shop, 'empty.png'), '');
  writeFileSync(join(shop, 'large.png'), new Uint8Array(1_001));
  writeFileSync(join(shop, 'full.png'), new Uint8Array(1_000).fill(1));
  writeFileSync(join(root, 'media/m.png'), bytes);
  writeFileSync(join(root, 'secret/s.png'), bytes);
  writeFileSync(join(root, 'shop-next-door/n.png'), bytes);
  symlinkSync(join(root, 'secret/s.png'), join(shop, 'out.png'));
  symlinkSync(join(root, 'secret'), join(shop, 'out'));
  symlinkSync(join(shop, 'pictures/a.png'), join(shop, 'inside.png'));
  symlinkSync('loop.png', join(shop, 'loop.png'));
  symlinkSync(join(root, 'media'), join(root, 'linked-media'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const settings: ImageReaderSettings = { directory: shop, directories: [], hosts: [], timeoutMs: 5_000 };
const read = (reference: string, more: Partial<ImageReaderSettings> = {}): Promise<Uint8Array> =>
  createImageReader({ ...settings, ...more }).read(reference, limits, signal);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (!isRecloomError(error)) throw error;
    return error.code.replace('RECLOOM_DAT_IMAGE_', '');
  }
  return 'read';
}

describe.each<[string, OpenedPath | undefined]>([
  ['as this system names what is open', undefined],
  ['as on a system that does not', () => undefined],
])('files, %s', (_, openedPath) => {
  const read = (reference: string, more: Partial<ImageReaderSettings> = {}): Promise<Uint8Array> =>
    createImageReader({ ...settings, ...more }, openedPath === undefined ? {} : { openedPath }).read(reference, limits, signal);

  it.each([
    ['pictures/a.png', 'read'],
    ['./pictures/../pictures/a.png', 'read'],
    [join(shop, 'pictures/a.png'), 'read'],
    ['..fine.png', 'read'],
    ['inside.png', 'read'],
    ['full.png', 'read'],
    ['large.png', 'TOO_LARGE'],
    ['nowhere.png', 'MISSING'],
    ['pictures/a.png/b.png', 'MISSING'],
    ['', 'MISSING'],
    ['  ', 'MISSING'],
    ['../media/m.png', 'REFUSED'],
    ['../shop-next-door/n.png', 'REFUSED'],
    [join(root, 'secret/s.png'), 'REFUSED'],
    // Whether it exists is nobody's business.
    ['../secret/nowhere.png', 'REFUSED'],
    ['/etc/passwd', 'REFUSED'],
    ['out.png', 'REFUSED'],
    ['out/s.png', 'REFUSED'],
    ['out/nowhere.png', 'MISSING'],
    ['loop.png', 'REFUSED'],
    ['pictures', 'REFUSED'],
    ['.', 'REFUSED'],
    ['..', 'REFUSED'],
    ['pictures/a.png\0.jpg', 'REFUSED'],
    [`${'x'.repeat(5_000)}.png`, 'REFUSED'],
    ['file:///etc/passwd', 'REFUSED'],
    ['http://localhost/a.png', 'REFUSED'],
    ['ftp://host/a.png', 'REFUSED'],
    ['javascript:alert(1)', 'REFUSED'],
  ])('%j → %s', async (reference, outcome) => {
    expect(await codeOf(read(reference))).toBe(outcome);
  });

  it('gives the bytes', async () => {
    expect(await read('pictures/a.png')).toEqual(bytes);
    expect(await read('empty.png')).toHaveLength(0);
  });

  it('reads further folders that the config allows, through links too', async () => {
    const directories = ['../media', join(root, 'linked-media')];
    expect(await read('../media/m.png', { directories })).toEqual(bytes);
    expect(await read(join(root, 'media/m.png'), { directories })).toEqual(bytes);
    expect(await read('../linked-media/m.png', { directories })).toEqual(bytes);
    expect(await codeOf(read('../secret/s.png', { directories }))).toBe('REFUSED');
    // A link out of the config's folder is fine when it leads where the config allows.
    expect(await read('out.png', { directories: [join(root, 'secret')] })).toEqual(bytes);
  });

  it('follows a folder that is a link to another release, at once', async () => {
    const link = join(root, 'current');
    for (const release of ['one', 'two']) {
      mkdirSync(join(root, release), { recursive: true });
      writeFileSync(join(root, release, 'p.png'), bytes);
    }
    const reader = createImageReader({ ...settings, directories: [link] }, openedPath === undefined ? {} : { openedPath });
    for (const release of ['one', 'two', 'one']) {
      rmSync(link, { force: true });
      symlinkSync(join(root, release), link);
      expect(await reader.read('../current/p.png', limits, signal)).toEqual(bytes);
    }
  });

  it('refuses a pipe instead of waiting for it', async () => {
    rmSync(join(shop, 'pipe.png'), { force: true });
    execFileSync('mkfifo', [join(shop, 'pipe.png')]);
    expect(await codeOf(read('pipe.png'))).toBe('REFUSED');
  });

  it('refuses what was opened elsewhere, whatever the name leads to now', async () => {
    const elsewhere = createImageReader(settings, { openedPath: () => join(root, 'secret/s.png') });
    expect(await codeOf(elsewhere.read('pictures/a.png', limits, signal))).toBe('REFUSED');
  });

  it('says nothing of what the reference was', async () => {
    const error = await read('../secret/very-private.png').catch((caught: unknown) => caught);
    expect(JSON.stringify(error)).not.toContain('very-private');
  });

  it('does not begin when the signal is aborted', async () => {
    const reader = createImageReader(settings);
    await expect(reader.read('pictures/a.png', limits, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('data URIs', () => {
  it.each([
    // RFC 2397's own example of a text, and the same in base64 (RFC 4648, section 10).
    ['data:,A%20brief%20note', 'A brief note'],
    ['data:;base64,Zm9vYmFy', 'foobar'],
    ['data:image/png;base64,Zm9v', 'foo'],
    ['DATA:image/png;charset=x;BASE64,Zm9vYg==', 'foob'],
    ['data:;base64,Zm9vYg', 'foob'],
    ['data:;base64,Zm9vYg%3D%3D', 'foob'],
    ['data:;base64,Zm\n9v\r\nYmE=\n', 'fooba'],
    ['data:text/plain,a+b%2Bc', 'a+b+c'],
    ['data:,é', 'é'],
  ])('%j', async (reference, expected) => {
    expect(new TextDecoder().decode(await read(reference))).toBe(expected);
  });

  it('takes both alphabets of base64', async () => {
    expect(await read('data:;base64,-_8=')).toEqual(await read('data:;base64,+/8='));
    expect(await read('data:;base64,+/8=')).toEqual(Uint8Array.of(251, 255));
  });

  it.each([
    ['data:', 'REFUSED'],
    ['data:image/png', 'REFUSED'],
    ['data:;base64,####', 'REFUSED'],
    ['data:;base64,Zm9vY', 'REFUSED'],
    ['data:;base64,Zm=9v', 'REFUSED'],
    ['data:,%4', 'REFUSED'],
    ['data:,%zz', 'REFUSED'],
    ['data:,', 'MISSING'],
    ['data:;base64,', 'MISSING'],
    [`data:,${'x'.repeat(1_001)}`, 'TOO_LARGE'],
    [`data:,${'%41'.repeat(1_001)}`, 'TOO_LARGE'],
    [`data:;base64,${'A'.repeat(1_336)}`, 'TOO_LARGE'],
  ])('%.30j → %s', async (reference, outcome) => {
    expect(await codeOf(read(reference))).toBe(outcome);
  });

  it('gives back any bytes that were written as one', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 900 }), async (picture) => {
        expect(await read(dataUriOf(picture))).toEqual(picture);
      }),
    );
  });

  it('cuts no escape, character, group or padding in two where a stretch ends', async () => {
    const reader = createImageReader(settings);
    const picture = Buffer.from(Uint8Array.from({ length: 700_001 }, (_, index) => (index * 31) % 256));
    const base64 = picture.toString('base64');
    const escaped = `%${picture.toString('hex').match(/../g)?.join('%')}`;
    for (const shift of [0, 1, 2]) {
      // The stretches are a multiple of 4 characters, so each form is shifted by what is before it.
      const before = 'x'.repeat(shift);
      for (const [uri, expected] of [
        [`data:,${before}${escaped}`, Buffer.concat([Buffer.from(before), picture])],
        [`data:;base64,${' '.repeat(shift)}${base64.replace(/.{77}/g, '$&\r\n')}${'\n'.repeat(300_000)}`, picture],
        [`data:;base64,${' '.repeat(shift)}${base64.replaceAll('A', '%41').replaceAll('=', '%3D')}`, picture],
        [`data:,${'x'.repeat((1 << 18) - 3 + shift)}\u{1f600}!`, Buffer.from(`${'x'.repeat((1 << 18) - 3 + shift)}\u{1f600}!`)],
      ] as const) {
        const read = await reader.read(uri, { maximumBytes: 2_000_000 }, signal);
        expect(Buffer.compare(read, expected), uri.slice(0, 20)).toBe(0);
      }
    }
    const halves = [`${base64.slice(0, 1000)}=${base64.slice(1000)}`, `${base64}A`];
    for (const half of halves)
      expect(await codeOf(reader.read(`data:;base64,${half}`, { maximumBytes: 2_000_000 }, signal))).toBe('REFUSED');
  });

  it('lets the host work on, however the bytes are written', async () => {
    const reader = createImageReader(settings);
    const picture = Buffer.alloc(3_000_000, 65);
    for (const uri of [
      `data:,${'%41'.repeat(picture.length)}`,
      `data:;base64,${picture.toString('base64').replace(/.{4}/g, '$&\n')}`,
      `data:;base64,${'%51%55%46%42'.repeat(picture.length / 3)}`,
    ]) {
      let turns = 0;
      const count = (): void => {
        turns++;
        next = setImmediate(count);
      };
      let next = setImmediate(count);
      expect(Buffer.compare(await reader.read(uri, { maximumBytes: picture.length }, signal), picture)).toBe(0);
      clearImmediate(next);
      expect(turns).toBeGreaterThan(uri.length / (1 << 18) / 2);
    }
  });

  it('gives back many megabytes, in stretches, and stops between them', async () => {
    const picture = Uint8Array.from({ length: 1_500_001 }, (_, index) => (index * 31) % 256);
    const reader = createImageReader(settings);
    expect(Buffer.compare(await reader.read(dataUriOf(picture), { maximumBytes: 2_000_000 }, signal), picture)).toBe(0);
    const controller = new AbortController();
    const pending = reader.read(dataUriOf(picture), { maximumBytes: 2_000_000 }, controller.signal);
    controller.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
  });
});

describe('hosts', () => {
  let server: Server;
  const seen: { readonly options: RequestOptions; readonly url: string; readonly headers: Record<string, unknown> }[] = [];
  /** Stands in for TLS: the request goes to the local server, whatever address it was meant for. */
  const request: HttpsRequest = (options, onResponse) =>
    httpRequest(
      {
        ...options,
        protocol: 'http:',
        host: '127.0.0.1',
        port: (server.address() as AddressInfo).port,
        headers: { ...(options.headers as Record<string, string>), 'x-meant-for': String(options.host) },
        agent: false,
      },
      onResponse,
    );

  beforeAll(async () => {
    server = createServer((incoming, outgoing) => {
      const url = incoming.url ?? '';
      seen.push({ options: {}, url, headers: incoming.headers });
      if (url === '/a.png') outgoing.writeHead(200, { 'content-type': 'text/html' }).end(bytes);
      else if (url === '/empty') outgoing.writeHead(200).end();
      else if (url === '/said-large') outgoing.writeHead(200, { 'content-length': '1001' }).end(new Uint8Array(1_001));
      else if (url === '/endless') {
        outgoing.writeHead(200);
        const write = (): void => {
          while (!outgoing.destroyed && outgoing.write(new Uint8Array(400)));
          outgoing.once('drain', write);
        };
        write();
      } else if (url === '/packed') outgoing.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
      else if (url === '/broken') {
        outgoing.writeHead(200, { 'content-length': '100' });
        outgoing.write('x');
        setTimeout(() => outgoing.destroy(), 5);
      } else if (url === '/here') outgoing.writeHead(302, { location: '/a.png' }).end('moved');
      else if (url === '/there') outgoing.writeHead(302, { location: 'https://other.example/a.png' }).end();
      else if (url === '/plain') outgoing.writeHead(302, { location: 'http://pictures.example/a.png' }).end();
      else if (url === '/round') outgoing.writeHead(307, { location: '/round' }).end();
      else if (url === '/gone') outgoing.writeHead(410).end();
      else if (url === '/error') outgoing.writeHead(503).end();
      else if (url === '/silent') return;
      else outgoing.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const addresses: Readonly<Record<string, readonly string[]>> = {
    'pictures.example': ['93.184.215.14'],
    'a.cdn.example': ['2606:2800:21f:cb07:6820:80da:af6b:8b2c'],
    'inside.example': ['10.0.0.5', '192.168.1.1'],
    'rebound.example': ['127.0.0.1'],
    'mapped.example': ['::ffff:127.0.0.1'],
    'metadata.example': ['169.254.169.254'],
    'six.example': ['fd00::1'],
    'other.example': ['93.184.215.15'],
  };
  const ask = (reference: string, hosts: readonly string[], timeoutMs = 5_000, abort = signal): Promise<Uint8Array> =>
    createImageReader(
      { ...settings, hosts, timeoutMs },
      {
        request,
        lookUp: async (host) => {
          const found = addresses[host];
          if (found === undefined) throw new Error('ENOTFOUND');
          return found;
        },
      },
    ).read(reference, limits, abort);

  it('are asked when they are listed, by the address that was checked, without trust in the type', async () => {
    seen.length = 0;
    expect(await ask('https://pictures.example/a.png', ['pictures.example'])).toEqual(bytes);
    expect(seen).toHaveLength(1);
    expect(seen[0]?.headers).toMatchObject({ host: 'pictures.example', 'x-meant-for': '93.184.215.14', 'accept-encoding': 'identity' });
    expect(seen[0]?.headers['cookie']).toBeUndefined();
  });

  it.each([
    ['https://PICTURES.example/a.png', ['Pictures.Example'], 'read'],
    ['https://pictures.example:443/a.png', ['pictures.example'], 'read'],
    ['https://pictures.example:8443/a.png', ['pictures.example'], 'REFUSED'],
    ['https://pictures.example:8443/a.png', ['pictures.example:8443'], 'read'],
    ['https://a.cdn.example/a.png', ['*.cdn.example'], 'read'],
    ['https://cdn.example/a.png', ['*.cdn.example'], 'REFUSED'],
    ['https://evilcdn.example/a.png', ['*.cdn.example'], 'REFUSED'],
    ['https://pictures.example.evil.example/a.png', ['pictures.example'], 'REFUSED'],
    ['https://pictures.example@other.example/a.png', ['pictures.example', 'other.example'], 'REFUSED'],
    ['https://pictures.example/a.png', [], 'REFUSED'],
    ['https://', ['pictures.example'], 'REFUSED'],
    ['https://nowhere.example/a.png', ['nowhere.example'], 'REFUSED'],
    ['https://pictures.example/here', ['pictures.example'], 'read'],
    ['https://pictures.example/there', ['pictures.example', 'other.example'], 'REFUSED'],
    ['https://pictures.example/plain', ['pictures.example'], 'REFUSED'],
    ['https://pictures.example/round', ['pictures.example'], 'REFUSED'],
    ['https://pictures.example/nothing', ['pictures.example'], 'MISSING'],
    ['https://pictures.example/gone', ['pictures.example'], 'MISSING'],
    ['https://pictures.example/empty', ['pictures.example'], 'MISSING'],
    ['https://pictures.example/error', ['pictures.example'], 'REFUSED'],
    ['https://pictures.example/said-large', ['pictures.example'], 'TOO_LARGE'],
    ['https://pictures.example/endless', ['pictures.example'], 'TOO_LARGE'],
    ['https://pictures.example/packed', ['pictures.example'], 'REFUSED'],
    ['https://pictures.example/broken', ['pictures.example'], 'REFUSED'],
    // A name that leads into a private network is refused unless the address itself is listed.
    ['https://inside.example/a.png', ['inside.example'], 'REFUSED'],
    ['https://inside.example/a.png', ['inside.example', '192.168.1.1'], 'read'],
    ['https://rebound.example/a.png', ['rebound.example'], 'REFUSED'],
    ['https://mapped.example/a.png', ['mapped.example'], 'REFUSED'],
    ['https://metadata.example/a.png', ['metadata.example'], 'REFUSED'],
    ['https://six.example/a.png', ['six.example'], 'REFUSED'],
    ['https://six.example/a.png', ['six.example', 'fd00::1'], 'read'],
    ['https://127.0.0.1/a.png', ['pictures.example'], 'REFUSED'],
    ['https://127.0.0.1/a.png', ['127.0.0.1'], 'read'],
    ['https://2130706433/a.png', ['127.0.0.1'], 'read'],
    ['https://[::1]/a.png', ['[::1]'], 'read'],
    ['https://[::1]/a.png', ['::1'], 'read'],
  ])('%s with %j → %s', async (reference, hosts, outcome) => {
    expect(await codeOf(ask(reference, hosts))).toBe(outcome);
  });

  it('that are silent are given up after the time limit, or when the caller gives up', async () => {
    const error = await ask('https://pictures.example/silent', ['pictures.example'], 30).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'RECLOOM_DAT_IMAGE_REFUSED', message: 'A picture was not read: the host took more than 30 ms.' });
    const controller = new AbortController();
    const pending = ask('https://pictures.example/silent', ['pictures.example'], 5_000, controller.signal);
    const outcome = expect(pending).rejects.toThrow('enough');
    await sleep(20);
    controller.abort(new Error('enough'));
    await outcome;
  });

  it('that cannot be reached are refused', async () => {
    const reader = createImageReader(
      { ...settings, hosts: ['pictures.example'] },
      {
        lookUp: async () => ['93.184.215.14'],
        request: (options, done) => httpRequest({ ...options, protocol: 'http:', host: '127.0.0.1', port: 1 }, done),
      },
    );
    const error = await reader.read('https://pictures.example/a.png', limits, signal).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'RECLOOM_DAT_IMAGE_REFUSED', message: 'A picture was not read: the host cannot be reached.' });
  });
});
