/** One image, large. */
import { useEffect, useRef } from 'preact/hooks';
import { useAgain } from '../parts/again.ts';
import { Icon } from '../parts/icon.tsx';
import { count, percent } from '../parts/numbers.ts';
import { predictions, proposed } from '../state/assistant.ts';
import { FileName } from '../parts/file-name.tsx';
import { nameOf } from '../state/folder.ts';
import { markOf } from '../state/labels.ts';
import { pictureOf } from '../state/requests.ts';
import { accept, step } from './actions.ts';
import { takeKeyboard } from './keys.ts';
import { Chip } from './cell.tsx';
import { at, focused, ids, isPast, supply } from './view.ts';

const reasons = {
  typical: 'Proposed because it is typical of images without labels.',
  unsure: 'Proposed because the model is unsure of it.',
  random: 'Drawn at random: the estimate of the accuracy is measured on such images.',
} as const;

function Facts({ id }: { readonly id: number }) {
  const mark = markOf(id),
    said = predictions.value.get(id),
    why = (supply.value ?? proposed).list.value.find((one) => one.id === id)?.why;
  return (
    <p class="facts" aria-live="polite">
      <b>
        <FileName path={nameOf(id)} />
      </b>{' '}
      <Chip mark={mark} />
      {mark === null && said && (
        <span>
          The model suggests <b>{said.label}</b> ({percent(said.confidence)}).{' '}
          <button onClick={accept}>
            Accept <kbd>A</kbd>
          </button>
        </span>
      )}
      {why && <span class="why">{reasons[why]}</span>}
    </p>
  );
}

export function Single() {
  const id = focused.value,
    place = at.value,
    list = ids.value;
  const next = list[place + 1];
  // The next one is there when it is wanted.
  useEffect(() => {
    if (next !== undefined) new Image().src = pictureOf(next);
  }, [next]);
  useEffect(() => {
    const seen = supply.value?.seen;
    if (seen !== undefined) seen.value = Math.max(seen.value, place + 2);
  }, [place]);
  const stage = useRef<HTMLDivElement>(null);
  useEffect(() => takeKeyboard(stage.current), []);
  const again = useAgain(pictureOf(id ?? 0));
  if (id === undefined) return null;
  return (
    <div class="single">
      <div
        ref={stage}
        class="stage"
        tabIndex={0}
        role="group"
        aria-label={`Image ${count(place + 1)} of ${count(list.length)}`}
      >
        <button
          class="square"
          aria-label="Previous image"
          disabled={place === 0 && !isPast.value}
          onClick={() => step(-1)}
        >
          <Icon name="left" />
        </button>
        <img key={id} {...again} alt={nameOf(id)} />
        <button
          class="square"
          aria-label="Next image"
          disabled={next === undefined && supply.value === undefined}
          onClick={() => step(1)}
        >
          <Icon name="right" />
        </button>
      </div>
      <Facts id={id} />
    </div>
  );
}
