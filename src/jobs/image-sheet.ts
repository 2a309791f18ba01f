import { writeFileAtomically } from '../artifact/files.js';
import type { Pool } from '../data/pool.js';
import type { Sample } from '../data/sample.js';
import { decodePictures, decodeSample } from '../evaluate/readers.js';
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
  /** Where they are decoded, unless they were at that size. */
  readonly pool: Pool;
}

/** Draws images in their order as a PNG file, the first ones where they are many. */
export async function writeImageSheet(file: string, { title, subtitle, images, pool }: ImageSheet): Promise<void> {
  const shown = images.slice(0, sheetLimit);
  const cells: SheetCell[] = [];
  for (let start = 0; start < shown.length; start += columns) {
    const row = shown.slice(start, start + columns).map(({ sample }) => sample);
    for (const [i, picture] of (await decodePictures(row, pool)).entries())
      cells.push({
        image: fitToCell(picture ?? (await decodeSample(row[i]!)), cell),
        caption: shown[start + i]!.caption,
      });
  }
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
