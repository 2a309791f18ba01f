/** Selecting with the mouse: click, Ctrl-click, Shift-click, and a rubber band. A finger scrolls and taps. */
import { signal } from '@preact/signals';
import { placesTouching, type Box, type Layout } from './layout.ts';
import { ids, isSingle, moveTo, selection, selectOnly, toggle } from './view.ts';

/** The band while it is drawn, in pixels of the grid's content. */
export const band = signal<Box | null>(null);

/** Pixels from which on a press is a drag. */
const threshold = 6;

const placeUnder = (event: Event): number | undefined => {
  const cell = (event.target as HTMLElement).closest<HTMLElement>('[data-place]');
  return cell === null ? undefined : Number(cell.dataset['place']);
};

/** `canvas`: what holds the cells; a press may be beside them, anywhere in the grid but on its scroll bar. */
export function press(event: PointerEvent, canvas: HTMLElement, layout: Layout): void {
  if (event.pointerType !== 'mouse' || event.button !== 0) return;
  const { left: start } = canvas.parentElement!.getBoundingClientRect();
  if (event.clientX > start + canvas.parentElement!.clientWidth) return;
  const isAdding = event.ctrlKey || event.metaKey || event.shiftKey;
  const before = isAdding ? selection.value : new Set<number>();
  const pointOf = ({ clientX, clientY }: PointerEvent) => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };
  const from = pointOf(event);
  const move = (moved: PointerEvent): void => {
    const to = pointOf(moved);
    if (band.value === null && Math.hypot(to.x - from.x, to.y - from.y) < threshold) return;
    const box = {
      left: Math.min(from.x, to.x),
      top: Math.min(from.y, to.y),
      right: Math.max(from.x, to.x),
      bottom: Math.max(from.y, to.y),
    };
    band.value = box;
    const list = ids.value;
    selectOnly([...before, ...placesTouching(layout, list.length, box).map((place) => list[place]!)]);
    scrollAtEdge(canvas.parentElement!, moved.clientY);
  };
  const release = (): void => {
    removeEventListener('pointermove', move);
    removeEventListener('pointerup', release);
    removeEventListener('pointercancel', release);
    // The click that follows belongs to the drag.
    setTimeout(() => (band.value = null));
  };
  addEventListener('pointermove', move);
  addEventListener('pointerup', release);
  addEventListener('pointercancel', release);
}

function scrollAtEdge(scroller: HTMLElement, y: number): void {
  const { top, bottom } = scroller.getBoundingClientRect();
  if (y < top + 30) scroller.scrollBy(0, -20);
  else if (y > bottom - 30) scroller.scrollBy(0, 20);
}

export function click(event: MouseEvent): void {
  if (band.value !== null) return;
  const place = placeUnder(event);
  if (place === undefined) return selectOnly([]);
  const isTouch = (event as PointerEvent).pointerType === 'touch';
  if (event.shiftKey) moveTo(place, true);
  else if (event.ctrlKey || event.metaKey || isTouch) toggle(place);
  else {
    selectOnly([]);
    moveTo(place);
  }
}

export function open(event: MouseEvent): void {
  const place = placeUnder(event);
  if (place === undefined) return;
  moveTo(place);
  isSingle.value = true;
}
