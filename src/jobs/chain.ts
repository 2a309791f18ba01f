/**
 * Trainings that build on one another over the same labels, in one run folder: what self-training
 * and the ladder have in common.
 */
import { dirname, join } from 'node:path';
import type { PseudoLabelRound } from '../artifact/formats.js';
import { makeFolder } from '../artifact/files.js';
import type { Run } from '../artifact/run.js';
import { groupAlike } from '../data/grouping.js';
import { wantSizes, type WantedSizes } from '../data/prepare.js';
import type { Preprocessing } from '../data/preprocessing.js';
import type { Dataset, Sample } from '../data/sample.js';
import { evaluationTarget, workingTarget } from '../data/target.js';
import { isFrozen, machineOptions } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import { threadsOfRank } from '../parallel/join.js';
import type { RunEvent } from '../runs/events.js';
import { featuresOfRun } from '../runs/features.js';
import type { CheckedData } from '../runs/images.js';
import type { OpenModel } from '../runs/open-once.js';
import type { TrainOptions } from '../runs/resolve.js';
import { poolFor } from '../runs/train.js';
import { announceChain } from './crew.js';
import type { Shell } from './job.js';
import { keepTraining } from './kept.js';
import { labelPart, type LabelChoice, type LabelPartOptions } from './label/part.js';
import {
  canChoose,
  countsOf,
  partsOf,
  pathFor,
  withUnlabelled,
  type Counts,
  type Part,
  type PartsOptions,
} from './parts.js';
import type { TrainingTasks } from './shared-stages.js';
import { atOnce, type AtOnce } from './side-by-side.js';
import { runStage, type Stage, type TimedOptions } from './stages.js';

export interface ChainSettings extends Pick<
  TrainOptions,
  'unlabelled' | 'reportOn' | 'seed' | 'labelsPerClass' | 'folds' | 'skip'
> {
  readonly data?: string | undefined;
}

export interface ChainOptions<Settings> {
  /** What every training has in common. */
  readonly shared: TrainOptions;
  /** What the chain was told now: where it runs may differ from before. */
  readonly told: TrainOptions;
  /** How its trainings open models. */
  readonly open?: OpenModel | undefined;
  /** Where labels are too few to hold any out. */
  readonly folds: number;
  /** Below how many labels they are; default 200. */
  readonly foldsBelow?: PartsOptions['foldsBelow'];
  /** Whether one fold is enough to measure on. */
  readonly oneFold?: PartsOptions['oneFold'];
  /** The images, opened. */
  readonly images: CheckedData;
  /** How the networks that take part see images. */
  readonly inputs: ChainInputs;
  /** Offers other processes trainings on its parts, once the run of that folder has begun; default: none. */
  readonly lead?: ((run: string) => Promise<TrainingTasks>) | undefined;
  /** Is told how many images there are before a run begins; throws what cannot be. */
  readonly refuse?: ((counts: Counts) => void) | undefined;
  readonly settings: Settings;
}

/** How networks see images: those that learn from them in varied views, and others that only look. */
export interface ChainInputs {
  readonly learning: readonly Preprocessing[];
  readonly looking: readonly Preprocessing[];
}

/** Options of one stage: for all parts, or for each; `together`: where all are begun now, so many at once. */
export type StageOptions = TimedOptions | ((part: Part, together?: number) => TimedOptions);

/** Labels of a teacher for each part. */
export interface Labels {
  readonly files: ReadonlyMap<Part, string>;
  readonly described: Omit<PseudoLabelRound, 'round'>;
}

export interface Chain {
  readonly dataset: Dataset;
  readonly parts: readonly Part[];
  /** The last part: all labels. */
  readonly whole: Part;
  readonly run: Run;
  /** How many of the trainings on parts run at once. */
  readonly atOnce: AtOnce;
  /** Trains on every part, in a folder below that of the run. */
  stage(name: string, folder: string, options: StageOptions): AsyncGenerator<RunEvent, Stage, undefined>;
  /**
   * Trains on the whole alone: what holds labels out itself, fold by fold, or `folds: 0` for what
   * does not.
   */
  alone(
    name: string,
    folder: string,
    options: TimedOptions,
    data?: Dataset,
  ): AsyncGenerator<RunEvent, Stage, undefined>;
  /**
   * Labels the unlabelled images of every part by a stage's model of that part, without noise. Files
   * are named by `name`.
   */
  label(teacher: Stage, name: string, choice: LabelChoice): AsyncGenerator<RunEvent, Labels, undefined>;
  /** The same with so many of the unlabelled images, drawn by the seed. */
  withUnlabelled(count: number): Chain;
  /**
   * The files of a stage become those of the run; what only the final model learns is learned; then a report is
   * drawn, which says that the job took `seconds` (default: those since it began).
   */
  keep(stage: Stage, seconds?: () => number | Promise<number>): AsyncGenerator<RunEvent, void, undefined>;
}

/**
 * A rejection costs a look at the images, unless their features are there: what is tried learns none, the model
 * that is kept does.
 */
