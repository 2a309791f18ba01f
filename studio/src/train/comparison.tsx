/** Several runs side by side. */
import { signal } from '@preact/signals';
import { Accuracy, IntervalLine } from '../parts/interval.tsx';
import { runs } from '../state/runs.ts';

/** Names of the runs that are compared. */
export const compared = signal<ReadonlySet<string>>(new Set());

export function toggleCompared(name: string): void {
  const next = new Set(compared.value);
  if (!next.delete(name)) next.add(name);
  compared.value = next;
}

export function Comparison() {
  const chosen = runs.value.filter(({ name, accuracy }) => compared.value.has(name) && accuracy !== undefined);
  if (chosen.length < 2) return null;
  const ranked = [...chosen].sort((a, b) => b.accuracy! - a.accuracy!);
  const [best, second] = ranked;
  const isClear = (best!.interval?.[0] ?? 0) > (second!.interval?.[1] ?? 1);
  return (
    <section class="card comparison" aria-label="Comparison">
      <h2>Comparison</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">run</th>
            <th scope="col">accuracy</th>
            <td />
            <th scope="col">measured on</th>
          </tr>
        </thead>
        <tbody>
          {ranked.map(({ name, accuracy, interval, measuredOn }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>
                <Accuracy accuracy={accuracy!} interval={interval} digits={1} />
              </td>
              <td class="wide">
                <IntervalLine accuracy={accuracy!} interval={interval} />
              </td>
              <td>{measuredOn}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="note">
        {new Set(ranked.map((run) => run.measuredOn)).size > 1
          ? 'These were measured on different images; compare with care.'
          : isClear
            ? `The intervals do not overlap: ${best!.name} is better.`
            : 'The intervals overlap: more labels are needed to tell which is better.'}
      </p>
    </section>
  );
}
