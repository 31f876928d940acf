// Which pictures a config lets components read, from the YAML file to the answer.
import { writeFile } from 'node:fs/promises';
import { buildPipeline, openPipeline } from '@recloom/core';
import {
  defineCandidateSource,
  defineFeatureExtractor,
  definePlugin,
  feature,
  imageReaderToken,
  isRecloomError,
  itemField,
  type PluginDefinition,
  perRequest,
} from '@recloom/plugin-api';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { dataYaml, makeShop, type ShopFolder } from './support/shop-folder.js';

/** A picture is its first byte; what cannot be read is absent and a warning. */
function picturePlugin(calls: string[] = []): PluginDefinition {
  return definePlugin({
    apiVersion: 1,
    id: 'pictures',
    components: [
      defineFeatureExtractor({
        id: 'first-byte',
        summary: 'The first byte of a picture.',
        options: z.strictObject({}),
        needs: { images: imageReaderToken },
        inputs: { image: itemField({ types: ['image', 'text'], description: 'a picture' }) },
        capabilities: { modality: 'image', scopes: ['item', 'query'] },
        stateVersion: 1,
        create: ({ deps, warn }) => ({
          width: 1,
          async extract(batch, out) {
            calls.push(batch.scope);
            const column = batch.columns['image']?.[0];
            for (let row = 0; row < batch.count; row++) {
              const given =
                batch.requests?.[row]?.image ?? (column?.type === 'image' || column?.type === 'text' ? column.values[row] : null);
              if (given === null || given === undefined) continue;
              try {
                const bytes = typeof given === 'string' ? await deps.images.read(given, { maximumBytes: 8 }, batch.signal) : given;
                out.values[row] = bytes[0] ?? 0;
                out.presence[row] = 1;
              } catch (error) {
                if (!isRecloomError(error)) throw error;
                warn({ code: error.code, message: error.message });
              }
            }
          },
        }),
      }),
      defineCandidateSource({
        id: 'same',
        summary: 'Items whose picture begins like that of the request.',
        options: z.strictObject({}),
        inputs: { vectors: feature({ description: 'pictures' }) },
        capabilities: { asks: ['image'] },
        stateVersion: 1,
        create: ({ inputs }) => ({
          propose: perRequest((request) => {
            const wanted = request.queryVector(inputs.vectors.name)?.[0];
            const { presence, values } = inputs.vectors;
            const rows = [...presence.keys()].filter((row) => presence[row] === 1 && values[row] === wanted);
            return { rows, scores: rows.map(() => 1) };
          }),
        }),
      }),
    ],
  });
}

const yaml = (images: string): string => `format: "1.0"
name: shop
${dataYaml.replace('category: category }', 'category: category, photo: image }')}
${images}
components:
  photo: { use: pictures/first-byte, in: { image: item.photo } }
  same: { use: pictures/same, in: { vectors: photo } }
  popular: { use: popularity/popular }
surfaces:
  search: { needs: [image], sources: [same] }
`;

async function pictureShop(images = ''): Promise<ShopFolder> {
  const photos = ['a.png', '../outside.png', 'nowhere.png', 'data:;base64,Yg==', 'large.png', 'https://pictures.example/a.png', ''];
  const shop = await makeShop({
    'shop.yaml': yaml(images),
    'items.csv': `sku,title,price,category,photo\n${photos.map((photo, index) => `i0${index + 1},Thing ${index},1.5,kitchen,"${photo}"`).join('\n')}\n`,
    'events.csv': 'user,item,time,kind,basket\nu,i01,2024-01-01T00:00:00,purchase,b1\n',
    'users.csv': 'id,country,name\nu,Norway,N\n',
    'a.png': 'aaa',
    'large.png': 'larger than eight',
  });
  return shop;
}

const presence = (pipeline: Awaited<ReturnType<typeof openPipeline>>): number[] =>
  Array.from(pipeline.engine.features.get('photo')?.presence ?? []);

