/** Where the cells of the grid are: rows of squares, of which only those in sight exist. */

export interface Layout {
  readonly columns: number;
  /** Pixels from one cell to the next. */
  readonly pitch: number;
  readonly cell: number;
  readonly height: number;
}

/** Pixels between cells, and around all of them. */
export const gap = 8,
  margin = 4;

/** Squares of at least `least` pixels in a width; two columns where it is narrow. */
export function layOut(width: number, count: number, least: number): Layout {
  const columns = Math.max(2, Math.floor((width + gap) / (least + gap)));
  const cell = Math.max(1, (width - gap * (columns - 1)) / columns);
  const pitch = cell + gap;
  return { columns, pitch, cell, height: Math.max(0, Math.ceil(count / columns) * pitch - gap) };
}

/** The places of cells from `top` to `bottom`, with two rows more on each side. */
export function placesIn({ columns, pitch }: Layout, count: number, top: number, bottom: number): readonly number[] {
  const first = Math.max(0, Math.floor(top / pitch) - 2) * columns;
  const last = Math.min(count, (Math.ceil(bottom / pitch) + 2) * columns);
  return Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
}

export const positionOf = ({ columns, pitch }: Layout, place: number): { readonly x: number; readonly y: number } => ({
  x: (place % columns) * pitch,
  y: Math.floor(place / columns) * pitch,
});

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The places of cells that a box touches. */
export function placesTouching(layout: Layout, count: number, box: Box): readonly number[] {
  const { columns, pitch, cell } = layout;
  const first = Math.max(0, Math.floor(box.top / pitch)) * columns;
  const last = Math.min(count, (Math.floor(box.bottom / pitch) + 1) * columns);
  const touched: number[] = [];
  for (let place = first; place < last; place++) {
    const { x, y } = positionOf(layout, place);
    if (x < box.right && x + cell > box.left && y < box.bottom && y + cell > box.top) touched.push(place);
  }
  return touched;
}
