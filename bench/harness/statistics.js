const sorted = (list) => [...list].sort((a, b) => a - b);
export const mean = (list) => list.reduce((sum, x) => sum + x, 0) / list.length;
export const median = (list) => {
  const s = sorted(list);
  return (s[(s.length - 1) >> 1] + s[s.length >> 1]) / 2;
};
/** Least and most. */
export const spread = (list) => [Math.min(...list), Math.max(...list)];
/** Median with least and most, rounded to what a measurement can say. */
export const summary = (list) => ({ median: round(median(list)), spread: spread(list).map((x) => round(x)) });
export const round = (x) => Number(x.toPrecision(4));
