/** What a person does with labels, step by step: sent in order, undone, asked about where another window was first. */
import { computed, effect, signal } from '@preact/signals';
import type { CheckDecision, LabelAnswer, LabelChange } from '../protocol.ts';
import { changesTo, giverOf, newIn, type Source, type Wanted } from './changes.ts';
import { conflict, dispute } from './conflict.ts';
import { folder, loadFolder } from './folder.ts';
import { changeClasses, classes, counts, loadLabels, markOf, take } from './labels.ts';
import { classOf, imagesOf, inverse, isSame, type Kept, type Mark, type Step } from './marks.ts';
import { complain, say } from './notices.ts';
import { holdUp, openOutbox, pack, parcels, persist, type Parcel } from './outbox.ts';
import { decide } from './queues.ts';
import { post, Refused } from './requests.ts';

const undoable = signal<readonly Step[]>([]);
const redoable = signal<readonly Step[]>([]);
export const canUndo = computed(() => undoable.value.length > 0);
export const canRedo = computed(() => redoable.value.length > 0);

/** Whether something is still on its way to the server. */
export const isSaving = (): boolean => parcels.value.length > 0;

/** Marks images; those that have the mark already are left alone. Returns how many change. */
export const mark = (ids: Iterable<number>, to: Mark): number => markEach([...ids].map((id) => ({ id, to })));

/** `decided`: what a check does not ask again after that. */
export function markEach(
  wanted: readonly Pick<Wanted, 'id' | 'to'>[],
  source: Source = 'person',
  decided?: Kept,
): number {
  const changes = changesTo(wanted.map((one) => ({ ...one, source })));
  if (changes.length > 0) begin({ changes, made: newIn(changes), kept: decided });
  return changes.length;
}

/** What a check asks about an image is kept as it is. */
export const keep = (queue: Kept['queue'], id: number): void =>
  begin({
    changes: [],
    made: [],
    kept: { queue, id, label: classOf(markOf(id)), from: giverOf(id), isBack: false },
  });

/** Says what the last step did. It can be undone there until another one comes. */
export function sayDone(text: string, undoIt: () => void): void {
  const step = undoable.value.at(-1);
  say(text, { label: 'Undo', run: undoIt, isOpen: () => step !== undefined && undoable.value.at(-1) === step });
}

function begin(step: Step): void {
  undoable.value = [...undoable.value, step];
  redoable.value = [];
  send(pack(step));
}

/** Takes the last step back; returns the images that it was about. */
export function undo(): readonly number[] {
  const step = undoable.value.at(-1);
  if (step === undefined) return [];
  undoable.value = undoable.value.slice(0, -1);
  redoable.value = [...redoable.value, step];
  send(pack(inverse(step)));
  for (const name of step.made) last = last.then(() => persist(() => forgetClass(name), meet)).catch(complain);
  return imagesOf(step);
}

export function redo(): readonly number[] {
  const step = redoable.value.at(-1);
  if (step === undefined) return [];
  redoable.value = redoable.value.slice(0, -1);
  undoable.value = [...undoable.value, step];
  send(pack(step));
  return imagesOf(step);
}

/** Removes a class that nothing is of any more; another window may use it by now. */
async function forgetClass(name: string): Promise<void> {
  if ((counts.value.get(name) ?? 0) > 0 || !classes.value.includes(name)) return;
  await changeClasses({ remove: name }).catch((error: unknown) => {
    if (error instanceof Refused && error.isPassing) throw error;
    return loadLabels();
  });
}

/** Whether the person was told that something waits. */
let hasWaited = false;
effect(() => {
  if (holdUp.value !== null) hasWaited = true;
});

let last: Promise<void> = Promise.resolve();

/** Settles when all that was done so far is on the disk, or was refused. */
export const delivered = (): Promise<void> => last;

function send(parcel: Parcel, isAgain = false): void {
  parcels.value = [...parcels.value, parcel];
  last = last.then(() => deliver(parcel, isAgain)).catch(complain);
}

/** Sends what waited in the browser when the page was loaded. */
export function sendWaiting(): void {
  if (folder.value === null) return;
  for (const parcel of openOutbox(folder.value)) {
    hasWaited = true;
    send(parcel, true);
  }
}

/** The folder is open on a server that was started anew: goes on there. */
async function meet(): Promise<void> {
  await loadFolder();
  await loadLabels();
}

/** Sends one step; those behind it wait. What another window was first with is asked about, the rest is done. */
async function deliver(parcel: Parcel, isAgain: boolean): Promise<void> {
  let now = parcel;
  try {
    for (let again = isAgain; now.step.changes.length > 0; again = false) {
      const rest = await sendLabels(now, again);
      if (rest === null) break;
      replace(now, rest);
      now = rest;
    }
    const { kept } = now.step;
    if (kept !== undefined) await persist(() => decide(decisionOf(kept)), meet);
  } catch (error) {
    hasWaited = false;
    undoable.value = undoable.value.filter((one) => one !== now.step);
    throw error;
  } finally {
    parcels.value = parcels.value.filter(({ key }) => key !== now.key);
    if (!isSaving() && hasWaited) {
      hasWaited = false;
      if (conflict.value === null) say('All labels are saved.');
    }
  }
}

const decisionOf = ({ queue, id, label, from, isBack }: Kept): CheckDecision => ({
  queue,
  id,
  decision: isBack ? { kept: label, source: from } : 'keep',
});

/** Seconds after which a server that does not answer is asked again. */
const longest = 20;

/** null: all of it is done; or what is left to be done. */
async function sendLabels({ key, step }: Parcel, isAgain: boolean): Promise<Parcel | null> {
  const { changes } = step;
  const body = changes.map(({ id, was, to, source }): LabelChange => ({ id, was, to, source }));
  let wasAgain = isAgain;
  const ask = (again: boolean): Promise<LabelAnswer> => {
    wasAgain = again;
    const address = `/labels?step=${key}${again ? '&again=1' : ''}`;
    return post<LabelAnswer>(address, body, { others: [409], seconds: longest });
  };
  const { conflicts, version } = await persist(ask, meet, isAgain);
  if (conflicts === undefined) {
    await take(step, version, wasAgain);
    return null;
  }
  const now = new Map(conflicts.map((one) => [one.id, one.now]));
  await loadLabels().catch(() => undefined);
  dispute(
    changes.filter(({ id, to }) => now.has(id) && !isSame(now.get(id)!, to)),
    now,
  );
  const rest = changes.filter(({ id }) => !now.has(id));
  return pack({ ...step, changes: rest, kept: rest.length > 0 ? step.kept : undefined });
}

function replace(before: Parcel, after: Parcel): void {
  parcels.value = parcels.value.map((one) => (one.key === before.key ? after : one));
  undoable.value = undoable.value.flatMap((one) =>
    one !== before.step ? [one] : after.step.changes.length > 0 ? [after.step] : [],
  );
}

/** Ends a conflict: with what this window wanted, or with what is there. */
export function resolve(isMine: boolean): void {
  const changes = isMine ? changesTo(conflict.value!.changes) : [];
  conflict.value = null;
  if (changes.length > 0) begin({ changes, made: newIn(changes) });
}
