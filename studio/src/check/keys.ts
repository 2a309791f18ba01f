/** The keys of the check. */
import { classOfKey } from '../label/view.ts';
import { at, chosen, current, doAgain, keep, moveTo, relabel, remove, takeBack } from './state.ts';

const runs: Readonly<Record<string, () => void>> = {
  k: keep,
  x: remove,
  Delete: remove,
  r: () => {
    const likely = current.value?.likely;
    if (likely !== undefined) relabel(likely.label);
  },
  ArrowRight: () => moveTo(at.value + 1),
  ArrowDown: () => moveTo(at.value + 1),
  ArrowLeft: () => moveTo(at.value - 1),
  ArrowUp: () => moveTo(at.value - 1),
};

export function hearKey(event: KeyboardEvent): void {
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest('input, select, textarea, dialog') !== null) return;
  const isControl = event.ctrlKey || event.metaKey;
  const letter = event.key.toLowerCase();
  if (isControl && (letter === 'z' || letter === 'y')) {
    if (letter === 'y' || event.shiftKey) doAgain();
    else takeBack();
    return event.preventDefault();
  }
  if (isControl || event.altKey) return;
  const isPair = current.value?.ids.length === 2;
  const name = classOfKey(event.key);
  const run = runs[event.key.length === 1 ? letter : event.key];
  if (isPair && (event.key === '1' || event.key === '2')) chosen.value = event.key === '1' ? 0 : 1;
  else if (name !== undefined && !isPair) relabel(name);
  else if (run !== undefined) run();
  else return;
  event.preventDefault();
}
