/** What a model says of an image. */
import type { Prediction } from '../protocol.ts';
import { percent } from '../parts/numbers.ts';

/** Classes shown of many. */
const most = 5;

export function Answer({ said }: { readonly said: Prediction }) {
  const { label, probabilities } = said;
  return (
    <div class="answer">
      <p class={label === null ? 'verdict none' : 'verdict'}>{label ?? 'None of these'}</p>
      {label === null && <p class="note">It looks unlike the images of every class. The nearest would be:</p>}
      <ul>
        {probabilities.slice(0, most).map((one) => (
          <li key={one.label} class={one.label === label ? 'first' : ''}>
            <span>{one.label}</span>
            <i class="share" aria-hidden="true">
              <i style={{ width: percent(one.probability, 1) }} />
            </i>
            <small data-probability={one.probability}>{percent(one.probability)}</small>
          </li>
        ))}
      </ul>
    </div>
  );
}
