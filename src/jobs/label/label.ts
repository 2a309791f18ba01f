/**
 * Offline pseudo-labels (Lee 2013; Xie et al. 2020, steps 2 and 3): a teacher without noise labels
 * images, those that it is sure of are accepted, and a file that people can read says which. `train
 * --pseudo-labels` learns from it.
 */
import { refuseExistingFile } from '../../artifact/free.js';
import { performance } from 'node:perf_hooks';
import { pseudoLabelFormat, writePseudoLabels } from '../../artifact/pseudo-labels.js';
import { counted, list, openImages } from '../../data/dataset.js';
import { createPool } from '../../data/pool.js';
import { describePseudoLabels, selectPseudoLabels, type PseudoLabelDescription } from '../../data/pseudo-labels.js';
import type { Dataset, Sample, Unreadable } from '../../data/sample.js';
import { assertSkippable } from '../../data/skipping.js';
import { PupilError } from '../../errors.js';
import { assertAccepted, pseudoLabelWarnings, reportOutliers, undecidedImages } from '../../evaluate/pseudo-labels.js';
import { Job } from '../../job.js';
import { foreignOf, isBuiltIn, resolveModel } from '../../models/index.js';
import { originsOf } from '../../models/licence.js';
import type { Model } from '../../models/model.js';
import { checkOptions, withSignal } from '../../options/option.js';
import { pseudoLabels } from '../../options/recipes.js';
import { pseudoLabelOptions, type PseudoLabelOptions, type PseudoLabelRequest } from '../../options/tools.js';
import { hubEvents } from '../../runs/choose-model.js';
import type { RunEvent } from '../../runs/events.js';
import { relaying, reporting } from '../../runs/relay.js';
import { distinct, skippedOf, warnUnreadable } from '../images.js';
import { labelImages } from './images.js';
import { openLabeller, type OpenLabeller } from './labeller.js';

export type { PseudoLabelOptions } from '../../options/tools.js';

/** Images of one kind: how many, and the first of them. */
export interface FoundImages {
  readonly count: number;
  readonly paths: readonly string[];
}

/** What `pseudo-label --json` prints. */
export interface PseudoLabelResult extends PseudoLabelDescription {
  readonly file: string;
  readonly soft: boolean;
  /** Images that are in `exclude` too. */
  readonly excluded: number;
  /** Images with the content of another one. */
  readonly repeated: number;
  /** Files that cannot be read or decoded. */
  readonly skipped: readonly Unreadable[];
  /** Images that the teacher cannot decide at all; the first paths. */
  readonly undecided: FoundImages;
  /** Images unlike those of `like`, not accepted; the first paths. */
  readonly outOfDistribution?: FoundImages | undefined;
  readonly seconds: number;
}

export type PseudoLabelEvent = RunEvent;

/**
 * Labels the images of a folder, archive or manifest (labels there are ignored) with a teacher and
 * writes those labels to a file. Throws PupilErrors: `usage`,
 * `not-found`, `exists`, `bad-data` (no images, or none accepted)...
 *
 * @example
 * const options = { model: 'runs/teacher', threshold: 0.8, out: 'camera.parquet' };
 * const { accepted, total } = await pseudoLabel('camera', options);
 * console.log(accepted, 'of', total);
 */
export function pseudoLabel(source: string, options: PseudoLabelRequest): Job<PseudoLabelEvent, PseudoLabelResult> {
  return new Job(async function* (signal) {
    return yield* labelOffline(source, checkOptions(pseudoLabelOptions, withSignal(options, signal)));
  }, options);
}

async function* labelOffline(
  source: string,
  options: PseudoLabelOptions,
): AsyncGenerator<PseudoLabelEvent, PseudoLabelResult, undefined> {
  const started = performance.now();
  if (options.seed !== undefined && options.like === undefined)
    throw new PupilError('usage', '`seed` has no use without `like`, of whose images some are drawn; leave it out', {
      option: 'seed',
    });
  const { threshold = pseudoLabels.soft.threshold, soft = false, perClass, balance, out, signal, workers } = options;
  const file = await freeFile(out);
  const selection = { threshold, perClass, balance };
  selectPseudoLabels({ classes: [], rows: [] }, selection); // refuses what is impossible before the work
  const { samples, unreadable: unopened, excluded, repeated } = await openUnlabelled(source, options);
  const model = yield* chooseTeacher(options);
  const pool = createPool({ workers, signal });
  let teacher: OpenLabeller | undefined;
  try {
    const labeller = (teacher = yield* openLabeller(model, options, pool, await likeImages(options)));
    yield {
      type: 'note',
      message:
        `${counted(samples.length, 'image')} to label by ${model.architecture}, ` +
        `${labeller.classifier.labels.length} classes`,
    };
    const labelled = yield* reporting('labelling', 'images', (onProgress) =>
      labelImages(labeller, samples, { pool, onProgress, batchSize: options.batchSize, signal }),
    );
    const unreadable = [...unopened, ...labelled.unreadable];
    assertSkippable(unreadable, options);
    yield* warnUnreadable(unreadable);
    const { unlike } = labelled,
      undecided = undecidedImages(labelled.labels).map((i) => labelled.labels.rows[i]!.path);
    const aside = new Set(unlike);
    const isAside = ({ path }: { readonly path: string }): boolean => aside.has(path);
    const labels = {
      ...selectPseudoLabels(labelled.labels, { ...selection, rejected: aside }),
      soft,
      teachers: originsOf(model),
    };
    const outliers = reportOutliers(unlike ?? undecided, labels.rows.length, unlike !== undefined);
    if (outliers !== undefined) yield { type: 'warning', message: outliers };
    assertAccepted(labels);
    for (const message of pseudoLabelWarnings(labels, undefined, isAside)) yield { type: 'warning', message };
    signal?.throwIfAborted();
    await writePseudoLabels(file, labels);
    const result: PseudoLabelResult = {
      file,
      soft,
      ...describePseudoLabels(labels, undefined, isAside),
      excluded,
      repeated,
      skipped: skippedOf(unreadable),
      undecided: found(undecided),
      outOfDistribution: unlike && found(unlike),
      seconds: (performance.now() - started) / 1000,
    };
    return result;
  } finally {
    await teacher?.close();
    await pool.close();
  }
}

