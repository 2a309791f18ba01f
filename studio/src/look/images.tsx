/** What a run said of images that it was measured on: the confusion matrix, the images of a cell, one of them. */
import { useEffect } from 'preact/hooks';
import { of, percent } from '../parts/numbers.ts';
import { Photo } from '../parts/photo.tsx';
import { nameOf } from '../state/folder.ts';
import { returned } from '../state/requests.ts';
import { Detail } from './detail.tsx';
import { Matrix } from './matrix.tsx';
import { cell, choose, image, look, said, showCell, shown } from './state.ts';

/** Thumbnails at once; those that are surest come first. */
const most = 60;

function List() {
  const all = shown.value;
  return (
    <ol class="found" aria-label="Images">
      {all.slice(0, most).map(({ id, predicted, confidence }) => (
        <li key={id}>
          <button
            class="pick"
            aria-current={id === image.value?.id ? 'true' : undefined}
            aria-label={`${nameOf(id)}, predicted ${predicted}, ${percent(confidence)}`}
            onClick={() => choose(id)}
          >
            <Photo id={id} alt="" />
            <span>
              {predicted} {percent(confidence)}
            </span>
          </button>
        </li>
      ))}
    </ol>
  );
}

function heading(): string {
  const count = of(shown.value.length, 'image');
  if (cell.value === null) return shown.value.length === 0 ? 'No mistakes' : `All mistakes: ${count}`;
  return `${count} labelled ${cell.value.label}, predicted ${cell.value.predicted}`;
}

export function Images({ run }: { readonly run: string }) {
  useEffect(() => look(run), [run]);
  useEffect(() => {
    if (said.value === null && returned.value > 0) look(run);
  }, [returned.value]);
  if (said.value === null) return <p class="empty">What the model said is on its way.</p>;
  const { measuredOn, fair, easier, images } = said.value;
  if (images.length === 0) return <p class="empty">This run was measured on no images of the folder.</p>;
  return (
    <div class="confused">
      <div class="card">
        <Matrix />
        <p class="note">
          Measured on {of(images.length, 'image')} ({measuredOn}). Choose a cell to see its images.{' '}
          {cell.value !== null && <button onClick={() => showCell(null)}>All mistakes</button>}
        </p>
        {fair !== undefined && <p class="note">{fair}</p>}
        {easier !== undefined && <p class="note">{easier}</p>}
      </div>
      <h2 aria-live="polite">{heading()}</h2>
      <List />
      {image.value && <Detail key={image.value.id} run={run} image={image.value} />}
    </div>
  );
}
