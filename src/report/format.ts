/** A share as a percentage: `94.8%`. */
export const percent = (value: number): string => (Number.isFinite(value) ? `${(100 * value).toFixed(1)}%` : '\u2013');

/** A number with about four digits. */
export const short = (value: number): string => {
  if (!Number.isFinite(value)) return '\u2013';
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e4 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
};

/** Seconds in words. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '\u2013';
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const parts = (large: number, unit: string, small: number, rest: string): string =>
    `${large} ${unit}${small === 0 ? '' : ` ${small} ${rest}`}`;
  return whole < 3600
    ? parts(Math.floor(whole / 60), 'min', whole % 60, 's')
    : parts(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
}

/** A difference of shares in percentage points, with its sign: `+1.2`. */
export function points(difference: number): string {
  const shown = Math.abs(100 * difference).toFixed(1);
  return `${shown === '0.0' ? '' : difference < 0 ? '\u2212' : '+'}${shown}`;
}

/** How many parameters: `272,474`, `11.2 M`. */
export const parameters = (count: number): string =>
  count >= 1e6 ? `${(count / 1e6).toPrecision(3)} M` : short(count);

/** Width of a column for such names, as far as there is room: a style of its container. */
export const nameColumn = (names: readonly string[]): string =>
  `--names:${Math.min(14, Math.max(5, ...names.map((name) => 0.52 * name.length))).toFixed(1)}rem`;