/** Images of a kind that are named. */
export const firstPaths = 12;
const found = (paths: readonly string[]): FoundImages => ({ count: paths.length, paths: paths.slice(0, firstPaths) });

async function freeFile(out: string | undefined): Promise<string> {
  if (out === undefined)
    throw new PupilError('usage', 'pseudo-label needs a file to write: `out`, such as labels.parquet or labels.csv', {
      option: 'out',
    });
  pseudoLabelFormat(out);
  await refuseExistingFile('out', out);
  return out;
}

/** The images to label, each content once, without those that are in `exclude` too. */
async function openUnlabelled(
  source: string,
  { exclude = [], signal, skip }: Pick<PseudoLabelOptions, 'exclude' | 'signal' | 'skip'>,
): Promise<{
  readonly samples: readonly Sample[];
  readonly unreadable: readonly Unreadable[];
  readonly excluded: number;
  readonly repeated: number;
}> {
  const { samples, unreadable } = await openImages([source], { signal, skip });
  if (samples.length === 0)
    throw new PupilError('bad-data', `${source}: no images to label; give a folder, tar or manifest of images`);
  const known = await hashesOf({ exclude, signal });
  const others = samples.filter(({ hash }) => !known.has(hash));
  if (others.length === 0)
    throw new PupilError('bad-data', `${source}: every image there is in ${list(exclude)} too; give others`, {
      option: 'exclude',
    });
  const once = distinct(others);
  return {
    samples: once,
    unreadable,
    excluded: samples.length - others.length,
    repeated: others.length - once.length,
  };
}

/** How images are opened: `openImages`, or what knows them already. */
type OpenPlaces = (
  places: readonly string[],
  options: { readonly signal?: AbortSignal | undefined },
) => Promise<Dataset>;

/** The contents of the images that are left out. Throws `bad-data` where there are none. */
export async function hashesOf(
  { exclude = [], signal }: Pick<PseudoLabelOptions, 'exclude' | 'signal'>,
  open: OpenPlaces = openImages,
): Promise<ReadonlySet<string>> {
  const known = new Set<string>();
  for (const path of exclude) {
    const others = (await open([path], { signal })).samples;
    if (others.length === 0) throw new PupilError('bad-data', `${path}: no images there`, { option: 'exclude' });
    for (const { hash } of others) known.add(hash);
  }
  return known;
}

/** Images of the kind that is meant, where they were given. */
export const likeImages = async (
  { like, signal }: Pick<PseudoLabelOptions, 'like' | 'signal'>,
  open: OpenPlaces = openImages,
): Promise<readonly Sample[] | undefined> => like && (await open(like, { signal })).samples;

/**
 * The teacher's model as it was trained, with its own classes. Says what is downloaded before it
 * is.
 */
export function chooseTeacher(options: PseudoLabelOptions): AsyncGenerator<RunEvent, Model, undefined> {
  const { model, signal } = options;
  if (model === undefined)
    throw new PupilError(
      'usage',
      'pseudo-label needs a `model` that labels: a run folder, an ONNX file or hf:owner/repo[/file]',
      { option: 'model' },
    );
  if (isBuiltIn(model))
    throw new PupilError(
      'usage',
      `\`model: ${model}\`: a built-in network has no trained weights and cannot label; give a run folder, ` +
        'an ONNX file or hf:owner/repo',
      { option: 'model' },
    );
  return relaying(async (emit) =>
    resolveModel(model, {
      ...foreignOf(options),
      warn: (message) => emit({ type: 'warning', message }),
      hub: await hubEvents(emit, signal),
    }),
  );
}
