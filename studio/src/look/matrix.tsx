/** The confusion matrix: a cell shows its images. */
import { of } from '../parts/numbers.ts';
import { cell, said, showCell, type Cell } from './state.ts';

const keyOf = ({ label, predicted }: Cell): string => JSON.stringify([label, predicted]);

function Count({ one, count, most }: { readonly one: Cell; readonly count: number; readonly most: number }) {
  const isRight = one.label === one.predicted,
    isChosen = cell.value !== null && keyOf(cell.value) === keyOf(one);
  if (count === 0) return <td class="none">0</td>;
  return (
    <td>
      <button
        class={isRight ? 'right' : 'wrong'}
        style={{ '--share': String(Math.sqrt(count / most)) }}
        aria-pressed={isChosen}
        aria-label={`${of(count, 'image')} labelled ${one.label}, predicted ${one.predicted}`}
        onClick={() => showCell(isChosen ? null : one)}
      >
        {count}
      </button>
    </td>
  );
}

export function Matrix() {
  const { classes = [], images = [] } = said.value ?? {};
  const counts = new Map<string, number>();
  for (const one of images) counts.set(keyOf(one), (counts.get(keyOf(one)) ?? 0) + 1);
  const most = Math.max(1, ...counts.values());
  return (
    <div class="matrix" tabIndex={0} role="region" aria-label="Confusion matrix">
      <table>
        <caption>Rows are labels, columns what the model said.</caption>
        <thead>
          <tr>
            <td />
            {classes.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {classes.map((label) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              {classes.map((predicted) => (
                <Count
                  key={predicted}
                  one={{ label, predicted }}
                  count={counts.get(keyOf({ label, predicted })) ?? 0}
                  most={most}
                />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