test('pictures are read from where the config allows; every other one is a coded warning and an absent row', async () => {
  const shop = await pictureShop();
  const plugins = [picturePlugin()];
  const report = await buildPipeline(shop.config, { plugins });
  expect(report.warnings.filter(({ code }) => code.startsWith('RECLOOM_DAT_IMAGE')).map(({ code, at }) => [code, at?.node])).toEqual([
    ['RECLOOM_DAT_IMAGE_REFUSED', 'photo'],
    ['RECLOOM_DAT_IMAGE_MISSING', 'photo'],
    ['RECLOOM_DAT_IMAGE_TOO_LARGE', 'photo'],
    ['RECLOOM_DAT_IMAGE_REFUSED', 'photo'],
  ]);
  const pipeline = await openPipeline(shop.config, { plugins });
  expect(presence(pipeline)).toEqual([1, 0, 0, 1, 0, 0, 0]);
  const found = async (image: Uint8Array | string): Promise<string[]> =>
    (await pipeline.search({ image, limit: 5 })).items.map((item) => item.id);
  expect(await found(new TextEncoder().encode('apple'))).toEqual(['i01']);
  expect(await found('data:,boat')).toEqual(['i04']);
  expect(await found('a.png')).toEqual(['i01']);
  expect(await found('/etc/passwd')).toEqual([]);
  await pipeline.upsertItems([{ id: 'new', photo: new TextEncoder().encode('and') }]);
  expect(await found('a.png')).toEqual(['i01', 'new']);
  await pipeline.close();
});

test('a folder that the config allows is read by the next build, and so is a picture that was replaced', async () => {
  const shop = await pictureShop();
  const outside = await makeShop({ 'outside.png': 'out' });
  const reused = async (): Promise<Record<string, boolean>> => {
    const report = await buildPipeline(shop.config, { plugins: [picturePlugin()] });
    return Object.fromEntries(report.components.map((component) => [component.name, component.reused]));
  };
  expect(await reused()).toEqual({ photo: false, popular: false });
  expect(await reused()).toEqual({ photo: true, popular: true });
  await shop.write('a.png', 'baa!');
  expect(await reused()).toEqual({ photo: false, popular: true });
  const pipeline = await openPipeline(shop.config, { plugins: [picturePlugin()] });
  expect((await pipeline.search({ image: 'data:,b', limit: 5 })).items.map((item) => item.id)).toEqual(['i01', 'i04']);
  await pipeline.close();

  // A field of texts that a component takes for pictures is one.
  await writeFile(shop.config, yaml('').replace('photo: image }', 'photo: text }'));
  expect(await reused()).toEqual({ photo: false, popular: false });
  expect(await reused()).toEqual({ photo: true, popular: true });
  await shop.write('a.png', 'caaaa');
  expect(await reused()).toEqual({ photo: false, popular: true });

  const items = await pictureShop(`images: { directories: ["${outside.directory}"] }`);
  await writeFile(items.file('items.csv'), `sku,title,price,category,photo\ni01,Thing,1.5,kitchen,${outside.file('outside.png')}\n`);
  await buildPipeline(items.config, { plugins: [picturePlugin()] });
  const allowed = await openPipeline(items.config, { plugins: [picturePlugin()] });
  expect(presence(allowed)).toEqual([1]);
  await allowed.close();
});

test('a host may bring a reader of its own', async () => {
  const shop = await pictureShop();
  const asked: string[] = [];
  const provide = [[imageReaderToken, { read: async (reference: string) => (asked.push(reference), Uint8Array.of(7)) }]] as const;
  await buildPipeline(shop.config, { plugins: [picturePlugin()], provide });
  expect(asked).toContain('../outside.png');
  const pipeline = await openPipeline(shop.config, { plugins: [picturePlugin()], provide });
  expect((await pipeline.search({ image: 'anything', limit: 9 })).items).toHaveLength(6);
  await pipeline.close();
});