const tried = (options: TimedOptions): TimedOptions =>
  isFrozen(options.mode) ? options : { ...options, rejection: false };

/** Opens the images of a chain. */
export const openChainImages = <Settings extends ChainSettings>(
  { openImages, signal }: Shell<Settings>,
  { unlabelled, reportOn, skip }: ChainSettings,
): Promise<CheckedData> => openImages({ unlabelled, reportOn, signal, skip });

/** The sizes at which a chain wants its images, by what they are for. */
function sizesWanted({ samples }: Dataset, { learning, looking }: ChainInputs): WantedSizes[] {
  const isLearned = ({ split }: Sample): boolean => split === 'train' || split === 'unlabelled';
  const seen = [...learning, ...looking].map(evaluationTarget);
  return [
    { samples: samples.filter((sample) => !isLearned(sample)), targets: seen },
    { samples: samples.filter(isLearned), targets: [...seen, ...learning.map(workingTarget)] },
  ];
}

/** Splits the images of a chain in parts, and begins its run. */
export async function openChain<Settings extends ChainSettings>(
  { command, begin, signal, closing, ranks, worked }: Shell<Settings>,
  { settings, images, inputs, shared, told, open, folds, foldsBelow, oneFold, lead, refuse }: ChainOptions<Settings>,
): Promise<Chain> {
  const { reportOn, seed = 0, labelsPerClass } = settings;
  const { dataset, check } = images;
  const given = { seed, labelsPerClass, reportOn, folds: settings.folds ?? folds };
  const pool = poolFor(machineOptions(trainingOptions, told));
  closing(() => pool.close());
  wantSizes(pool, sizesWanted(check.dataset, inputs));
  const kept = { seed, labelsPerClass, reportOnVal: reportOn === 'val' };
  const clean = await groupAlike(check.dataset, kept, { pool, signal });
  const allParts = partsOf(clean, { ...given, foldsBelow, oneFold });
  refuse?.(countsOf(allParts.at(-1)!.data));
  const run = await begin(command, { settings, classes: dataset.classes, dataHash: dataset.hash });
  const crew = { ranks, images: dataset };
  await announceChain(crew, settings, run.path);
  const tasks = await lead?.(run.path);
  const sharing = tasks && { tasks, run: run.path, images: dataset, signal };
  const machine = { featureCache: featuresOfRun(run), ...machineOptions(trainingOptions, told), signal };
  const common = { ...shared, ...machine };
  // Of what is no training: those see to it themselves.
  const ofRank = { threads: threadsOfRank(), ...common };
  const stages = { machine, pool, open, crew, told: new Set<string>() };
  const isAlone = sharing === undefined && ranks.size === 1,
    beside = isAlone ? atOnce(allParts.length, inputs.learning, told.threads) : { trainings: 1 };
  const over = (parts: readonly Part[]): Chain => {
    const whole = parts.at(-1)!;
    return {
      dataset,
      parts,
      whole,
      run,
      atOnce: beside,
      withUnlabelled: (count) => over(withUnlabelled(parts, count, seed)),
      stage: (name, folder, options) =>
        runStage({
          name,
          folder: run.file(folder),
          parts,
          optionsFor: (part, together) =>
            tried({
              ...common,
              ...part.options,
              ...(typeof options === 'function' ? options(part, together) : options),
            }),
          sharing,
          atOnce: beside,
          ...stages,
        }),
      alone: (name, folder, options, data = whole.data) =>
        runStage({
          name,
          folder: run.file(folder),
          parts: [{ ...whole, data, decides: options.folds !== 0 && canChoose(parts) }],
          optionsFor: () =>
            tried({
              ...common,
              ...whole.options,
              folds: parts.length > 1 ? settings.folds : whole.options.folds,
              ...options,
            }),
          ...stages,
        }),
      label: (teacher, name, choice) => labelParts({ run, parts, pool, options: ofRank }, teacher, name, choice),
      async *keep(stage, seconds = worked.seconds) {
        await tasks?.clear();
        yield* keepTraining(run, stage.run, { ...ofRank, data: whole.data, pool, seconds });
      },
    };
  };
  return over(allParts);
}

/** Labels of a teacher for each part, in files of a name. */
async function* labelParts(
  { run, parts, ...how }: Pick<Chain, 'run' | 'parts'> & Pick<LabelPartOptions, 'pool' | 'options'>,
  teacher: Stage,
  name: string,
  choice: LabelChoice,
): AsyncGenerator<RunEvent, Labels, undefined> {
  const files = new Map<Part, string>();
  let described: Labels['described'] | undefined;
  for (const part of parts) {
    const file = run.file(join('pseudo-labels', pathFor(part, name)));
    await makeFolder(dirname(file));
    described = yield* labelPart({ part, teacher: teacher.runs.get(part.folder)!, file, choice, ...how });
    files.set(part, `${file}.parquet`);
  }
  return { files, described: described! };
}
