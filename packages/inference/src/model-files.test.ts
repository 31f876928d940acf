import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { neededFiles } from './hub-download.js';
import { createModelFiles, type ModelFilesOptions } from './model-files.js';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

let folder = '';
let cache = '';
let server: Server;
let hubUrl = '';
/** What the hub does next; set by each test. */
let hub: (request: IncomingMessage, response: ServerResponse) => void;
const asked: string[] = [];

const repository: Readonly<Record<string, string>> = {
  'config.json': '{"model_type":"bert"}',
  'onnx/model.onnx': 'the large graph',
  'onnx/model_quantized.onnx': 'the small graph',
  'pytorch_model.bin': 'not needed',
  'tokenizer.json': '{}',
};
function serveRepository(request: IncomingMessage, response: ServerResponse, changes: Readonly<Record<string, string>> = {}): void {
  const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
  if (path === '/api/models/owner/name/revision/main') {
    const siblings = Object.entries(repository).map(([rfilename, content]) =>
      rfilename.endsWith('.onnx') ? { rfilename, lfs: { sha256: sha256(content) } } : { rfilename },
    );
    response.end(JSON.stringify({ sha: 'c0ffee', siblings }));
    return;
  }
  const file = path.replace('/owner/name/resolve/c0ffee/', '');
  const content = { ...repository, ...changes }[file];
  if (content === undefined) response.writeHead(404).end();
  else response.end(content);
}

const files = (more: Partial<ModelFilesOptions> = {}) =>
  createModelFiles({ directory: join(folder, 'app'), cacheDirectory: cache, hubUrl, allowDownload: true, ...more });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-models-'));
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    hub(request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const put = async (path: string, content: string): Promise<void> => {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), content);
  };
  await put('app/models/mine/model.onnx', '');
  await put('app/node_modules/weights/package.json', JSON.stringify({ name: 'weights', recloom: { model: true } }));
  await put('app/node_modules/@scope/hidden/package.json', JSON.stringify({ exports: {}, recloom: { model: true } }));
  await put('app/node_modules/lodash-like/package.json', JSON.stringify({ name: 'lodash-like' }));
  await put('elsewhere/node_modules/far/package.json', JSON.stringify({ recloom: { model: true } }));
});
beforeEach(async () => {
  asked.length = 0;
  hub = serveRepository;
  cache = await mkdtemp(join(folder, 'cache-'));
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await rm(folder, { recursive: true, force: true });
});

describe('paths and packages', () => {
  it('finds a folder relative to the config, with or without a dot, by absolute path and by URL', async () => {
    const directory = join(folder, 'app', 'models', 'mine');
    for (const reference of ['./models/mine', 'models/mine', directory, pathToFileURL(directory).href, '../app/models/mine']) {
      expect(await files().resolve(reference)).toEqual({ directory, origin: 'path', reference });
    }
  });

  it('finds weights packages from the config folder, from further roots, and those installed beside this package', async () => {
    const modules = join(folder, 'app', 'node_modules');
    expect(await files().resolve('weights')).toEqual({ directory: join(modules, 'weights'), origin: 'package', reference: 'weights' });
    expect((await files().resolve('@scope/hidden')).directory).toBe(join(modules, '@scope', 'hidden'));
    await expect(files().resolve('far')).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING' });
    const far = await files({ packageRoots: [join(folder, 'elsewhere')] }).resolve('far');
    expect(far.directory).toBe(join(folder, 'elsewhere', 'node_modules', 'far'));
    const ours = await files().resolve('@recloom/model-all-minilm-l6-v2');
    expect(existsSync(join(ours.directory, 'tokenizer.json'))).toBe(true);
  });

  it('refuses a package that is no model, and says what was tried for what is nowhere', async () => {
    await expect(files().resolve('lodash-like')).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    for (const reference of [
      './nowhere',
      '/nowhere/at/all',
      '@recloom/model-nowhere',
      'nowhere',
      '',
      'a/b/c',
      'hub:../../etc',
      'hub:..',
      '../..x',
    ]) {
      const error = await files()
        .resolve(reference)
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING', message: expect.stringContaining('tried') });
    }
    expect(asked).toEqual([]);
  });
});

