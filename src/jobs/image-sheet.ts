import { writeFileAtomically } from '../artifact/files.js';
import type { Sample } from '../data/sample.js';
import { decodeSample } from '../evaluate/readers.js';
import { drawSheet, fitToCell, type SheetCell } from '../report/sheet.js';

/** Images on a sheet at most. */
export const sheetLimit = 200;
const columns = 10;
/** Longest side of a picture. */
const cell = 128;

export interface ImageSheet {
  readonly title: string;
  readonly subtitle: string;
  readonly images: readonly { readonly sample: Sample; readonly caption: string }[];
}

/** Draws images in their order as a PNG file, the first ones where they are many. */
export async function writeImageSheet(file: string, { title, subtitle, images }: ImageSheet): Promise<void> {
  const shown = images.slice(0, sheetLimit);
  const cells: SheetCell[] = [];
  for (const { sample, caption } of shown) cells.push({ image: fitToCell(await decodeSample(sample), cell), caption });
  const few = shown.length < images.length ? `, the first ${shown.length} of ${images.length}` : '';
  const sheet = await drawSheet({
    title,
    subtitle: `${subtitle}${few}`,
    rows: Array.from({ length: Math.ceil(cells.length / columns) }, (_, row) => ({
      cells: cells.slice(row * columns, (row + 1) * columns),
    })),
    cell,
  });
  await writeFileAtomically(file, sheet);
}
