/** An axis of accuracies. */
export interface ShareAxis {
  readonly start: number;
  readonly end: number;
  /** Round numbers between, at most seven. */
  readonly ticks: readonly number[];
  /**
   * Where a value stands, 0 at the start and 1 at the end; those outside are moved to the nearer
   * end.
   */
  at(value: number): number;
}

/** An axis around shares in [0, 1], with a little room at both ends. */
export function shareAxis(values: readonly number[]): ShareAxis {
  const edges = values.filter(Number.isFinite).map((value) => Math.min(1, Math.max(0, value)));
  const low = Math.min(...edges, 1),
    high = Math.max(...edges, 0),
    span = Math.max(0.01, high - low);
  const start = low - span * 0.04,
    end = high + span * 0.04;
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((size) => (end - start) / size <= 6) ?? 0.5;
  const ticks: number[] = [];
  for (let k = Math.ceil(start / step); k * step <= end; k++) ticks.push(k * step);
  return { start, end, ticks, at: (value) => (Math.min(end, Math.max(start, value)) - start) / (end - start) };
}

export const tickLabel = (tick: number): string => `${Number((100 * tick).toFixed(1))}%`;
