/**
 * Small multiples of one map, as SVG that needs no style sheet: text takes the colour of the page
 * around it.
 */
import type { Point } from '../artifact/gap-formats.js';
import { escapeHtml } from './html.js';
import { fontFamily } from './raster.js';
import { shortenText, textWidth, wrapText, type TextStyle } from './text.js';

/** Points of one kind; later ones are drawn above earlier ones. */
export interface Dots {
  readonly points: readonly Point[];
  readonly colour: string;
  readonly radius: number;
  readonly opacity: number;
}

export interface Panel {
  readonly title: string;
  readonly subtitle: string;
  readonly dots: readonly Dots[];
  /** Points that are ringed. */
  readonly rings?: readonly Point[];
}

export interface PanelsOptions {
  readonly title: string;
  readonly legend: readonly ({ readonly name: string } & ({ readonly colour: string } | { readonly ring: true }))[];
  readonly panels: readonly Panel[];
  readonly notes?: readonly string[];
}

const styles = {
  title: { size: 17, bold: true },
  legend: { size: 13.5 },
  panel: { size: 14.5, bold: true },
  subtitle: { size: 13 },
  note: { size: 12.5 },
} as const satisfies Record<string, TextStyle>;
const margin = 16,
  gap = 18,
  side = 300,
  inset = 12;
const line = '#8b9098';

const write = (x: number, y: number, content: string, { size, bold }: TextStyle): string =>
  `<text x="${x}" y="${y}" font-size="${size}" ` +
  `fill="currentColor"${bold ? ' font-weight="700"' : ''}>${escapeHtml(content)}</text>`;

/**
 * All panels on the same scale, equal in x and y, up to three in a row, without axes: a map of
 * features has no units.
 */
export function panels({ title, legend, panels: list, notes = [] }: PanelsOptions): string {
  const columns = list.length === 4 ? 2 : Math.min(3, list.length);
  const width = 2 * margin + Math.max(2, columns) * side + (Math.max(2, columns) - 1) * gap;
  const range = rangeOf(list.flatMap(({ dots }) => dots.flatMap(({ points }) => points)));
  // As high as the map needs at full width, within reason.
  const aspect = Math.min(1, Math.max(0.6, range.height / range.width));
  const height = Math.round(side * aspect);
  const scale = Math.min((side - 2 * inset) / range.width, (height - 2 * inset) / range.height);
  const place = ([x, y]: Point): [number, number] =>
    [side / 2 + (x - range.x) * scale, height / 2 - (y - range.y) * scale].map(
      (value) => Math.round(value * 10) / 10,
    ) as [number, number];

  const parts = [write(margin, 28, title, styles.title)];
  let y = 56,
    x = margin;
  for (const item of legend) {
    // A page may have a wider font than ours.
    const space = 24 + 1.15 * textWidth(item.name, styles.legend) + 22;
    if (x > margin && x + space > width) [x, y] = [margin, y + 22];
    parts.push(
      'ring' in item
        ? `<circle cx="${x + 7}" cy="${y - 4.5}" r="6" fill="none" stroke="currentColor" stroke-width="1.4"/>`
        : `<circle cx="${x + 7}" cy="${y - 4.5}" r="5" fill="${item.colour}"/>`,
    );
    parts.push(write(x + 20, y, item.name, styles.legend));
    x += space;
  }
  y += 20;
  list.forEach((panel, i) => {
    const left = margin + (i % columns) * (side + gap),
      top = y + Math.floor(i / columns) * (height + 74);
    parts.push(
      write(left, top + 16, shortenText(panel.title, side, styles.panel), styles.panel),
      write(left, top + 35, shortenText(panel.subtitle, side, styles.subtitle), styles.subtitle),
      `<g transform="translate(${left} ${top + 46})"><rect width="${side}" height="${height}" rx="8" fill="none" ` +
        `stroke="${line}" stroke-opacity="0.45"/>`,
      ...panel.dots.map(
        ({ points, colour, radius, opacity }) =>
          `<g fill="${colour}" fill-opacity="${opacity}">${points
            .map((point) => {
              const [cx, cy] = place(point);
              return `<circle cx="${cx}" cy="${cy}" r="${radius}"/>`;
            })
            .join('')}</g>`,
      ),
      ...(panel.rings ?? []).map((point) => {
        const [cx, cy] = place(point);
        return `<circle cx="${cx}" cy="${cy}" r="6" fill="none" stroke="currentColor" stroke-width="1.3"/>`;
      }),
      '</g>',
    );
  });
  y += Math.ceil(list.length / columns) * (height + 74) - 14;
  for (const note of notes.flatMap((text) => wrapText(text, width - 2 * margin, styles.note)))
    parts.push(write(margin, (y += 17), note, styles.note));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 16}" width="${width}" height="${y + 16}" ` +
    'role="img" ' +
    `aria-label="${escapeHtml(`${title}: ${list.map((panel) => `${panel.title}, ${panel.subtitle}`).join('; ')}`)}" ` +
    `font-family="${fontFamily}, system-ui, sans-serif">${parts.join('')}</svg>`
  );
}

/** The middle and the size of what all points take. */
function rangeOf(points: readonly Point[]): { x: number; y: number; width: number; height: number } {
  const [low, high] = [
    [Infinity, Infinity],
    [-Infinity, -Infinity],
  ] as [[number, number], [number, number]];
  for (const point of points) {
    for (const axis of [0, 1] as const) {
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  }
  const [width, height] = [0, 1].map((axis) => Math.max(1e-6, high[axis]! - low[axis]!)) as [number, number];
  return points.length === 0
    ? { x: 0, y: 0, width: 1, height: 1 }
    : { x: (low[0] + high[0]) / 2, y: (low[1] + high[1]) / 2, width, height };
}
