/** The keys of the check. */
import { classOfKey } from '../label/view.ts';
import { hearUndo, isInField } from '../parts/keys.ts';
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
  if (isInField(event) || hearUndo(event, takeBack, doAgain)) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isPair = current.value?.ids.length === 2;
  const name = classOfKey(event.key);
  const run = runs[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (isPair && (event.key === '1' || event.key === '2')) chosen.value = event.key === '1' ? 0 : 1;
  else if (name !== undefined && !isPair) relabel(name);
  else if (run !== undefined) run();
  else return;
  event.preventDefault();
}
