/** A share as a percentage: `94.8%`. */
export const percent = (value: number): string => (Number.isFinite(value) ? `${(100 * value).toFixed(1)}%` : '\u2013');

/** A number with about four digits. */
export const short = (value: number): string => {
  if (!Number.isFinite(value)) return '\u2013';
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e4 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
};

/** Seconds in words: `0.8 s`, `12 s`, `3 min 05 s`, `30 min`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '\u2013';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const [large, unit, small, rest] =
    whole < 3600
      ? [Math.floor(whole / 60), 'min', whole % 60, 's']
      : [Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min'];
  return `${large} ${unit}${small === 0 ? '' : ` ${String(small).padStart(2, '0')} ${rest}`}`;
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
