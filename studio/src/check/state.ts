/** The queues of the check: what is looked at, and what is decided. */
import { batch, computed, effect, signal } from '@preact/signals';
import type { CheckDecision, CheckQueues } from '../protocol.ts';
import { redoStep, undoStep } from '../label/actions.ts';
import { aside } from '../state/marks.ts';
import { complain } from '../state/notices.ts';
import { loadQueues, queues } from '../state/queues.ts';
import { delivered, keep as keepIt, markEach, sayDone } from '../state/steps.ts';

export type Queue = CheckDecision['queue'];

/** One question: the images that it is about, the one that is decided on first. */
export interface Question {
  readonly key: string;
  readonly ids: readonly number[];
  /** What the model would say. */
  readonly likely?: { readonly label: string; readonly confidence: number } | undefined;
  readonly kind?: 'same' | 'near' | undefined;
}

export const queue = signal<Queue>('labels');
/** Of two images that are alike, the one that can be removed. */
export const chosen = signal<0 | 1>(1);
/** Answers that are on their way: their questions are gone at once. */
const answered = signal<ReadonlySet<string>>(new Set());
const wantedAt = signal(0);

const questionsOf: Readonly<Record<Queue, (all: CheckQueues) => readonly Question[]>> = {
  labels: ({ labels }) =>
    labels.map(({ id, likely, confidence }) => ({ key: `l${id}`, ids: [id], likely: { label: likely, confidence } })),
  alike: ({ alike }) => alike.map(({ ids, kind }) => ({ key: `a${ids.join(' ')}`, ids, kind })),
  strangers: ({ strangers }) => strangers.map(({ id }) => ({ key: `s${id}`, ids: [id] })),
};

const unanswered = (name: Queue): readonly Question[] =>
  questionsOf[name](queues.value).filter(({ key }) => !answered.value.has(key));

/** The question that is looked at. It stays though the model thinks again: an answer is to what was read. */
const held = signal<Question | undefined>(undefined);

export const questions = computed(() => {
  const all = unanswered(queue.value),
    { value } = held;
  if (value === undefined || answered.value.has(value.key)) return all;
  const place = all.findIndex(({ key }) => key === value.key);
  return place >= 0 ? all.with(place, value) : all.toSpliced(wantedAt.value, 0, value);
});
export const waiting = (name: Queue): number => unanswered(name).length;

export const at = computed(() => {
  const place = questions.value.findIndex(({ key }) => key === held.value?.key);
  return place >= 0 ? place : Math.max(0, Math.min(wantedAt.value, questions.value.length - 1));
});
export const current = computed(() => questions.value[at.value]);

/** From now on the question that is looked at is held; until the function that is returned is called. */
export function hold(): () => void {
  const stop = effect(() => {
    const [question, place] = [current.value, at.value];
    batch(() => {
      held.value = question;
      wantedAt.value = place;
    });
  });
  return () => {
    stop();
    held.value = undefined;
  };
}

export function showQueue(name: Queue): void {
  batch(() => {
    queue.value = name;
    held.value = undefined;
    wantedAt.value = 0;
    chosen.value = 1;
  });
}

export function moveTo(place: number): void {
  batch(() => {
    held.value = questions.value[place];
    wantedAt.value = place;
    chosen.value = 1;
  });
}

/** The image that a decision is about. */
export const subject = (question: Question): number => question.ids[question.ids.length === 2 ? chosen.value : 0]!;

function answer(question: Question, work: () => Promise<unknown>): void {
  answered.value = new Set(answered.value).add(question.key);
  work()
    .catch(complain)
    .finally(() => {
      const left = new Set(answered.value);
      left.delete(question.key);
      answered.value = left;
    });
}

/** Keeps it as it is; the question does not come again, unless that is undone. */
export function keep(): void {
  const question = current.value;
  if (question === undefined) return;
  keepIt(queue.value, subject(question));
  answer(question, delivered);
  sayDone('Kept as it is', takeBack);
}

/** Takes the last step back, and asks again what it had answered. */
export function takeBack(): void {
  const ids = undoStep();
  void delivered()
    .then(loadQueues)
    .then(() => {
      const place = questions.value.findIndex((one) => one.ids.some((id) => ids.includes(id)));
      if (place >= 0) moveTo(place);
    }, complain);
}

/** Does again what was taken back; a question that it answers is gone. */
export function doAgain(): void {
  const ids = redoStep(),
    question = current.value;
  if (question?.ids.some((id) => ids.includes(id))) answer(question, () => delivered().then(loadQueues));
}

/** Gives the image another label; undone like every label. */
export function relabel(label: string): void {
  const question = current.value;
  if (question !== undefined) change(question, label);
}

export function remove(): void {
  const question = current.value;
  if (question !== undefined) change(question, aside);
}

function change(question: Question, to: string | typeof aside): void {
  const id = subject(question),
    { value } = queue;
  // A person has looked: the question does not come again, whatever the model says.
  const isDecided = value === 'labels' && typeof to === 'string' && to !== question.likely?.label;
  const decided = isDecided ? ({ queue: value, id, label: to, from: 'person', isBack: false } as const) : undefined;
  if (markEach([{ id, to }], 'person', decided) === 0 && typeof to === 'string') {
    // It has that label already: it stays.
    keep();
    return;
  }
  answer(question, () => delivered().then(isDecided ? undefined : loadQueues));
  sayDone(typeof to === 'string' ? `Now ${to}` : 'Set aside; the file stays', takeBack);
}
