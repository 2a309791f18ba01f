/** The keys of the labelling section: what help lists is what works. */
import { isInField } from '../parts/keys.ts';
import { complain, say } from '../state/notices.ts';
import { aside } from '../state/marks.ts';
import { accept, askClass, dialog, give, redoStep, selectAll, showAlike, step, undoStep } from './actions.ts';
import {
  at,
  cellSize,
  classOfKey,
  columns,
  ids,
  isSingle,
  moveTo,
  selection,
  selectOnly,
  show,
  toggle,
} from './view.ts';

interface Key {
  /** As help shows it. */
  readonly shown: string;
  readonly says: string;
  readonly matches: (event: KeyboardEvent) => boolean;
  readonly run: (event: KeyboardEvent) => void;
  /** Only where there is a grid or one image: suggestions are buttons of their own. */
  readonly isOfGrid?: true;
}

const plain =
  (...names: string[]) =>
  (event: KeyboardEvent) =>
    names.includes(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey;
const withControl = (name: string, isShifted?: boolean) => (event: KeyboardEvent) =>
  event.key.toLowerCase() === name &&
  (event.ctrlKey || event.metaKey) &&
  (isShifted === undefined || event.shiftKey === isShifted);

const arrow = (event: KeyboardEvent): number => {
  const down = isSingle.value ? 1 : columns.value;
  return { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -down, ArrowDown: down }[event.key] ?? 0;
};

const escape = (): void => {
  if (selection.value.size > 0) selectOnly([]);
  else isSingle.value = false;
};

export const keys: readonly Key[] = [
  {
    shown: '1 … 9',
    says: 'label with that class',
    matches: (event) => plain(event.key)(event) && /^[1-9]$/.test(event.key),
    run: ({ key }) => {
      const name = classOfKey(key);
      if (name !== undefined) give(name);
      else say(`No class has the key ${key}. Press C for any class, or a new one.`);
    },
  },
  {
    shown: 'C',
    says: 'label with any class, or a new one',
    matches: plain('c', 'C'),
    run: askClass,
  },
  { shown: 'A', says: 'accept what the model suggests', matches: plain('a', 'A'), run: accept },
  {
    shown: 'S',
    says: 'set aside: of no class, or not worth a label',
    matches: plain('s', 'S'),
    run: () => give(aside),
  },
  {
    shown: '0 or Delete',
    says: 'take the label away',
    matches: plain('0', 'Delete', 'Backspace'),
    run: () => give(null),
  },
  {
    shown: '← → ↑ ↓',
    says: 'move; with Shift, select a range',
    matches: (event) => plain(event.key)(event) && arrow(event) !== 0,
    run: (event) => step(arrow(event), event.shiftKey && !isSingle.value),
    isOfGrid: true,
  },
  {
    shown: 'Home, End',
    says: 'first, last',
    matches: plain('Home', 'End'),
    run: ({ key }) => moveTo(key === 'Home' ? 0 : ids.value.length),
    isOfGrid: true,
  },
  { shown: 'Space', says: 'select or deselect', matches: plain(' '), run: () => toggle(at.value), isOfGrid: true },
  { shown: 'Ctrl A', says: 'select all', matches: withControl('a'), run: selectAll, isOfGrid: true },
  { shown: 'M', says: 'more like this', matches: plain('m', 'M'), run: () => void showAlike().catch(complain) },
  {
    shown: 'Enter',
    says: 'one image, or the grid',
    matches: plain('Enter'),
    run: () => (isSingle.value = !isSingle.value),
    isOfGrid: true,
  },
  {
    shown: '+ −',
    says: 'larger, smaller',
    matches: plain('+', '=', '-'),
    run: ({ key }) => resize(key === '-' ? -1 : 1),
    isOfGrid: true,
  },
  { shown: 'Ctrl Z', says: 'undo', matches: withControl('z', false), run: undoStep },
  {
    shown: 'Ctrl Y',
    says: 'do it again',
    matches: (event) => withControl('y')(event) || withControl('z', true)(event),
    run: redoStep,
  },
  { shown: 'Escape', says: 'select nothing; back to the grid', matches: plain('Escape'), run: escape },
  { shown: '?', says: 'this help', matches: plain('?'), run: () => (dialog.value = 'help') },
];

export function resize(by: 1 | -1): void {
  cellSize.value = Math.max(88, Math.min(400, Math.round(cellSize.value * (by > 0 ? 1.3 : 1 / 1.3))));
}

/** Images that come take the keyboard, unless a field or another button has it. */
export function takeKeyboard(images: HTMLElement | null): void {
  const { activeElement: before } = document;
  if (before === null || before === document.body || before.closest('nav') !== null)
    images?.focus({ preventScroll: true });
}

/** Gives the keyboard to the images: keys are theirs, and not those of the button or field that had it. */
export function focusImages(): void {
  const { activeElement: before } = document;
  if (before instanceof HTMLElement) before.blur();
  document.querySelector<HTMLElement>('.grid, .stage')?.focus({ preventScroll: true });
}

/** A button that is pressed with a mouse does not take the keyboard: Enter would press it again. */
export function leaveKeyboard(event: MouseEvent): void {
  event.preventDefault();
  focusImages();
}

/** Hears keys wherever the focus is, but for fields and dialogs; buttons keep Enter and Space. */
export function hearKey(event: KeyboardEvent): void {
  if (isInField(event)) return;
  const target = event.target instanceof Element ? event.target : document.body;
  if ((event.key === 'Enter' || event.key === ' ') && target.closest('button, a, summary') !== null) return;
  const hasGrid = show.value.kind !== 'suggested';
  const key = keys.find(({ matches, isOfGrid }) => (hasGrid || isOfGrid !== true) && matches(event));
  if (key === undefined) return;
  event.preventDefault();
  key.run(event);
}
