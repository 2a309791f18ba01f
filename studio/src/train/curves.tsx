/** The loss and the held-out accuracy by epoch, as they come. A ladder begins anew at each training. */
import type { RunDetail } from '../protocol.ts';
import { percent } from '../parts/numbers.ts';
import { Chart } from './chart.tsx';

export function Curves({ curve }: Pick<RunDetail, 'curve'>) {
  if (curve.length < 2) return null;
  const losses = curve.map(({ trainLoss }, i) => [i + 1, trainLoss] as const);
  const accuracies = curve.flatMap(({ val }, i) => (val === null ? [] : [[i + 1, val] as const]));
  return (
    <div class="charts">
      <Chart
        title="Training loss"
        lines={[{ name: 'loss', kind: 'train', points: losses }]}
        format={(value) => value.toFixed(2)}
        xLabel="epoch"
        from={0}
      />
      <Chart
        title="Held-out accuracy"
        lines={[{ name: 'accuracy', kind: 'selection', points: accuracies }]}
        format={percent}
        xLabel="epoch"
        to={1}
      />
    </div>
  );
}
