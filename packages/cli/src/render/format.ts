const numbers = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `541,909`. */
export function formatCount(count: number): string {
  return numbers.format(count);
}

/** `1 item`, `3,066 items`. */
export function formatCountOf(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

/** `0.4 ms`, `38 ms`, `2.1 s`, `3 min 05 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** `812 B`, `7.5 MB`. Decimal units. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes;
  let unit = -1;
  while (value >= 999.5 && unit < 3) {
    value /= 1000;
    unit++;
  }
  return `${value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${['kB', 'MB', 'GB', 'TB'][unit]}`;
}

/** `12.5 %`; tiny shares keep a digit that is not zero. */
export function formatShare(share: number): string {
  const percent = share * 100;
  return `${percent === 0 || percent >= 9.95 ? Math.round(percent) : percent >= 0.095 ? percent.toFixed(1) : percent.toPrecision(1)} %`;
}

/** `2011-12-09 12:50`, UTC. */
export function formatInstant(timeMs: number): string {
  return Number.isFinite(timeMs) ? new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ') : '';
}

/** A score with four significant digits, without an exponent where it can be read without. */
export function formatScore(score: number | null | undefined): string {
  if (score === null || score === undefined || !Number.isFinite(score)) return '–';
  if (score === 0) return '0';
  const size = Math.abs(score);
  if (size >= 1e6 || size < 1e-4) return score.toExponential(2);
  if (size >= 1000) return formatCount(score);
  return score.toFixed(Math.max(0, Math.min(4, 3 - Math.floor(Math.log10(size)))));
}

/** `.1312`, `−.0019`; figures are read with four decimals and no zero before the point. */
export function formatFigure(value: number): string {
  return value
    .toFixed(4)
    .replace(/^(-?)0\./, '$1.')
    .replace('-', '−');
}

/** `+.1312`, `−.0019`. */
export function formatSigned(value: number): string {
  return `${value < 0 ? '−' : '+'}${formatFigure(Math.abs(value))}`;
}

/** `p < .001`, `p = .012`. */
export function formatP(value: number): string {
  return value < 0.001 ? 'p < .001' : `p = ${value.toFixed(3).replace(/^0\./, '.')}`;
}
