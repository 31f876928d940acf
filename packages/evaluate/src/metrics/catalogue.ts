/** Lists of items (rows, best first), one per case. */
export type Lists = readonly ArrayLike<number>[];

/** Share of the catalogue that stands in at least one list, in [0, 1]. */
export function catalogueCoverage(lists: Lists, catalogueSize: number): number {
  const shown = new Set<number>();
  for (const list of lists) for (let place = 0; place < list.length; place++) shown.add(list[place] as number);
  return catalogueSize === 0 ? 0 : shown.size / catalogueSize;
}

/**
 * Gini index of how often the items of the catalogue are shown, those never shown included: 0 = all alike, towards 1 = a
 * few get everything. Σ (2i − n − 1)·x_i / (n·Σx) over exposures in ascending order (Adomavicius and Kwon 2012). NaN when nothing is shown.
 */
export function exposureGini(lists: Lists, catalogueSize: number): number {
  const exposure = new Float64Array(catalogueSize);
  let total = 0;
  for (const list of lists) {
    for (let place = 0; place < list.length; place++) {
      exposure[list[place] as number] = (exposure[list[place] as number] as number) + 1;
      total++;
    }
  }
  exposure.sort();
  let sum = 0;
  for (let place = 0; place < catalogueSize; place++) sum += (2 * (place + 1) - catalogueSize - 1) * (exposure[place] as number);
  return sum / (catalogueSize * total);
}

/**
 * Mean self-information of a list in bits: −log2(users who know the item / users) (Zhou 2010). An item that nobody
 * knows counts as known by one. NaN for an empty list.
 */
export function novelty(list: ArrayLike<number>, usersPerItem: ArrayLike<number>, users: number): number {
  let sum = 0;
  for (let place = 0; place < list.length; place++) sum -= Math.log2(Math.max(1, usersPerItem[list[place] as number] ?? 0) / users);
  return list.length === 0 ? Number.NaN : sum / list.length;
}

/** Mean distance over all pairs of a list (Ziegler 2005); pairs whose distance is NaN are left out. NaN without a pair. */
export function intraListDiversity(list: ArrayLike<number>, distance: (left: number, right: number) => number): number {
  let sum = 0;
  let pairs = 0;
  for (let left = 0; left < list.length; left++) {
    for (let right = left + 1; right < list.length; right++) {
      const found = distance(list[left] as number, list[right] as number);
      if (Number.isNaN(found)) continue;
      sum += found;
      pairs++;
    }
  }
  return pairs === 0 ? Number.NaN : sum / pairs;
}

/** Relevant items among the first k that a primitive recommender (popularity) does not show among its own first k, over k (Ge 2010). */
export function serendipity(list: ArrayLike<number>, relevant: ReadonlySet<number>, expected: ReadonlySet<number>, k: number): number {
  let found = 0;
  for (let place = 0; place < Math.min(k, list.length); place++) {
    const item = list[place] as number;
    if (relevant.has(item) && !expected.has(item)) found++;
  }
  return found / k;
}

/** Share of a list whose items satisfy a condition, e.g. new items or the long tail. NaN for an empty list. */
export function shareOf(list: ArrayLike<number>, condition: (item: number) => boolean): number {
  let count = 0;
  for (let place = 0; place < list.length; place++) if (condition(list[place] as number)) count++;
  return list.length === 0 ? Number.NaN : count / list.length;
}

/**
 * Popularity lift: how much more popular the list is than what the user had before, (GAP list − GAP history) / GAP history
 * with GAP = mean share of users who know the item (Abdollahpouri 2019, user-centred). 0 = as before, 1 = twice. NaN when
 * either is empty or the history is of items nobody knows.
 */
export function popularityLift(list: ArrayLike<number>, history: ArrayLike<number>, usersPerItem: ArrayLike<number>): number {
  const mean = (rows: ArrayLike<number>): number => {
    let sum = 0;
    for (let place = 0; place < rows.length; place++) sum += usersPerItem[rows[place] as number] ?? 0;
    return rows.length === 0 ? Number.NaN : sum / rows.length;
  };
  const before = mean(history);
  return before > 0 ? (mean(list) - before) / before : Number.NaN;
}
