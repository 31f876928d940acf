import type { RandomStream } from '@recloom/plugin-api';

/** `count` of the places, each set of them equally likely, in ascending order of position; all of them when there are no more. */
export function samplePlaces(places: Int32Array, count: number, random: RandomStream): Int32Array {
  if (places.length <= count) return places;
  const pool = places.slice();
  for (let index = 0; index < count; index++) {
    const other = index + random.integer(pool.length - index);
    const picked = pool[other] as number;
    pool[other] = pool[index] as number;
    pool[index] = picked;
  }
  return pool.slice(0, count).sort();
}
