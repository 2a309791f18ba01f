/** The keyboard among the rows of suggestions: arrows move, and what has it and goes leaves it to its neighbour. */
import { useEffect, useRef } from 'preact/hooks';

const picksIn = (rows: ParentNode): HTMLButtonElement[] => [...rows.querySelectorAll<HTMLButtonElement>('.pick')];
const buttonOf = (row: Element): HTMLButtonElement | null => row.querySelector('header button:not(:disabled)');

/** The nearest image of the lines above (`way` -1) or below (1). */
function across(picks: readonly HTMLButtonElement[], from: Element, way: 1 | -1): HTMLButtonElement | undefined {
  const { x, y } = from.getBoundingClientRect();
  const ahead = picks
    .map((pick) => ({ pick, box: pick.getBoundingClientRect() }))
    .map(({ pick, box }) => ({ pick, down: way * (box.y - y), aside: Math.abs(box.x - x) }))
    .filter(({ down }) => down > 1);
  const line = Math.min(...ahead.map(({ down }) => down));
  return ahead.filter(({ down }) => down < line + 1).sort((a, b) => a.aside - b.aside)[0]?.pick;
}

/** Arrows, in whatever holds the rows. */
export function moveAmong(event: KeyboardEvent): void {
  const picks = picksIn(event.currentTarget as HTMLElement),
    from = document.activeElement,
    at = picks.indexOf(from as HTMLButtonElement);
  if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const ways: Readonly<Record<string, () => HTMLButtonElement | undefined>> = {
    ArrowLeft: () => picks[at - 1],
    ArrowRight: () => picks[at + 1],
    ArrowUp: () => across(picks, from!, -1),
    ArrowDown: () => across(picks, from!, 1),
  };
  const next = ways[event.key]?.();
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}

interface Focused {
  readonly element: HTMLButtonElement;
  /** Place of its row, and among the images of this; -1: it accepts the row. */
  readonly row: number;
  readonly place: number;
}

/** What takes over from a button that is gone or has nothing to do. */
function heirOf(rows: Element, { row, place }: Focused): HTMLButtonElement | undefined {
  const all = [...rows.querySelectorAll('.row')];
  const own = all[Math.min(row, all.length - 1)];
  const pick =
    place < 0 || own === undefined
      ? undefined
      : picksIn(own)
          .slice(0, place + 1)
          .at(-1);
  return (
    pick ?? [...all.slice(row), ...all.slice(0, row).reverse()].map(buttonOf).find((one) => one !== null) ?? undefined
  );
}

/** For the element that holds the rows. */
export function useKeptFocus() {
  const rows = useRef<HTMLDivElement>(null),
    last = useRef<Focused | null>(null);
  useEffect(() => {
    const { current } = rows,
      was = last.current;
    if (current === null || was === null || current.contains(document.activeElement)) return;
    if (was.element.isConnected && !was.element.disabled) return;
    last.current = null;
    heirOf(current, was)?.focus();
  });
  const onFocusIn = ({ target }: FocusEvent): void => {
    const element = (target as Element).closest<HTMLButtonElement>('.row button'),
      own = element?.closest('.row');
    last.current =
      element && own
        ? {
            element,
            row: [...rows.current!.querySelectorAll('.row')].indexOf(own),
            place: picksIn(own).indexOf(element),
          }
        : null;
  };
  return { ref: rows, onFocusIn };
}
