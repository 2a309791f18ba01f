import { dirname, extname, resolve } from 'node:path';
import { placeFrom, spreadsheet } from '../../artifact/csv.js';
import { writeFileAtomically } from '../../artifact/files.js';
import { acceptedSource, randomColumn, randomMark, sourceColumn } from '../../data/columns.js';
import { counted } from '../../data/dataset.js';
import type { Pool } from '../../data/pool.js';
import { pathOf, type Sample } from '../../data/sample.js';
import { writeImageSheet } from '../image-sheet.js';

/** An image to label next, as the files and `--json` have it. */
export interface SuggestedImage {
  readonly path: string;
  /** 1: label this one first. */
  readonly order: number;
  /** `typical`: it stands for many; `unsure`: the model is less sure of it than of others. */
  readonly why: 'typical' | 'unsure';
  /** The class that it likely has; null as long as no two classes have labels. */
  readonly predicted: string | null;
  readonly confidence: number | null;
}

/** The picture that stands beside a manifest. */
export const sheetOf = (file: string): string => `${file.slice(0, -extname(file).length)}.png`;

/**
 * Writes the manifest to fill in: `path,label` with nothing in `label`, and what helps to label. Below
 * them stand the images that have labels, so that it is all the data once it is filled in.
 */
export async function writeManifest(
  file: string,
  images: readonly SuggestedImage[],
  labelled: readonly Sample[],
  classes: readonly string[],
): Promise<void> {
  const folder = resolve(dirname(file));
  const rows = [
    ['path', 'label', 'split', sourceColumn, randomColumn, 'order', 'why', 'predicted', 'confidence'],
    ...images.map(({ path, order, why, predicted, confidence }) => {
      const said = [String(order), why, predicted ?? '', confidence?.toFixed(3) ?? ''];
      return [placeFrom(folder, path), '', '', '', '', ...said];
    }),
    ...labelled.map((sample) => {
      const origin = [sample.accepted === true ? acceptedSource : '', sample.drawn === true ? randomMark : ''];
      const named = [placeFrom(folder, pathOf(sample)), classes[sample.label]!, sample.split];
      return [...named, ...origin, '', 'labelled', '', ''];
    }),
  ];
  // Where all are for training, none was accepted from a model or drawn at random: columns less to wonder about.
  const isNeeded = new Map([
    ['split', labelled.some(({ split }) => split !== 'train')],
    [sourceColumn, labelled.some(({ accepted }) => accepted === true)],
    [randomColumn, labelled.some(({ drawn }) => drawn === true)],
  ]);
  const isKept = rows[0]!.map((name) => isNeeded.get(name) ?? true);
  await writeFileAtomically(file, spreadsheet(rows.map((row) => row.filter((_, column) => isKept[column]))));
}

/** Draws the images in their order, the first ones where they are many. */
export const writeSheet = (
  file: string,
  images: readonly { readonly sample: Sample; readonly image: SuggestedImage }[],
  pool: Pool,
): Promise<void> =>
  writeImageSheet(file, {
    title: `${counted(images.length, 'image')} to label next`,
    subtitle: 'in the order of the list',
    images: images.map(({ sample, image }) => ({ sample, caption: captionOf(image) })),
    pool,
  });

const captionOf = ({ order, why, predicted, confidence }: SuggestedImage): string =>
  `${order} ${why}` + (predicted === null ? '' : `: ${predicted}? ${confidence!.toFixed(2)}`);
