/**
 * Which images to label next: those that stand for many others and, once there are labels, of which
 * a model is unsure (`techniques/suggestions.ts`).
 */
import { allOrNone } from '../../artifact/files.js';
import { refuseAmongImages, refuseExistingFile } from '../../artifact/free.js';
import { extname } from 'node:path';
import { performance } from 'node:perf_hooks';
import { counted } from '../../data/dataset.js';
import { pathOf, type Sample, type Unreadable } from '../../data/sample.js';
import { foldsOf } from '../../data/split.js';
import type { Engine } from '../../engine/engine.js';
import { PupilError } from '../../errors.js';
import { Job } from '../../job.js';
import { foreignOf, isBuiltIn } from '../../models/index.js';
import type { Model } from '../../models/model.js';
import { checkOptions, withSignal } from '../../options/option.js';
import { common } from '../../options/recipes.js';
import { suggestOptions, type SuggestOptions, type SuggestRequest } from '../../options/tools.js';
import { chooseModel } from '../../runs/choose-model.js';
import type { RunEvent } from '../../runs/events.js';
import { reporting } from '../../runs/relay.js';
import { suggestImages } from '../../techniques/suggestions.js';
import { skippedOf, warnUnreadable } from '../images.js';
import { openLooker, type Seen } from '../look.js';
import { sheetOf, writeManifest, writeSheet, type SuggestedImage } from './files.js';
import { openSuggestImages, type SuggestImages } from './images.js';

export type { SuggestedImage } from './files.js';
export type SuggestEvent = RunEvent;

/** What `suggest --json` prints. */
export interface SuggestResult {
  /** The manifest to fill in. */
  readonly file: string;
  /** A picture of its images. */
  readonly sheet: string;
  /** In order: the first is the most useful. */
  readonly images: readonly SuggestedImage[];
  /** Images that were chosen from. */
  readonly candidates: number;
  /** Labelled images that were taken into account. */
  readonly labelled: number;
  /** Images that were passed over: labelled already, or the copy of another one. */
  readonly known: number;
  readonly repeated: number;
  /** Files that cannot be read or decoded. */
  readonly skipped: readonly Unreadable[];
  readonly seconds: number;
}

/**
 * Chooses images to label from a folder, archive or manifest (labels there are ignored) and writes
 * them as a manifest to fill in, with a picture beside it. The same images give the same choice.
 * Throws PupilErrors: `usage`, `not-found`, `exists`, `bad-data` (too few images), `bad-model`...
 *
 * @example
 * const first = await suggest('camera', { labels: 20, model: 'backbone.onnx', out: 'first.csv' });
 * console.log(first.images.map(({ path }) => path));
 * // once the labels are filled in:
 * await suggest('camera', { data: 'first.csv', labels: 30, model: 'backbone.onnx', out: 'both.csv' });
 */
export function suggest(source: string, options: SuggestRequest): Job<SuggestEvent, SuggestResult> {
  return new Job(async function* (signal) {
    return yield* suggestNext(source, checkOptions(suggestOptions, withSignal(options, signal)));
  }, options);
}

async function* suggestNext(
  source: string,
  options: SuggestOptions,
): AsyncGenerator<SuggestEvent, SuggestResult, undefined> {
  const started = performance.now();
  const { signal, data } = options;
  const { count, named, file } = required(options);
  await refuseAmongImages('out', sheetOf(file), [source, data]);
  for (const path of [file, sheetOf(file)]) await refuseExistingFile('out', path);
  const opened = await openSuggestImages(source, data, count, signal);
  const model = yield* chooseModel(
    { classes: ['unlabelled', 'labelled'] },
    { ...foreignOf(options), model: named, signal },
  );
  const looker = await openLooker(model, options);
  try {
    yield { type: 'note', message: describe(opened, model) };
    const seen = yield* looker.lookAt([...opened.candidates, ...opened.labelled]);
    const unreadable = [...opened.unreadable, ...seen.unreadable];
    yield* warnUnreadable(unreadable);
    const images = yield* choose(looker.engine, opened, seen, { count, source, signal });
    const chosen = images.map(({ image }) => image);
    await allOrNone([file, sheetOf(file)], async () => {
      await writeManifest(file, chosen, opened.given, opened.classes);
      await writeSheet(sheetOf(file), images, looker.pool);
    });
    return {
      file,
      sheet: sheetOf(file),
      images: chosen,
      candidates: opened.candidates.length,
      labelled: opened.labelled.length,
      known: opened.known,
      repeated: opened.repeated,
      skipped: skippedOf(unreadable),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await looker.close();
  }
}

/** The options that there is no default for. */
function required({ labels, model, out }: SuggestOptions): { count: number; named: string; file: string } {
  const need = (option: string, message: string): never => {
    throw new PupilError('usage', `suggest needs ${message}`, { option });
  };
  if (labels === undefined) return need('labels', '`labels`, how many images to suggest, such as 20');
  if (model === undefined)
    return need('model', 'a `model` that compares images: a run folder, an ONNX file or hf:owner/repo[/file]');
  if (isBuiltIn(model))
    throw new PupilError(
      'usage',
      `\`model: ${model}\`: a built-in network has no trained weights and cannot compare images; give a run folder, ` +
        'an ONNX file or hf:owner/repo',
      { option: 'model' },
    );
  if (out === undefined) return need('out', 'a file to write: `out`, such as label-these.csv');
  if (extname(out).toLowerCase() !== '.csv')
    throw new PupilError('usage', `${out}: the list of images is a .csv file; give it such a name`, { option: 'out' });
  return { count: labels, named: model, file: out };
}

const describe = ({ candidates, labelled, classes }: SuggestImages, model: Model): string =>
  `${counted(candidates.length, 'image')} to choose from, ` +
  (labelled.length > 0 ? `${labelled.length} labelled of ${classes.length} classes, ` : 'none labelled, ') +
  `compared by ${model.architecture}`;

/** The images to label, best first. */
async function* choose(
  engine: Engine,
  { labelled, classes }: SuggestImages,
  { samples, layers }: Seen,
  {
    count,
    source,
    signal,
  }: { readonly count: number; readonly source: string; readonly signal: AbortSignal | undefined },
): AsyncGenerator<SuggestEvent, { sample: Sample; image: SuggestedImage }[], undefined> {
  const truth = new Map(labelled.map(({ hash, label }) => [hash, label]));
  const labels = samples.map(({ hash }) => truth.get(hash) ?? -1);
  const left = labels.filter((label) => label < 0).length;
  if (left < count)
    throw new PupilError(
      'bad-data',
      `${source}: ${counted(left, 'image')} can be decoded, fewer than the ${count} that \`labels\` asks for`,
      { option: 'labels' },
    );
  const place = new Map(samples.map(({ hash }, i) => [hash, i]));
  const learnable = labelled.filter(({ hash }) => place.has(hash));
  const folds = foldsOf(learnable, common.folds).map(({ selection }) => selection.map(({ hash }) => place.get(hash)!));
  const suggestions = yield* reporting('choosing', 'images', (report) =>
    suggestImages(engine, { layers, labels, classes: classes.length, folds }, count, (done, total) => {
      signal?.throwIfAborted();
      report(done, total);
    }),
  );
  return suggestions.map(({ index, why, predicted }, i) => {
    const sample = samples[index]!;
    const image: SuggestedImage = {
      path: pathOf(sample),
      order: i + 1,
      why,
      predicted: predicted === undefined ? null : classes[predicted.label]!,
      confidence: predicted?.confidence ?? null,
    };
    return { sample, image };
  });
}
