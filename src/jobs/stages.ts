/**
 * Trainings that build on one another over the same labels: what self-training and the ladder have
 * in common.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../artifact/files.js';
import { writePseudoLabels } from '../artifact/pseudo-labels.js';
import { assertFree, createRun, openRun, type Run } from '../artifact/run.js';
import { checkDataset } from '../data/check.js';
import { withSamples } from '../data/dataset.js';
import { createPool } from '../data/pool.js';
import {
  describePseudoLabels,
  selectPseudoLabels,
  type PseudoLabelDescription,
  type SelectOptions,
} from '../data/pseudo-labels.js';
import type { Dataset, Sample } from '../data/sample.js';
import { keepLabels, selectionSplit } from '../data/split.js';
import { decodeSample } from '../evaluate/evaluate.js';
import { meanInterval } from '../evaluate/metrics.js';
import { assertAccepted, leastForOutliers, pseudoLabelWarnings, reportOutliers } from '../evaluate/pseudo-labels.js';
import { resolveModel } from '../models/index.js';
import { PupilError } from '../errors.js';
import { writeReport } from '../report/report.js';
import { version } from '../version.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { readSelection } from '../runs/finish.js';
import { openImages } from '../runs/images.js';
import { labelImages } from './label/images.js';
import { openLabeller, type OpenLabeller } from './label/label.js';
import { machineOptions, type Options } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import { refuseChanges } from '../runs/resume.js';
import { useful, type TrainOptions } from '../runs/resolve.js';
import { trainAs } from '../runs/train.js';

/** Labels to learn from with others to choose on: all of them, or those outside one fold. */
export interface Part {
  /** '' for the whole, whose model is the result; `fold 1`... */
  readonly name: string;
  /** What is added to the name of a training's folder. */
  readonly folder: string;
  readonly data: Dataset;
  readonly options: TrainOptions;
  /** Whether its selection images count when techniques are compared. */
  readonly decides: boolean;
}

export interface PartsOptions {
  readonly seed: number;
  readonly labelsPerClass?: number | undefined;
  readonly reportOn?: 'val' | 'test' | undefined;
  /** Where labels are too few to hold any out. */
  readonly folds: number;
}

/**
 * The parts that every training of a chain runs on. With `val/`, or enough labels to hold some out,
 * there is one. Few labels are split in folds, and the chain runs in each, its teachers too: a
 * student is then measured on labels that no teacher of its own has seen. The whole comes last.
 */
export function partsOf(dataset: Dataset, { seed, labelsPerClass, reportOn, folds }: PartsOptions): Part[] {
  const { dataset: clean } = checkDataset(dataset);
  const kept = labelsPerClass === undefined ? clean : withFewLabels(clean, labelsPerClass, seed);
  const { selection } = selectionSplit(kept, { seed, reportOnVal: reportOn === 'val', folds });
  // Folds are the chain's: a training of the whole has none of its own.
  const report: TrainOptions = { seed, folds: 0, ...(reportOn !== undefined && { reportOn }) };
  const whole: Part = { name: '', folder: '', data: kept, options: report, decides: selection.kind !== 'none' };
  if (selection.kind !== 'folds') return [whole];
  const unlabelled = kept.samples.filter(({ split }) => split === 'unlabelled');
  return [
    ...selection.folds.map((fold, i): Part => ({
      name: `fold ${i + 1} of ${selection.folds.length}`,
      folder: `fold-${i + 1}`,
      options: { seed },
      decides: true,
      data: withSamples(kept, [
        ...fold.train,
        ...fold.selection.map((sample): Sample => ({ ...sample, split: 'val' })),
        ...unlabelled,
      ]),
    })),
    { ...whole, decides: false },
  ];
}