describe('hub', () => {
  it('downloads what is needed once, records it, and finds it in the cache afterwards without the network', async () => {
    const [first, second] = await Promise.all([files().resolve('owner/name'), files().resolve('hub:owner/name')]);
    const directory = join(cache, 'owner', 'name');
    expect(first).toEqual({ directory, origin: 'hub', reference: 'owner/name' });
    expect(second.directory).toBe(directory);
    expect((await readdir(directory)).sort()).toEqual(['config.json', 'onnx', 'recloom-model.json', 'tokenizer.json']);
    expect(await readdir(join(directory, 'onnx'))).toEqual(['model_quantized.onnx']);
    expect(await readFile(join(directory, 'onnx', 'model_quantized.onnx'), 'utf8')).toBe('the small graph');
    const record = JSON.parse(await readFile(join(directory, 'recloom-model.json'), 'utf8')) as unknown;
    expect(record).toEqual({
      source: `${hubUrl}/owner/name`,
      commit: 'c0ffee',
      files: {
        'config.json': { bytes: 21, sha256: sha256('{"model_type":"bert"}') },
        'onnx/model_quantized.onnx': { bytes: 15, sha256: sha256('the small graph') },
        'tokenizer.json': { bytes: 2, sha256: sha256('{}') },
      },
    });
    asked.length = 0;
    expect((await files({ allowDownload: false }).resolve('owner/name')).directory).toBe(directory);
    expect(asked).toEqual([]);
    expect(await readdir(join(cache, 'owner'))).toEqual(['name']);
  });

  it('one service downloads once for concurrent callers', async () => {
    const service = files();
    await Promise.all([service.resolve('owner/name'), service.resolve('owner/name'), service.resolve('hub:owner/name')]);
    expect(asked).toHaveLength(4);
  });

  it('does not touch the network unless it was allowed', async () => {
    await expect(files({ allowDownload: false }).resolve('owner/name')).rejects.toMatchObject({
      code: 'RECLOOM_DAT_MODEL_MISSING',
      message: expect.stringContaining('downloads are not allowed'),
    });
    expect(asked).toEqual([]);
  });

  const broken: readonly [string, string, typeof hub, Partial<ModelFilesOptions>][] = [
    ['the hub does not know it', 'RECLOOM_DAT_MODEL_MISSING', (_, response) => response.writeHead(404).end(), {}],
    ['the answer is no description', 'RECLOOM_DAT_MODEL_INVALID', (_, response) => response.end('{"sha":5}'), {}],
    [
      'the content is not what was announced',
      'RECLOOM_DAT_MODEL_INVALID',
      (request, response) => serveRepository(request, response, { 'onnx/model_quantized.onnx': 'the smell graph' }),
      {},
    ],
    [
      'a file is larger than allowed',
      'RECLOOM_DAT_MODEL_INVALID',
      (request, response) => serveRepository(request, response),
      { maximumDownloadBytes: 30 },
    ],
    [
      'a name leaves the folder',
      'RECLOOM_DAT_MODEL_INVALID',
      (_, response) => response.end(JSON.stringify({ sha: 'c0ffee', siblings: [{ rfilename: '../escape.json' }] })),
      {},
    ],
    [
      'the connection breaks half-way',
      'RECLOOM_DAT_MODEL_MISSING',
      (request, response) => {
        if (!request.url?.includes('tokenizer.json')) return serveRepository(request, response);
        response.writeHead(200, { 'content-length': '100' });
        response.write('{');
        response.socket?.destroySoon();
      },
      {},
    ],
    ['nobody listens', 'RECLOOM_DAT_MODEL_MISSING', serveRepository, { hubUrl: 'http://127.0.0.1:1' }],
  ];
  it.each(broken)('leaves nothing behind when %s', async (_, code, behaviour, more) => {
    hub = behaviour;
    await expect(files(more).resolve('owner/name')).rejects.toMatchObject({ code });
    expect(await readdir(cache, { recursive: true }).then((names) => names.filter((name) => name !== 'owner'))).toEqual([]);
    hub = serveRepository;
    expect((await files().resolve('owner/name')).origin).toBe('hub');
  });

  it('an aborted caller is answered at once; the download goes on for the others, and stops with the last', async () => {
    let open = 0;
    let broken = 0;
    hub = (request, response) => {
      if (!request.url?.includes('tokenizer.json')) return serveRepository(request, response);
      open++;
      response.on('close', () => broken++);
    };
    const service = files();
    const first = new AbortController();
    const second = new AbortController();
    const calls = [service.resolve('owner/name', first.signal), service.resolve('owner/name', second.signal)].map((call) =>
      call.catch((error: unknown) => error),
    );
    while (open === 0) await new Promise((done) => setTimeout(done, 2));
    first.abort();
    expect(await calls[0]).toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    expect(broken).toBe(0);
    second.abort();
    expect(await calls[1]).toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    while (broken === 0) await new Promise((done) => setTimeout(done, 2));
    await expect(files().resolve('owner/name', AbortSignal.abort())).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
  });

  it('notices a cached model that was damaged, and takes one that was put there by hand', async () => {
    const { directory } = await files().resolve('owner/name');
    await writeFile(join(directory, 'tokenizer.json'), '{"half":');
    await expect(files().resolve('owner/name')).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    await mkdir(join(cache, 'by', 'hand'), { recursive: true });
    expect((await files({ allowDownload: false }).resolve('by/hand')).origin).toBe('hub');
  });

  it('takes one graph with its external data, and no other weights', () => {
    expect(
      neededFiles([
        'a.json',
        'LICENSE',
        'README.md',
        'onnx/model.onnx',
        'onnx/model.onnx_data',
        'onnx/model_fp16.onnx',
        'model.safetensors',
        'sub/b.json',
      ]),
    ).toEqual(['LICENSE', 'a.json', 'onnx/model.onnx', 'onnx/model.onnx_data']);
  });
});
