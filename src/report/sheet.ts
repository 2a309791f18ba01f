/** Contact sheets: labelled rows of small images, as one picture. */
import { encodePng } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { resize } from '../image/resize.js';
import { escapeHtml } from './html.js';
import { fontFamily, rasterise } from './raster.js';
import { textWidth, wrapText, type TextStyle } from './text.js';

export interface SheetCell {
  readonly image: Image;
  readonly caption?: string;
}

export interface SheetRow {
  readonly label?: string;
  /** As many as there are; rows may differ. */
  readonly cells: readonly SheetCell[];
}

export interface Sheet {
  readonly title?: string;
  /** A line or two below the title. */
  readonly subtitle?: string;
  /** Headers of the columns. */
  readonly columns?: readonly string[];
  readonly rows: readonly SheetRow[];
  /**
   * The longest side that an image may take, in pixels (default 128). Larger ones are shrunk, tiny
   * ones enlarged by whole factors.
   */
  readonly cell?: number;
}

const styles = {
  title: { size: 24, bold: true },
  subtitle: { size: 15 },
  column: { size: 14, bold: true },
  label: { size: 15, bold: true },
  caption: { size: 13 },
} as const satisfies Record<string, TextStyle>;
const colours = { ink: '#1d1f22', soft: '#5d6168', line: '#e3e3de', paper: '#fcfcfa' } as const;
const margin = 28;
const gap = 12;
const most = { label: 170, captionLines: 6, labelLines: 4, columnLines: 2 } as const;

const lineHeight = ({ size }: TextStyle): number => Math.round(size * 1.25);

/** Lines of text whose first line's top is at `y`. */
const draw = (lines: readonly string[], x: number, y: number, style: TextStyle, fill: string): string =>
  lines
    .map(
      (line, i) =>
        `<text x="${x}" y="${y + i * lineHeight(style) + Math.round(style.size * 0.95)}" font-size="${style.size}"` +
        `${style.bold ? ' font-weight="700"' : ''} fill="${fill}">${escapeHtml(line)}</text>`,
    )
    .join('\n');

/** A number stays with the word before it and the unit after it: `rotate -9°`, `shift 3,2 px`. */
const bound = (text: string): string =>
  text.replace(/ (?=[-−+]?\d)/g, '\u00a0').replace(/(?<=\d) (?=(px|bits?|turn)\b)/g, '\u00a0');

const widest = (texts: readonly string[], style: TextStyle): number =>
  Math.ceil(Math.max(0, ...texts.map((text) => textWidth(text, style))));

/** Every pixel `factor` x `factor` times. */
function enlarge({ width, height, data }: Image, factor: number): Image {
  const line = width * factor * 3;
  const result = new Uint8Array(line * height * factor);
  for (let y = 0; y < height; y++) {
    const to = y * factor * line;
    for (let x = 0, at = to; x < width; x++) {
      const from = (y * width + x) * 3;
      for (let i = 0; i < factor; i++, at += 3) {
        result[at] = data[from]!;
        result[at + 1] = data[from + 1]!;
        result[at + 2] = data[from + 2]!;
      }
    }
    for (let i = 1; i < factor; i++) result.copyWithin(to + i * line, to, to + line);
  }
  return { width: width * factor, height: height * factor, data: result };
}

/**
 * The image as it is shown in a square of `cell` pixels: shrunk if it is larger, enlarged without
 * smoothing if it fits in twice or more.
 */
export function fitToCell(image: Image, cell: number): Image {
  const long = Math.max(image.width, image.height);
  if (long > cell) {
    const side = (length: number): number => Math.max(1, Math.round((length * cell) / long));
    return resize(image, side(image.width), side(image.height));
  }
  const factor = Math.floor(cell / long);
  return factor > 1 ? enlarge(image, factor) : image;
}

