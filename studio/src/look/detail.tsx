/** One image: what the model looked at, what it resembles, and its label. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { redoStep, undoStep } from '../label/actions.ts';
import { Chip, hueOf } from '../label/cell.tsx';
import { useAgain } from '../parts/again.ts';
import { hearUndo, isInField } from '../parts/keys.ts';
import { percent } from '../parts/numbers.ts';
import { Photo } from '../parts/photo.tsx';
import { FileName } from '../parts/file-name.tsx';
import { nameOf } from '../state/folder.ts';
import { classes, markOf } from '../state/labels.ts';
import { classOf } from '../state/marks.ts';
import { complain } from '../state/notices.ts';
import { pictureOf, returned } from '../state/requests.ts';
import { mark, sayDone } from '../state/steps.ts';
import { heatOf, isChosen, loadNearest, nearest, type HeldOutImage } from './state.ts';

/** The class whose evidence is shown: what was predicted, or the label. */
const evidence = signal<'predicted' | 'label'>('predicted');

function Evidence({ run, image }: { readonly run: string; readonly image: HeldOutImage }) {
  const isRight = image.label === image.predicted;
  const of = isRight ? image.predicted : image[evidence.value];
  // Below a matrix of many classes it would be out of sight.
  const pictures = useRef<HTMLDivElement>(null);
  const photo = useAgain(pictureOf(image.id)),
    heat = useAgain(heatOf(run, image.id, of));
  useEffect(() => {
    if (isChosen(image.id)) pictures.current?.scrollIntoView({ block: 'nearest' });
  }, [image.id]);
  return (
    <div class="pictures pair" ref={pictures}>
      <figure>
        <img {...photo} alt={nameOf(image.id)} />
        <figcaption>
          <b>
            <FileName path={nameOf(image.id)} />
          </b>{' '}
          <Chip mark={markOf(image.id)} />
        </figcaption>
      </figure>
      <figure>
        <img {...heat} alt={`What spoke for ${of}`} />
        <figcaption>
          What spoke for{' '}
          {isRight
            ? of
            : (['predicted', 'label'] as const).map((which) => (
                <label key={which}>
                  <input
                    type="radio"
                    name="evidence"
                    checked={evidence.value === which}
                    onChange={() => (evidence.value = which)}
                  />{' '}
                  {image[which]}{' '}
                </label>
              ))}
        </figcaption>
      </figure>
    </div>
  );
}

function relabel(id: number, name: string): void {
  if (mark([id], name) > 0) sayDone(`${nameOf(id)} is labelled ${name} now.`, undoStep);
}

const hearKey = (event: KeyboardEvent): void => {
  if (!isInField(event)) hearUndo(event, undoStep, redoStep);
};

export function Detail({ run, image }: { readonly run: string; readonly image: HeldOutImage }) {
  useEffect(() => void loadNearest(image.id).catch(complain), [image.id, returned.value]);
  useEffect(() => {
    document.addEventListener('keydown', hearKey);
    return () => document.removeEventListener('keydown', hearKey);
  }, []);
  const now = classOf(markOf(image.id));
  return (
    <section class="card detail" aria-label="Image">
      <Evidence run={run} image={image} />
      <h2>
        Labelled {image.label}. The model said {image.predicted}, {percent(image.confidence)} sure.
      </h2>
      {nearest.value.length > 0 && (
        <>
          <h3>Labelled images that look most like it</h3>
          <ul class="nearest">
            {nearest.value.map((id) => (
              <li key={id}>
                <Photo id={id} />
                <Chip mark={markOf(id)} />
              </li>
            ))}
          </ul>
        </>
      )}
      <h3>Its label</h3>
      <ul class="others" aria-label="Its label">
        {classes.value.map((name) => (
          <li key={name}>
            <button class={`class ${hueOf(name)}`} aria-pressed={name === now} onClick={() => relabel(image.id, name)}>
              <span>{name}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
