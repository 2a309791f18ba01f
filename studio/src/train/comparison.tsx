/** Several runs side by side, on the images that all were measured on. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import type { RunComparison } from '../protocol.ts';
import { Accuracy, IntervalLine } from '../parts/interval.tsx';
import { of } from '../parts/numbers.ts';
import { get, messageOf, returned } from '../state/requests.ts';
import { runs } from '../state/runs.ts';

/** Names of the runs that are compared. */
export const compared = signal<ReadonlySet<string>>(new Set());

export function toggleCompared(name: string): void {
  const next = new Set(compared.value);
  if (!next.delete(name)) next.add(name);
  compared.value = next;
}

/** What the server says of these runs; null as long as it works it out. */
function useComparison(names: readonly string[]): RunComparison | { readonly failed: string } | null {
  const [said, setSaid] = useState<RunComparison | { readonly failed: string } | null>(null);
  const wanted = names.map(encodeURIComponent).join(',');
  useEffect(() => {
    let isOver = false;
    setSaid(null);
    if (names.length > 1)
      get<RunComparison>(`/runs/compare?runs=${wanted}`).then(
        (value) => isOver || setSaid(value),
        (error: unknown) => isOver || setSaid({ failed: messageOf(error) }),
      );
    return () => void (isOver = true);
  }, [wanted, returned.value]);
  return said;
}

const points = (share: number): string => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(1)}`;

function Differences({ comparisons }: Pick<RunComparison, 'comparisons'>) {
  return (
    <ul class="note">
      {comparisons.map(({ name, against, gain, interval: [low, high] }) => (
        <li key={`${name} ${against}`}>
          {name} against {against}: {points(gain)} points, 95% interval {points(low)} to {points(high)}.{' '}
          {low > 0 || high < 0 ? 'The difference is clear.' : 'More labels are needed to tell which is better.'}
        </li>
      ))}
    </ul>
  );
}

function Table({ images, runs: rows, comparisons }: RunComparison) {
  return (
    <>
      <p class="note">
        Measured on the same {of(images, 'image')}.
        {runs.value.some(({ name, ofAll }) => ofAll !== undefined && compared.value.has(name)) &&
          ' Most of these were chosen to be labelled: what counts is the difference. Below stands what to expect.'}
      </p>
      <table>
        <thead>
          <tr>
            <th scope="col">run</th>
            <th scope="col">accuracy</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, accuracy, interval }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>
                <Accuracy accuracy={accuracy} interval={interval} digits={1} />
              </td>
              <td class="wide">
                <IntervalLine accuracy={accuracy} interval={interval} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Differences comparisons={comparisons} />
    </>
  );
}

export function Comparison() {
  // The oldest is what the others are compared with.
  const names = runs.value.filter(({ name }) => compared.value.has(name)).map(({ name }) => name);
  const said = useComparison(names.reverse());
  if (names.length < 2) return null;
  return (
    <section class="card comparison" aria-label="Comparison" aria-busy={said === null}>
      <h2>Comparison</h2>
      {said === null && <p class="note">Comparing…</p>}
      {said !== null && 'failed' in said && <p class="failure">{said.failed}</p>}
      {said !== null && 'images' in said && <Table {...said} />}
    </section>
  );
}
