/** What a person can do while labelling; keys, buttons and dialogs all come here. */
import { signal } from '@preact/signals';
import { of } from '../parts/numbers.ts';
import { alike, drawn, predictions, proposed } from '../state/assistant.ts';
import { markOf } from '../state/labels.ts';
import { wordFor, type Mark } from '../state/marks.ts';
import { complain, say } from '../state/notices.ts';
import { mark, markEach, redo, sayDone, undo } from '../state/steps.ts';
import {
  advance,
  at,
  focused,
  goPast,
  ids,
  isComing,
  isPast,
  moveTo,
  selection,
  selectOnly,
  showImages,
  supply,
  targets,
} from './view.ts';

/** Which dialog is open. */
export const dialog = signal<'help' | 'classes' | 'edit' | null>(null);

/** Asks for the class of the chosen images. */
export function askClass(): void {
  if (targets().length > 0) dialog.value = 'classes';
  else sayNone();
}

/** Keeps proposals coming. */
const refill = (): void => void (supply.value ?? proposed).more(isPast.value ? 'others' : 'enough').catch(complain);

/** Told whoever is faster than the next images. */
export const comes = 'The next images are on their way.';

/** Why no image gets what a person wants to give. */
function sayNone(): void {
  if (isComing.value) say(comes);
  else if (isPast.value) say('That was the last image. Go back to it to change its label.');
}

/** Shows images that are drawn at random, to measure on more of them. */
export function showDrawn(): void {
  showImages({ kind: 'random' });
  void drawn.more('better').catch(complain);
}

/** Gives the chosen images a label, sets them aside, or (null) takes their label away. */
export function give(to: Mark): void {
  const chosen = targets();
  if (chosen.length === 0) return sayNone();
  const from = Math.max(0, ids.value.indexOf(chosen[0]!));
  const changed = mark(chosen, to);
  selectOnly([]);
  if (to !== null) advance(from);
  if (chosen.length > 1 && changed > 0) sayDone(`${of(changed, 'image')}: ${wordFor(to)}`, undoStep);
  else if (changed === 0 && chosen.length > 1) say('Nothing changes: they have that label already.');
  refill();
}

/** Takes on what the model says of the chosen images. */
export function accept(): void {
  const chosen = targets();
  if (chosen.length === 0) return sayNone();
  const wanted = chosen.flatMap((id) => {
    const said = predictions.value.get(id);
    return said === undefined || markOf(id) !== null ? [] : [{ id, to: said.label }];
  });
  if (wanted.length === 0) return say('The model has not said anything about this image yet.');
  const from = ids.value.indexOf(wanted[0]!.id);
  markEach(wanted, 'accepted');
  selectOnly([]);
  advance(from);
  refill();
}

/** Says what a step has changed; returns these images. */
function showStep(changed: readonly number[], what: string): readonly number[] {
  if (changed.length === 0) return changed;
  const place = ids.value.findIndex((id) => changed.includes(id));
  if (place >= 0) moveTo(place);
  say(`${what}: ${of(changed.length, 'image')}`);
  return changed;
}

export const undoStep = (): readonly number[] => showStep(undo(), 'Undone');
export const redoStep = (): readonly number[] => showStep(redo(), 'Done again');

/** So many like one are shown, and so many of the nearest are chosen at once. */
const shownAlike = 60,
  chosenAlike = 12;

/** Shows the images most like the one that has the focus, the nearest without a label chosen with it. */
export async function showAlike(): Promise<void> {
  const id = [...selection.value][0] ?? focused.value;
  if (id === undefined) return;
  const near = await alike(id, shownAlike);
  if (near.length === 0) return say('Images cannot be compared yet: their features are still missing.');
  showImages({ kind: 'alike', id, ids: near });
  const isFree = (one: number): boolean => markOf(one) === null;
  selectOnly([id, ...near.slice(0, chosenAlike)].filter(isFree));
}

export const selectAll = (): void => selectOnly(ids.value);

/** Moves the focus. Whoever moves on from the last proposal passes them over, and gets more. */
export function step(by: number, isRange = false): void {
  const from = isPast.value ? ids.value.length : at.value;
  const isEnd = by > 0 && !isRange && from >= ids.value.length - 1;
  if (!isEnd || supply.value === undefined) return moveTo(from + by, isRange);
  const before = ids.value.length;
  goPast();
  supply.value.more('others').then(() => {
    if (ids.value.length > before) return;
    moveTo(at.value);
    say('There are no other images without a label.');
  }, complain);
}