function withFewLabels(dataset: Dataset, perClass: number, seed: number): Dataset {
  const isTraining = ({ split, label }: Sample): boolean => split === 'train' && label >= 0;
  const { labelled, unlabelled } = keepLabels(dataset.samples.filter(isTraining), perClass, seed);
  return withSamples(dataset, [...labelled, ...dataset.samples.filter((sample) => !isTraining(sample)), ...unlabelled]);
}

/** One technique trained on every part. */
export interface Stage {
  readonly name: string;
  /** The run on the whole, and those of all parts by the part's folder. */
  readonly run: string;
  readonly runs: ReadonlyMap<string, string>;
  readonly result: TrainResult;
  /** Which selection images it is right on, by path, over all parts that decide. */
  readonly right: ReadonlyMap<string, boolean>;
  /** On those images; the interval is that of a share of so many. */
  readonly selection: { readonly top1: number; readonly interval: number; readonly count: number };
  readonly seconds: number;
}

/**
 * Trains a stage below `folder`, part after part, each with the options that `optionsOf` makes for
 * it. What is finished is not trained again, what was interrupted goes on.
 */
export async function* runStage(
  name: string,
  folder: string,
  parts: readonly Part[],
  shared: TrainOptions,
  optionsOf: (part: Part) => AsyncGenerator<RunEvent, TrainOptions, undefined>,
): AsyncGenerator<RunEvent, Stage, undefined> {
  const runs = new Map<string, string>(),
    right = new Map<string, boolean>();
  let seconds = 0,
    result: TrainResult | undefined;
  const told = new Set<string>();
  for (const part of parts) {
    const run = part.folder === '' ? folder : `${folder}-${part.folder}`;
    const title = part.name === '' ? name : `${name}, ${part.name}`;
    if (!existsSync(join(run, 'result.json'))) {
      const events = existsSync(join(run, 'run.json'))
        ? trainAs('train', part.data, { ...machineOptions(trainingOptions, shared), resume: run })
        : trainAs(
            'train',
            part.data,
            useful({
              ...shared,
              ...part.options,
              ...(yield* optionsOf(part)),
              ...(part.name !== '' && { preview: false }),
              ...(runs.size > 0 && !part.decides && { calibrateOn: [...runs.values()] }),
              out: run,
            }),
          );
      for await (const event of events) {
        if (event.type === 'plan' || event.type === 'note') continue;
        if (event.type === 'warning') {
          if (told.has(event.message)) continue;
          told.add(event.message);
        }
        // Folds have phases of their own; what runs here is named by the stage and the part.
        yield event.type === 'phase'
          ? {
              type: 'phase',
              name: event.name === 'training' || event.name === 'fine-tuning' ? title : `${title}: ${event.name}`,
            }
          : event;
      }
    }
    runs.set(part.folder, run);
    result = await readJson<TrainResult>(join(run, 'result.json'));
    seconds += result.seconds;
    if (!part.decides) continue;
    for (const image of (await readSelection(run)).images) right.set(image.path, image.right);
  }
  const count = right.size,
    top1 = [...right.values()].filter(Boolean).length / Math.max(count, 1);
  return {
    name,
    run: folder,
    runs,
    result: result!,
    right,
    seconds,
    selection: { top1, count, interval: 1.96 * Math.sqrt((top1 * (1 - top1)) / Math.max(count, 1)) },
  };
}

/**
 * What went wrong with the images or the training of a stage, though not with the program: the
 * stages before it stand. Anything else (a wrong option, an interruption, a fault) is thrown on.
 */
export function failureOf(error: unknown): string {
  if (error instanceof PupilError && (error.code === 'bad-data' || error.code === 'diverged')) return error.message;
  throw error;
}

const readJson = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T;

/** The run folder of a chain, whatever it trains. */
export interface Chain<Settings> {
  readonly settings: Settings;
  readonly dataset: Dataset;
  readonly parts: readonly Part[];
  /** The last part: all labels. */
  readonly whole: Part;
  /** The run, made when it is asked for first. */
  open(): Promise<Run>;
  /** The files of the stage that is kept become those of the run; then a report is drawn. */
  finish(stage: Stage): Promise<void>;
}

