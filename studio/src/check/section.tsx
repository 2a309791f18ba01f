/** What may be wrong, one question at a time: labels, copies, images of no class. */
import { useEffect } from 'preact/hooks';
import { count, of } from '../parts/numbers.ts';
import { Icon } from '../parts/icon.tsx';
import { UndoButtons } from '../parts/undo-buttons.tsx';
import { loadQueues } from '../state/queues.ts';
import { complain } from '../state/notices.ts';
import { hearKey } from './keys.ts';
import { QuestionCard } from './question.tsx';
import {
  at,
  current,
  doAgain,
  hold,
  moveTo,
  questions,
  queue,
  showQueue,
  takeBack,
  waiting,
  type Queue,
} from './state.ts';
import { Photo } from '../parts/photo.tsx';

const kinds: readonly { readonly name: Queue; readonly title: string; readonly nothing: string }[] = [
  { name: 'labels', title: 'Labels', nothing: 'No label looks wrong. Labels are compared once two classes have some.' },
  { name: 'alike', title: 'Duplicates', nothing: 'No two images are the same or nearly the same.' },
  {
    name: 'strangers',
    title: 'Of no class',
    nothing: 'No image looks unlike all classes. This needs some labels of each class.',
  },
];

/** Questions that are in sight at once. */
const together = 12;

function Strip() {
  const all = questions.value,
    from = at.value - (at.value % together),
    shown = all.slice(from, from + together);
  return (
    <>
      <div class="turning">
        <p class="note" aria-live="polite">
          {of(all.length, 'question')} left
          {shown.length < all.length && `; here are ${from + 1} to ${from + shown.length}`}
        </p>
        {shown.length < all.length && (
          <>
            <Turn name="left" says="Earlier questions" to={from - together} />
            <Turn name="right" says="Later questions" to={from + together} />
          </>
        )}
      </div>
      <ol class="strip" aria-label="Questions">
        {shown.map(({ key, ids }, i) => (
          <li key={key}>
            <button
              class="pick"
              aria-label={`Question ${from + i + 1}`}
              aria-current={from + i === at.value ? 'true' : undefined}
              onClick={() => moveTo(from + i)}
            >
              <Photo id={ids.at(-1)!} alt="" />
            </button>
          </li>
        ))}
      </ol>
    </>
  );
}

function Turn({ name, says, to }: { readonly name: 'left' | 'right'; readonly says: string; readonly to: number }) {
  const isThere = to >= 0 && to < questions.value.length;
  return (
    <button class="quiet square" aria-label={says} title={says} disabled={!isThere} onClick={() => moveTo(to)}>
      <Icon name={name} />
    </button>
  );
}

export function CheckSection() {
  useEffect(() => {
    loadQueues().catch(complain);
    document.addEventListener('keydown', hearKey);
    const letGo = hold();
    return () => {
      document.removeEventListener('keydown', hearKey);
      letGo();
    };
  }, []);
  const question = current.value,
    left = questions.value.length;
  return (
    <div class="checking">
      <h1>Check</h1>
      <div class="queues">
        <div class="lists" role="group" aria-label="Queues">
          {kinds.map(({ name, title }) => (
            <button key={name} aria-pressed={queue.value === name} onClick={() => showQueue(name)}>
              {title} <small>{count(queue.value === name ? left : waiting(name))}</small>
            </button>
          ))}
        </div>
        <UndoButtons undo={takeBack} redo={doAgain} />
      </div>
      {question === undefined ? (
        <p class="empty">{kinds.find(({ name }) => name === queue.value)!.nothing}</p>
      ) : (
        <>
          <QuestionCard question={question} />
          <Strip />
        </>
      )}
    </div>
  );
}
