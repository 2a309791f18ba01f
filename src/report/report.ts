import { basename, resolve } from 'node:path';
import { readFile, stat } from 'node:fs/promises';
import { openRun, readMetrics } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import { decode } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { thumbnail } from '../image/thumbnail.js';
import { confusions, readEvaluation, worst } from './evaluation.js';
import { readHistory } from './history.js';
import { page } from './page.js';
import { withoutPlaces } from './places.js';
import type { Picture, Pictures } from './photo.js';
import { readSections } from './sections.js';

export interface ReportOptions {
  /**
   * Finds an image by the path that `evaluation.json` or `pseudo-labels.json` states (undefined:
   * not there any more). By default paths are files; give this for images in archives or in memory.
   */
  readonly readImage?: (path: string) => Promise<Image | undefined>;
}

const fileImage = async (path: string): Promise<Image | undefined> => {
  try {
    return await decode(await readFile(path), path);
  } catch {
    return undefined; // moved or deleted since: the report shows a gap
  }
};

/**
 * How many wrong predictions, and of how many confused pairs how many, are shown with their images;
 * pixels of the first batch's long side.
 */
const shown = { mistakes: 24, pairs: 8, perPair: 6, preview: 1400 };

/**
 * Writes `report.html` of a run folder from its run.json, metrics.jsonl, evaluation.json and what
 * its technique left (formats.ts), and returns its path. One file that opens from disk: no scripts,
 * no network, images inside. Throws `not-found` when the folder is no run, `io` when it cannot be
 * written.
 */
export async function writeReport(folder: string, { readImage = fileImage }: ReportOptions = {}): Promise<string> {
  const run = await openRun(folder);
  const [records, evaluation, modelFile] = await Promise.all([
    readMetrics(run.path),
    readEvaluation(run.path),
    stat(runFiles.model.in(run.path)).catch(() => undefined),
  ]);
  const mistakes = evaluation === undefined ? [] : worst(evaluation);
  const pairs =
    evaluation === undefined
      ? []
      : confusions(evaluation)
          .slice(0, shown.pairs)
          .map((pair) => ({
            ...pair,
            examples: mistakes
              .filter(({ label, predicted }) => label === pair.truth && predicted === pair.predicted)
              .slice(0, shown.perPair),
          }));
  const sections = await readSections(run, records);
  const predictions = [...mistakes.slice(0, shown.mistakes), ...pairs.flatMap(({ examples }) => examples)];
  const pictures = new Map([
    // Unlabelled images may be files that are no part of the data that `readImage` knows.
    ...(await thumbnails(
      sections.flatMap(({ paths }) => paths),
      async (path) => (await readImage(path)) ?? fileImage(path),
    )),
    ...(await thumbnails(
      predictions.map(({ path }) => path),
      readImage,
    )),
  ]);
  const preview = await fileImage(runFiles.preview.in(run.path));
  const document = page({
    title: basename(resolve(folder)),
    config: withoutPlaces(run.config),
    result: await runFiles.result.read(run.path),
    history: readHistory(records),
    evaluation,
    mistakes: mistakes.slice(0, shown.mistakes),
    pairs,
    pictures,
    sections,
    modelBytes: modelFile?.size,
    preview: preview && { uri: await thumbnail(preview, shown.preview), tiny: false },
  });
  await runFiles.report.write(run.path, document.html);
  return runFiles.report.in(run.path);
}

/** An image small enough to stand in a page among many. */
export const pictureOf = async (image: Image): Promise<Picture> => ({
  uri: await thumbnail(image, 192),
  tiny: Math.max(image.width, image.height) <= 64,
});

/** Thumbnails by path, a few at a time. */
async function thumbnails(
  shown: readonly string[],
  readImage: NonNullable<ReportOptions['readImage']>,
): Promise<Pictures> {
  const paths = [...new Set(shown)];
  const pictures = new Map<string, Picture>();
  const lane = async (): Promise<void> => {
    for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
      const image = await readImage(path);
      if (image !== undefined) pictures.set(path, await pictureOf(image));
    }
  };
  await Promise.all([lane(), lane()]);
  return pictures;
}
