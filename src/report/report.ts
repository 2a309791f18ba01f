import { basename, resolve } from 'node:path';
import { readFile, stat } from 'node:fs/promises';
import type { LearnedFile, RunConfig } from '../artifact/formats.js';
import { readProvenance } from '../artifact/provenance.js';
import { openRun, readMetrics, type Run } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import { decodeSmall } from '../evaluate/readers.js';
import type { Image } from '../image/image.js';
import { thumbnail } from '../image/thumbnail.js';
import { backboneIn, teachersIn } from '../models/licence.js';
import { imagesOf, type CellImages } from './blocks.js';
import { confusions, readEvaluation, recognised, worst, type Evaluation, type Prediction } from './evaluation.js';
import { readHistory } from './history.js';
import { cardText, modelCard, type CardContents, type CardPart } from './model-card.js';
import { withoutPlaces } from './places.js';
import type { Picture, Pictures } from './photo.js';
import { readSections } from './sections.js';
import { readWarnings } from './warnings.js';

export interface ReportOptions {
  /**
   * Finds an image by the path that `evaluation.json` or `pseudo-labels.json` states (undefined:
   * not there any more). By default paths are files; give this for images in archives or in memory.
   */
  readonly readImage?: (path: string) => Promise<Image | undefined>;
  /** What the run took, in seconds, where `result.json` does not say so yet: that is written last. */
  readonly seconds?: number | undefined;
  /** Draws what spoke for a class in each image (evaluate/activation.ts), where the network lets it. */
  readonly explain?:
    | ((images: readonly { readonly image: Image; readonly label: number }[]) => Promise<readonly Image[] | undefined>)
    | undefined;
}

const fileImage = async (path: string): Promise<Image | undefined> => {
  try {
    return await decodeSmall(await readFile(path), path);
  } catch {
    return undefined; // moved or deleted since: the report shows a gap
  }
};

/**
 * How many images are shown: of wrong predictions, of confused pairs (some at once, further ones where their
 * cell is opened) and of classes that were recognised; pixels of the first batch's long side.
 */
const shown = {
  mistakes: 24,
  pairs: 8,
  perPair: 6,
  furtherPairs: 16,
  perFurtherPair: 3,
  classes: 16,
  perClass: 4,
  preview: 1400,
};

/**
 * Writes `report.html` and `model-card.md` of a run folder from its run.json, metrics.jsonl, evaluation.json and
 * what its technique left (formats.ts), and returns the path of the report. One file that opens from disk: no
 * scripts, no network, images inside. Throws `not-found` when the folder is no run, `io` when it cannot be
 * written.
 */
export async function writeReport(
  folder: string,
  { readImage = fileImage, seconds, explain }: ReportOptions = {},
): Promise<string> {
  const run = await openRun(folder);
  const [records, evaluation, modelFile, learned] = await Promise.all([
    readMetrics(run.path),
    readEvaluation(run.path),
    stat(runFiles.model.in(run.path)).catch(() => undefined),
    runFiles.learned.read(run.path),
  ]);
  const mistakes = evaluation === undefined ? [] : worst(evaluation);
  const confused = evaluation === undefined ? [] : confusedCells(evaluation, mistakes);
  const recognised = evaluation === undefined ? [] : recognisedCells(evaluation);
  const sections = await readSections(run, records);
  const predictions = [
    ...mistakes.slice(0, shown.mistakes).map(({ path }) => path),
    ...[...confused, ...recognised].flatMap(({ paths }) => paths),
  ];
  const pictures = new Map([
    // Unlabelled images may be files that are no part of the data that `readImage` knows.
    ...(await thumbnails(
      sections.flatMap(({ blocks }) => imagesOf(blocks)),
      async (path) => (await readImage(path)) ?? fileImage(path),
    )),
    ...(await thumbnails(predictions, readImage)),
  ]);
  const explained = await explanations(mistakes.slice(0, shown.mistakes), readImage, explain);
  for (const [path, picture] of explained) pictures.set(explainedName(path), picture);
  const preview = await fileImage(runFiles.preview.in(run.path));
  const title = basename(resolve(folder)),
    config = withoutPlaces(run.config);
  const card =
    modelFile &&
    modelCard({
      ...{ title, evaluation, modelBytes: modelFile.size, learned: countsOf(learned), warnings: await warningsIn(run) },
      config: run.config.architecture === undefined ? { ...config, ...(await describedIn(run.path)) } : config,
    });
  if (card) await runFiles.card.write(run.path, cardText(title, card));
  const { page } = await import('./page.js'); // its charts take long to load
  const document = page(
    {
      ...{ title, config, evaluation, confused, recognised, sections, card },
      seconds: seconds ?? (await runFiles.result.read(run.path))?.seconds,
      history: readHistory(records),
      mistakes: mistakes.slice(0, shown.mistakes),
      explained: new Map([...explained.keys()].map((path) => [path, explainedName(path)])),
      modelBytes: modelFile?.size,
      preview: preview && { uri: await thumbnail(preview, shown.preview), tiny: false },
    },
    pictures,
  );
  await runFiles.report.write(run.path, document.html);
  return runFiles.report.in(run.path);
}

