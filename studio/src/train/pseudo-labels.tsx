/** What a model called the images without labels, round by round. */
import { useState } from 'preact/hooks';
import type { PseudoRound, RunDetail } from '../protocol.ts';
import { count, of, percent } from '../parts/numbers.ts';
import { Photo } from '../parts/photo.tsx';

/** How sure it was: images by confidence, in tenths. */
function Sureness({ histogram }: Pick<PseudoRound, 'histogram'>) {
  const most = Math.max(1, ...histogram);
  const sure = histogram.at(-1) ?? 0,
    all = histogram.reduce((sum, images) => sum + images, 0);
  return (
    <figure class="sureness">
      <figcaption>How sure it was</figcaption>
      <svg
        viewBox="0 0 200 60"
        role="img"
        aria-label={`${percent(sure / Math.max(1, all))} of the images at 90% or more`}
      >
        {histogram.map((images, i) => (
          <rect key={i} x={i * 20 + 1} y={48 - (46 * images) / most} width={18} height={(46 * images) / most} />
        ))}
        <text x={0} y={59}>
          0%
        </text>
        <text x={200} y={59} text-anchor="end">
          100%
        </text>
      </svg>
    </figure>
  );
}

function Classes({ classes }: Pick<PseudoRound, 'classes'>) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">class</th>
          <th scope="col">labelled so</th>
          <th scope="col">taken</th>
          <th scope="col">how sure, mean</th>
          <th scope="col">examples</th>
        </tr>
      </thead>
      <tbody>
        {classes.map(({ name, predicted, accepted, confidence, examples }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{count(predicted)}</td>
            <td>{count(accepted)}</td>
            <td>{predicted === 0 ? '–' : percent(confidence)}</td>
            <td class="examples">
              {examples.slice(0, 4).map((id) => (
                <Photo key={id} id={id} />
              ))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Round({ round }: { readonly round: PseudoRound }) {
  const { images, accepted, threshold, doubtful } = round;
  return (
    <>
      <p class="note">
        {of(images, 'image')} without labels, {count(accepted)} taken
        {threshold === null ? '' : ` (at least ${percent(threshold)} sure)`}.
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Labels by class">
        <Classes classes={round.classes} />
      </div>
      <Sureness histogram={round.histogram} />
      {doubtful.length > 0 && (
        <>
          <p class="note">Least sure of:</p>
          <ul class="photos">
            {doubtful.slice(0, 8).map((id) => (
              <li key={id}>
                <Photo id={id} />
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

export function PseudoLabels({ name, pseudoLabels }: Pick<RunDetail, 'name' | 'pseudoLabels'>) {
  const [chosen, setChosen] = useState<number | null>(null);
  if (pseudoLabels.length === 0) return null;
  const at = Math.min(chosen ?? Infinity, pseudoLabels.length - 1);
  return (
    <details>
      <summary>
        Labels that it gave to other images ({pseudoLabels.length > 1 && `${pseudoLabels[0]!.title} to `}
        {pseudoLabels.at(-1)!.title})
      </summary>
      {pseudoLabels.length > 1 && (
        <label class="which">
          Round
          <select
            aria-label={`Round of ${name}`}
            value={at}
            onChange={({ currentTarget }) => setChosen(Number(currentTarget.value))}
          >
            {pseudoLabels.map(({ title }, i) => (
              <option key={i} value={i}>
                {title}
              </option>
            ))}
          </select>
        </label>
      )}
      <Round round={pseudoLabels[at]!} />
    </details>
  );
}
