/** Numbers as the page writes them. */

const whole = new Intl.NumberFormat('en');

export const count = (n: number): string => whole.format(n);

/** `1 image`, `12,000 images`. */
export const of = (n: number, noun: string, plural = `${noun}s`): string => `${count(n)} ${n === 1 ? noun : plural}`;

export const percent = (share: number, digits = 0): string => `${(100 * share).toFixed(digits)}%`;

/** `47 to 84%`. */
export const interval = ([low, high]: readonly [number, number], digits = 0): string =>
  `${(100 * low).toFixed(digits)} to ${percent(high, digits)}`;

/** `40 s`, `3 min`, `1 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `15 MB`. */
export const size = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
