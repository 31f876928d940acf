/**
 * English function words that say nothing about what is searched for: articles, pronouns, prepositions, auxiliaries
 * and the phrases people wrap around a wish ("something to …", "looking for …").
 */
const englishStopWords: ReadonlySet<string> = new Set(
  (
    'a about after all also am an and another any anybody anyone anything are as at be because been before being both but by can could ' +
    'did do does doing done each either else every everyone everything for from get had has have having he her here hers ' +
    'him his how i if im in into is it its ive just let like looking made may me might mine more most much my myself need ' +
    'needed needs no nor not of on one onto or other our ours please shall she should show so some somebody someone something stuff such ' +
    'than that thats the their theirs them then there these they thing things this those to too under until up upon us very want wanted ' +
    'wants was we were what when where which while who whom whose why will with within would you your yours'
  ).split(' '),
);

/** Letters that Unicode does not decompose, as their usual spelling without them. */
const spelledOut: Readonly<Record<string, string>> = { ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd', ð: 'd', þ: 'th', ı: 'i' };

const word = /[\p{L}\p{N}\p{M}]+/gu;
/** Runs of words joined by one of these are also one word: T-LIGHT, 85123-A, ICE-CREAM. */
const compound = /[\p{L}\p{N}\p{M}]+(?:[-‐‑_.&][\p{L}\p{N}\p{M}]+)+/gu;
/** Scripts written without spaces. */
const unspaced =
  /[\p{Script_Extensions=Han}\p{Script_Extensions=Hiragana}\p{Script_Extensions=Katakana}\p{Script_Extensions=Thai}\p{Script_Extensions=Lao}\p{Script_Extensions=Khmer}\p{Script_Extensions=Myanmar}]+/gu;
const longestCompound = 24;

/** Lower case without accents, in compatibility form: `Crème BRÛLÉE №5` becomes `creme brulee no5`. */
export function fold(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .normalize('NFC')
    .toLowerCase()
    .replace(/[ßæœøłđðþı]/g, (letter) => spelledOut[letter] ?? letter);
}

/**
 * The words of a text in order, folded, duplicates kept. Digits and letters stay together (`85123a`), apostrophes vanish
 * (`children's` is `childrens`), a compound gives its parts and the whole (`t-light`: `t`, `light`, `tlight`), and scripts
 * without spaces give overlapping pairs of characters.
 */
export function wordsOf(text: string): string[] {
  const folded = fold(text).replace(/['’`´]/g, '');
  const words: string[] = [];
  for (const [run] of folded.matchAll(word)) {
    const rest = run.replace(unspaced, (characters) => {
      const all = Array.from(characters);
      if (all.length === 1) words.push(characters);
      for (let index = 0; index + 1 < all.length; index++) words.push(`${all[index]}${all[index + 1]}`);
      return ' ';
    });
    for (const part of rest.split(' ')) if (part !== '') words.push(part);
  }
  for (const [run] of folded.matchAll(compound)) {
    const whole = run.replace(/[^\p{L}\p{N}\p{M}]+/gu, '');
    if (whole.length <= longestCompound) words.push(whole);
  }
  return words;
}

/** The forms under which an item id is found: its parts, and the whole without separators. */
export function codeWordsOf(id: string): string[] {
  const parts = fold(id).match(word) ?? [];
  return parts.length < 2 ? [...parts] : [...parts, parts.join('')];
}

/**
 * The singular of an English plural by a few rules and no dictionary, after the S-stemmer (Harman 1991, "How effective is
 * suffixing?"): `-ies` to `-y`, `-s` dropped but not from -us and -ss. Its gaps are mended: `-es` goes after a hiss
 * (`boxes`, `dishes`) and in longer words on -oes (`potatoes`), and -ees and short -oes lose their s (`trees`, `shoes`).
 * Index and query pass through the same rules, so a wrong form (`christma`) costs nothing. Words of up to three letters
 * and words with digits stay.
 */
export function singular(term: string): string {
  if (term.length < 4 || !term.endsWith('s') || /\p{N}/u.test(term)) return term;
  if (term.endsWith('us') || term.endsWith('ss')) return term;
  if (term.length > 4 && term.endsWith('ies')) return term.endsWith('eies') ? term : `${term.slice(0, -3)}y`;
  if (/(?:x|ch|sh|ss|zz)es$/.test(term) || (term.length > 5 && term.endsWith('oes'))) return term.slice(0, -2);
  return term.slice(0, -1);
}

/** True for a word of the English stop list, in the folded form `wordsOf` gives. */
export function isStopWord(term: string): boolean {
  return englishStopWords.has(term);
}
