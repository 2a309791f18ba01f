/** An accuracy with its 95% interval, in numbers and as a line from 0 to 100%. */
import { interval as words, percent } from './numbers.ts';

interface Given {
  readonly accuracy: number;
  readonly interval?: readonly [number, number] | undefined;
}

export function IntervalLine({ accuracy, interval }: Given) {
  const [low, high] = interval ?? [accuracy, accuracy];
  return (
    <span class="interval" aria-hidden="true">
      <i class="range" style={{ left: percent(low, 1), width: percent(high - low, 1) }} />
      <i class="point" style={{ left: percent(accuracy, 1) }} />
    </span>
  );
}

export function Accuracy({ accuracy, interval, digits = 0 }: Given & { readonly digits?: number | undefined }) {
  return (
    <span class="accuracy">
      <b>{percent(accuracy, digits)}</b>
      {interval && <small> 95% interval {words(interval, digits)}</small>}
    </span>
  );
}
