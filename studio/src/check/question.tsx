/** One question with its images and its answers. */
import { useAgain } from '../parts/again.ts';
import { FileName } from '../parts/file-name.tsx';
import { percent } from '../parts/numbers.ts';
import { isTouch } from '../parts/touch.ts';
import { nameOf } from '../state/folder.ts';
import { classes, markOf } from '../state/labels.ts';
import { classOf } from '../state/marks.ts';
import { pictureOf } from '../state/requests.ts';
import { Chip, hueOf } from '../label/cell.tsx';
import { chosen, keep, queue, relabel, remove, type Question } from './state.ts';

function asks({ ids, likely, kind }: Question): string {
  if (queue.value === 'labels') {
    const label = classOf(markOf(ids[0]!)) ?? 'no class';
    return `Labelled ${label}. Is it ${likely!.label}? The model is ${percent(likely!.confidence)} sure.`;
  }
  if (queue.value === 'alike')
    return kind === 'same' ? 'These have the same pixels. Remove one?' : 'These are nearly the same. Remove one?';
  return 'It looks unlike all classes. Is it of one of them?';
}

function Picture({ id, place }: { readonly id: number; readonly place: 0 | 1 | null }) {
  const again = useAgain(pictureOf(id));
  const isChosen = place !== null && chosen.value === place;
  return (
    <figure class={isChosen ? 'chosen' : ''}>
      <img {...again} alt={nameOf(id)} />
      <figcaption>
        {place === null ? (
          <b>
            <FileName path={nameOf(id)} />
          </b>
        ) : (
          <label>
            <input type="radio" name="chosen" checked={isChosen} onChange={() => (chosen.value = place)} />{' '}
            <FileName path={nameOf(id)} />
          </label>
        )}{' '}
        <Chip mark={markOf(id)} />
      </figcaption>
    </figure>
  );
}

function Answers({ question }: { readonly question: Question }) {
  const { likely, ids } = question;
  const isPair = ids.length === 2;
  return (
    <div class="answers">
      {likely && (
        <button class="primary" onClick={() => relabel(likely.label)}>
          Relabel {likely.label} <kbd>R</kbd>
        </button>
      )}
      <button onClick={keep}>
        {isPair ? 'Keep both' : 'Keep'} <kbd>K</kbd>
      </button>
      <button onClick={remove}>
        {isPair ? `Remove the ${chosen.value === 0 ? 'first' : 'second'}` : 'Remove'} <kbd>X</kbd>
      </button>
      {!isPair && (
        <ul class="others" aria-label="Another class">
          {classes.value.map((name, place) => (
            <li key={name}>
              <button class={`class ${hueOf(name)}`} onClick={() => relabel(name)}>
                {place < 9 && <kbd>{place + 1}</kbd>}
                <span>{name}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

export function QuestionCard({ question }: { readonly question: Question }) {
  const isPair = question.ids.length === 2;
  return (
    <section class="card question" aria-label="Question">
      <div class={isPair ? 'pictures pair' : 'pictures'}>
        {question.ids.map((id, i) => (
          <Picture key={id} id={id} place={isPair ? (i as 0 | 1) : null} />
        ))}
      </div>
      <div>
        <h2 aria-live="polite">{asks(question)}</h2>
        <Answers question={question} />
        <p class="note">
          Removing sets an image aside: its file stays.
          {!isTouch.value && ` Arrow keys go to other questions${isPair ? ', 1 and 2 choose the image' : ''}.`}
        </p>
      </div>
    </section>
  );
}