/** What the model of a job says of itself, as run.json does not: one of its trainings made it, of whichever network. */
async function describedIn(run: string): Promise<object> {
  const provenance: Readonly<Record<string, unknown>> = { ...(await readProvenance(run)) };
  const { architecture } = provenance,
    backbone = backboneIn(provenance),
    teachers = teachersIn(provenance);
  return {
    ...(architecture === undefined ? {} : { architecture }),
    ...(backbone && { backbone }),
    ...(teachers && { teachers }),
  };
}

const countsOf = (learned: LearnedFile | undefined): CardContents['learned'] =>
  learned && { labelled: learned.labelled.length, unlabelled: learned.unlabelled.length };

/** What a card for the hub says of a run folder; undefined where it is none. */
export async function cardOfRun(
  folder: string,
  { backbone, teachers, modelBytes }: Pick<RunConfig, 'backbone' | 'teachers'> & Pick<CardContents, 'modelBytes'>,
): Promise<{ readonly evaluation: Evaluation | undefined; readonly parts: readonly CardPart[] } | undefined> {
  const run = await openRun(folder).catch(() => undefined);
  if (run === undefined) return undefined;
  const config = { ...withoutPlaces(run.config), backbone, teachers };
  const evaluation = await readEvaluation(run.path);
  const learned = countsOf(await runFiles.learned.read(run.path));
  const title = basename(resolve(folder));
  const warnings = await warningsIn(run);
  return {
    evaluation,
    parts: modelCard({ title, config, evaluation, learned, modelBytes, warnings, input: 'pixel_values' }),
  };
}

/** What is wrong with that file its section says. */
const warningsIn = async ({ path }: Run): Promise<CardContents['warnings']> =>
  readWarnings(await runFiles.warnings.read(path).catch(() => undefined))?.warnings;

/** The name of a picture of what spoke for a prediction. */
const explainedName = (path: string): string => `what spoke for the prediction: ${path}`;

/** Pictures by path of the images that are still there. */
async function explanations(
  predictions: readonly Prediction[],
  readImage: NonNullable<ReportOptions['readImage']>,
  explain: ReportOptions['explain'],
): Promise<Pictures> {
  if (explain === undefined) return new Map();
  const found: { path: string; image: Image; label: number }[] = [];
  for (const { path, predicted } of predictions) {
    const image = await readImage(path);
    if (image !== undefined) found.push({ path, image, label: predicted });
  }
  const explained = (await explain(found)) ?? [];
  return new Map(
    await Promise.all(explained.map(async (image, i) => [found[i]!.path, await pictureOf(image)] as const)),
  );
}

/** Images of the pairs that were confused, most often first. */
const confusedCells = (evaluation: Evaluation, mistakes: readonly Prediction[]): CellImages[] =>
  confusions(evaluation)
    .slice(0, shown.pairs + shown.furtherPairs)
    .map((pair, i) => ({
      ...pair,
      hidden: i >= shown.pairs,
      paths: mistakes
        .filter(({ label, predicted }) => label === pair.truth && predicted === pair.predicted)
        .slice(0, i < shown.pairs ? shown.perPair : shown.perFurtherPair)
        .map(({ path }) => path),
    }))
    .filter(({ paths }) => paths.length > 0);

/** Images of classes that were recognised. */
const recognisedCells = (evaluation: Evaluation): CellImages[] =>
  evaluation.classes
    .map((_, label) => {
      const images = recognised(evaluation, label);
      const paths = images.slice(0, shown.perClass).map(({ path }) => path);
      return { truth: label, predicted: label, count: images.length, paths, hidden: false };
    })
    .filter(({ paths }) => paths.length > 0)
    .slice(0, shown.classes);

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