export interface ChainOptions extends Pick<
  TrainOptions,
  'unlabelled' | 'reportOn' | 'seed' | 'labelsPerClass' | 'folds'
> {
  readonly data?: string | undefined;
}

interface ChainConfig<Settings> {
  readonly command: string;
  readonly settings: Settings;
  readonly classes: readonly string[];
  readonly dataHash: string;
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * Opens the data of a chain and, with `resume`, its run. `settle` fills in what a new run was not
 * told. Throws `usage` where there is no data or the run is another command's, `bad-data` when the
 * images changed since it began.
 */
export async function openChain<Settings extends ChainOptions>(
  command: string,
  table: Options,
  data: string | Dataset | undefined,
  options: Pick<TrainOptions, 'resume' | 'out'>,
  defaultFolds: number,
  settle: (data: string | undefined) => Settings,
): Promise<Chain<Settings>> {
  const resumed = options.resume === undefined ? undefined : await openRun(options.resume);
  const saved = resumed?.config as ChainConfig<Settings> | undefined;
  if (saved && saved.command !== command)
    throw new PupilError('usage', `--resume ${options.resume!}: it is no run of pupil ${command}`);
  if (resumed) await refuseChanges(table, resumed, data, options);
  const source = data ?? saved?.settings.data;
  if (source === undefined)
    throw new PupilError('usage', 'no data: give a folder with one subfolder per class, or --resume RUN');
  if (!resumed && options.out !== undefined) await assertFree(options.out);
  const settings = saved?.settings ?? settle(typeof source === 'string' ? source : undefined);
  const { unlabelled = [], reportOn, seed = 0, labelsPerClass, folds = defaultFolds } = settings;
  const dataset = await openImages(source, { unlabelled, reportOn });
  if (saved && saved.dataHash !== dataset.hash) {
    throw new PupilError(
      'bad-data',
      `--resume ${options.resume!}: the images in ${dataset.path} changed since the run began; restore them, or start a new one`,
    );
  }
  const parts = partsOf(dataset, { seed, labelsPerClass, reportOn, folds });
  const whole = parts.at(-1)!;
  const config: ChainConfig<Settings> = {
    command,
    settings,
    classes: dataset.classes,
    dataHash: dataset.hash,
    versions: { pupil: version, node: process.version },
  };
  let run = resumed;
  const open = async (): Promise<Run> => (run ??= await createRun(options.out, command, { ...config }));
  return {
    settings,
    dataset,
    parts,
    whole,
    open,
    async finish(stage) {
      const into = await open();
      for (const name of ['model.onnx', 'evaluation.json', 'metrics.jsonl', 'preview.png']) {
        if (existsSync(join(stage.run, name))) await cp(join(stage.run, name), into.file(name));
      }
      const sources = new Map(whole.data.samples.map((sample) => [sample.path, sample]));
      await writeReport(into.path, {
        readImage: async (path) => {
          const sample = sources.get(path);
          return sample && decodeSample(sample).catch(() => undefined);
        },
      });
    },
  };
}

/** Whether there are held-out images to choose on. */
export const canChoose = (parts: readonly Part[]): boolean => parts.some(({ decides }) => decides);

/** How many images there are to learn from. */
export function countsOf({ data: { samples } }: Part): { readonly labelled: number; readonly unlabelled: number } {
  return {
    labelled: samples.filter(({ split, label }) => split === 'train' && label >= 0).length,
    unlabelled: samples.filter(({ split }) => split === 'unlabelled').length,
  };
}

/**
 * What a stage gave, as rungs and rounds state it: on the images that decide, and on those for the
 * report only.
 */
export function accuraciesOf(
  { selection, result }: Stage,
  reportOn: TrainOptions['reportOn'],
): { readonly selection?: Stage['selection']; readonly test?: { readonly top1: number; readonly count: number } } {
  const test = result.test ?? (reportOn === 'val' ? result.val : undefined);
  return { ...(selection.count > 0 && { selection }), ...(test && { test: { top1: test.top1, count: test.count } }) };
}

/** A difference of shares in points, with its sign. */
export const points = (share: number): string => `${share >= 0 ? '+' : ''}${(100 * share).toFixed(1)}`;

/**
 * How much more often `after` is right than `before` on the same images: the mean difference with
 * its 95% interval.
 */
export function pairedGain(
  before: Stage['right'],
  after: Stage['right'],
): { readonly mean: number; readonly interval: number } {
  const differences = [...after].flatMap(([path, right]) => {
    const was = before.get(path);
    return was === undefined ? [] : [Number(right) - Number(was)];
  });
  const { mean, interval } = meanInterval(differences);
  return { mean, interval: Number.isNaN(interval) ? 1 : interval };
}

/** What became of the unlabelled images of a part. */
export interface Labelled extends PseudoLabelDescription {
  readonly file: string;
  readonly outOfDistribution?: { readonly count: number; readonly paths: readonly string[] };
}

/**
 * Labels the unlabelled images of a part with the model of a finished run, without noise, and
 * writes `FILE.parquet` and `FILE.json` (its statistics). Images unlike all labelled ones are not
 * accepted. What is there already is not made again.
 */
export async function* labelPart(
  part: Part,
  teacher: string,
  file: string,
  choice: SelectOptions & { readonly soft: boolean },
  options: TrainOptions,
): AsyncGenerator<RunEvent, Labelled, undefined> {
  const statistics = `${file}.json`;
  if (existsSync(statistics)) return readJson<Labelled>(statistics);
  await mkdir(join(file, '..'), { recursive: true });
  const { soft, ...selecting } = choice;
  const { samples } = part.data;
  const unlabelled = samples.filter(({ split }) => split === 'unlabelled'),
    labelled = samples.filter(({ split, label }) => split === 'train' && label >= 0);
  const model = await resolveModel(teacher);
  const pool = createPool({ workers: options.workers });
  let running: OpenLabeller | undefined;
  try {
    running = yield* openLabeller(
      model,
      options,
      pool,
      model.head && labelled.length >= leastForOutliers ? labelled : undefined,
    );
    yield { type: 'progress', what: 'labelling', unit: 'images', done: 0, total: unlabelled.length };
    const { labels, unlike } = await labelImages(running, unlabelled, {
      pool,
      ...(options.signal && { signal: options.signal }),
    });
    const chosen = { ...selectPseudoLabels(labels, { ...selecting, rejected: new Set(unlike) }), soft };
    assertAccepted(chosen);
    const counts = part.data.classes.map((_, c) => labelled.filter(({ label }) => label === c).length);
    // Folds would say the same again and again.
    if (part.name === '') {
      for (const message of pseudoLabelWarnings(chosen, counts)) yield { type: 'warning', message };
      const outliers = unlike && reportOutliers(unlike, chosen.rows.length, true);
      if (outliers !== undefined) yield { type: 'warning', message: outliers };
    }
    await writePseudoLabels(`${file}.parquet`, chosen);
    const truths = new Map(unlabelled.map(({ hash, truth }) => [hash, truth]));
    const known = unlabelled.some(({ truth }) => truth !== undefined);
    const described: Labelled = {
      ...describePseudoLabels(chosen, known ? (_, hash) => truths.get(hash) : undefined),
      file: `${file}.parquet`,
      ...(unlike && unlike.length > 0 && { outOfDistribution: { count: unlike.length, paths: unlike.slice(0, 12) } }),
    };
    await writeFileAtomically(statistics, JSON.stringify(described) + '\n');
    return described;
  } finally {
    await running?.close();
    await pool.close();
  }
}
