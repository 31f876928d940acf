// Data that other engines are compared on. They are lent, lie outside the repository and never enter it.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Dataset, datasetFromArrays } from '@recloom/core';
import { root } from './online-retail.js';

const folder = process.env['RECLOOM_SHARED_DATA'] ?? resolve(root, '../shared/data');

const dayMs = 86_400_000;

/** Why Amazon Beauty cannot be read here; undefined when it can. */
export function missingBeauty(): string | undefined {
  const file = resolve(folder, 'beauty-last/train.csv.gz');
  return existsSync(file) ? undefined : `${file} is not there (RECLOOM_SHARED_DATA names another folder)`;
}

/** One part of protocol Q4: a user's items stand in order. */
export function readBeautyPairs(
  part: 'train' | 'valid',
): readonly { readonly user: string; readonly item: string; readonly timeMs: number }[] {
  const text = gunzipSync(readFileSync(resolve(folder, `beauty-last/${part}.csv.gz`))).toString('utf8');
  const places = new Map<string, number>();
  return text
    .trimEnd()
    .split(/\r?\n/)
    .slice(1)
    .map((line) => {
      const [user = '', item = ''] = line.split(',');
      const place = places.get(user) ?? 0;
      places.set(user, place + 1);
      return { user, item, timeMs: Date.UTC(2013, 0, 1) + place * dayMs };
    });
}

/** What 22,363 people did before their last two reviews. */
export function readBeauty(): Dataset {
  return datasetFromArrays({ events: [...readBeautyPairs('train')] });
}
