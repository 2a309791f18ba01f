/** All images of the list as squares; only those in sight are in the document. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Cell } from './cell.tsx';
import { takeKeyboard } from './keys.ts';
import { band, click, open, press } from './drag.ts';
import { layOut, margin, placesIn, positionOf } from './layout.ts';
import { at, cellSize, columns, focused, ids, isComing, isPast, selection, supply } from './view.ts';

const pixels = (n: number): string => `${n}px`;

/** The size of an element's content, and how far it is scrolled. */
function useViewport(element: { readonly current: HTMLElement | null }) {
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    const { current } = element;
    if (current === null) return;
    const measure = (): void => setSize({ width: current.clientWidth, height: current.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  return { ...size, top, onScroll: () => setTop(element.current?.scrollTop ?? 0) };
}

function Band() {
  if (band.value === null) return null;
  const { left, top, right, bottom } = band.value;
  const style = { left: pixels(left), top: pixels(top), width: pixels(right - left), height: pixels(bottom - top) };
  return <i class="band" style={style} />;
}

export function Grid() {
  const scroller = useRef<HTMLDivElement>(null),
    canvas = useRef<HTMLDivElement>(null);
  const { width, height, top, onScroll } = useViewport(scroller);
  useEffect(() => takeKeyboard(scroller.current), []);
  const list = ids.value;
  const room = Math.max(0, width - 2 * margin);
  const layout = layOut(room, list.length, Math.min(cellSize.value, room / 2.2));
  columns.value = layout.columns;
  const place = at.value;
  // The focused cell is kept in sight, and in the document for those who cannot see it.
  useLayoutEffect(() => {
    const { y } = positionOf(layout, place);
    const { current } = scroller;
    if (current === null || width === 0) return;
    // With a part of the row after it.
    const bottom = y + 1.4 * layout.cell;
    if (y < current.scrollTop) current.scrollTop = y;
    else if (bottom > current.scrollTop + current.clientHeight) current.scrollTop = bottom - current.clientHeight;
  }, [place, layout.columns, layout.cell]);
  useEffect(() => {
    const inSight = Math.ceil((top + height) / layout.pitch) * layout.columns;
    const seen = supply.value?.seen;
    if (seen !== undefined) seen.value = Math.max(seen.value, inSight);
  });
  const places = new Set(width === 0 ? [] : placesIn(layout, list.length, top, top + height));
  if (width > 0 && place < list.length) places.add(place);
  const id = focused.value;
  return (
    <div
      ref={scroller}
      class={isPast.value && !isComing.value ? 'grid past' : 'grid'}
      role="listbox"
      tabIndex={0}
      aria-label="Images"
      aria-multiselectable={true}
      aria-activedescendant={id === undefined || isPast.value ? undefined : `image-${id}`}
      onScroll={onScroll}
      onPointerDown={(event) => press(event, canvas.current!, layout)}
      onDragStart={(event) => event.preventDefault()}
      onClick={click}
      onDblClick={open}
    >
      <div
        ref={canvas}
        class="canvas"
        role="presentation"
        style={{ height: pixels(layout.height), margin: pixels(margin) }}
      >
        {[...places].map((one) => {
          const { x, y } = positionOf(layout, one);
          const style = {
            transform: `translate(${x}px, ${y}px)`,
            width: pixels(layout.cell),
            height: pixels(layout.cell),
          };
          const shown = list[one]!;
          return (
            <Cell
              key={shown}
              {...{ id: shown, place: one, count: list.length, style }}
              isFocused={one === place && !isPast.value}
              isSelected={selection.value.has(shown)}
            />
          );
        })}
        <Band />
      </div>
    </div>
  );
}