/** The sheet as SVG with embedded images; its size in pixels is stated in it. */
export async function sheetSvg({ title, subtitle, columns = [], rows, cell = 128 }: Sheet): Promise<string> {
  const drawn = rows.map(({ label, cells }) => ({
    label,
    cells: cells.map(({ image, caption }) => ({ image: fitToCell(image, cell), caption })),
  }));
  const all = drawn.flatMap(({ cells }) => cells);
  const count = Math.max(1, columns.length, ...drawn.map(({ cells }) => cells.length));
  // All columns are as wide as the widest image, and never so narrow that captions become ladders.
  const slot = Math.max(72, ...all.map(({ image }) => image.width));
  const labels = drawn.flatMap(({ label }) => label ?? []);
  const labelLines = labels.map((label) => wrapText(label, most.label, styles.label, most.labelLines));
  const labelWidth = labels.length === 0 ? 0 : widest(labelLines.flat(), styles.label) + 18;
  const grid = margin + labelWidth;
  const needed = [widest([title ?? ''], styles.title), widest([subtitle ?? ''], styles.subtitle)];
  const width = Math.max(
    grid + count * slot + (count - 1) * gap + margin,
    Math.min(2 * margin + Math.max(...needed), 560),
  );
  const column = (index: number): number => grid + index * (slot + gap);

  const parts: string[] = [];
  let y = margin - 6;
  const headline = (text: string | undefined, style: TextStyle, fill: string): void => {
    if (text === undefined || text === '') return;
    const lines = wrapText(text, width - 2 * margin, style, 3);
    parts.push(draw(lines, margin, y, style, fill));
    y += lines.length * lineHeight(style) + 4;
  };
  headline(title, styles.title, colours.ink);
  headline(subtitle, styles.subtitle, colours.soft);
  if (y > margin) y += 12;
  const headers = columns.map((text) => wrapText(text, slot, styles.column, most.columnLines));
  if (headers.length > 0) {
    const tallest = Math.max(...headers.map((lines) => lines.length));
    for (const [i, lines] of headers.entries()) {
      parts.push(
        draw(lines, column(i), y + (tallest - lines.length) * lineHeight(styles.column), styles.column, colours.ink),
      );
    }
    y += tallest * lineHeight(styles.column) + 6;
    parts.push(`<path d="M${margin} ${y + 0.5}H${width - margin}" stroke="${colours.line}"/>`);
    y += 12;
  }
  for (const { label, cells } of drawn) {
    const captions = cells.map(({ caption }) =>
      caption === undefined || caption === '' ? [] : wrapText(bound(caption), slot, styles.caption, most.captionLines),
    );
    const lines = label === undefined ? [] : wrapText(label, most.label, styles.label, most.labelLines);
    const labelHeight = lines.length * lineHeight(styles.label);
    const imageHeight = Math.max(
      lines.length > 0 && cells.length === 0 ? labelHeight : 0,
      ...cells.map(({ image }) => image.height),
    );
    parts.push(
      draw(lines, margin, y + Math.max(0, Math.round((imageHeight - labelHeight) / 2)), styles.label, colours.ink),
    );
    // Images stand on one line, their captions below it.
    for (const [i, { image }] of cells.entries()) {
      const data = Buffer.from(await encodePng(image)).toString('base64');
      parts.push(
        `<image x="${column(i)}" y="${y + imageHeight - image.height}" width="${image.width}" ` +
          `height="${image.height}" image-rendering="optimizeSpeed" href="data:image/png;base64,${data}"/>`,
      );
      parts.push(draw(captions[i]!, column(i), y + imageHeight + 5, styles.caption, colours.soft));
    }
    const captionLines = Math.max(0, ...captions.map((caption) => caption.length));
    y +=
      Math.max(labelHeight, imageHeight + (captionLines === 0 ? 0 : 5 + captionLines * lineHeight(styles.caption))) +
      16;
  }
  const height = Math.ceil(y - (drawn.length > 0 ? 16 : 0)) + margin - 6;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="${fontFamily}">\n` +
    `<rect width="${width}" height="${height}" ` +
    `fill="${colours.paper}"/>\n${parts.filter((part) => part !== '').join('\n')}\n</svg>\n`
  );
}

/**
 * A labelled contact sheet as a PNG file: title, column headers, row labels on the left, captions
 * below the images (wrapped or shortened).
 */
export async function drawSheet(sheet: Sheet): Promise<Uint8Array> {
  return rasterise(await sheetSvg(sheet));
}
