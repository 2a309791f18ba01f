/**
 * The ladder: from the cheapest technique to the dearest, each rung kept only where it is right
 * more often than the best below it, on the same held-out images (in every fold where labels are
 * few). A time budget, a plan before it starts, and a table at the end of what each brought.
 */
import { basename, join, relative } from 'node:path';
import type { PlannedRung, PseudoLabelRound, Rung, RunResult } from '../artifact/formats.js';
import type { Run } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import type { Job } from '../job.js';
import { parametersOf } from '../models/index.js';
import type { Model } from '../models/model.js';
import { learnOptions, rungNames, type LearnOptions, type LearnRequest, type RungName } from '../options/jobs.js';
import { isFrozen, machineOptions, savedOptions } from '../options/option.js';
import { defaultModels, ladder, pseudoLabels } from '../options/recipes.js';
import { trainingOptions } from '../options/training.js';
import { gainText } from '../report/intervals.js';
import { sizeOf } from '../tensor.js';
import { chooseModel } from '../runs/choose-model.js';
import { secondsAnImage } from '../runs/estimate.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { refuseUseless, resolveSettings, useful, type TrainOptions } from '../runs/resolve.js';
import { techniqueOf } from '../techniques/index.js';
import { costOf } from '../techniques/technique.js';
import { openChain, type Chain, type Labels } from './chain.js';
import { createClock, until } from './clock.js';
import { job } from './job.js';
import { canChoose, countsOf, type Part } from './parts.js';
import {
  modeFor,
  refuseUnread,
  rungs,
  sharedOptions,
  trainingOf,
  type Asked,
  type RungPlan,
  type Situation,
} from './rungs.js';
import { accuraciesOf, failureOf, omitRun, pairedGain, type Stage } from './stages.js';

export type { LearnOptions, RungName } from '../options/jobs.js';

/** What `learn --json` prints. */
export interface LearnResult extends TrainResult {
  readonly rungs: readonly Rung[];
}

export type LearnEvent = RunEvent | { readonly type: 'rung'; readonly rung: Rung };

/** Which labels of a teacher are learned. */
const accepted = { 'labels': pseudoLabels.hard, 'soft labels': pseudoLabels.soft };

type Settled = LearnOptions & {
  readonly data: string | undefined;
  readonly model: string;
  readonly mode: Asked['mode'];
};

const command = { command: 'learn', table: learnOptions };

/**
 * Climbs the ladder on a data set. All is in the run folder: the rungs' own runs, `ladder.json`, the
 * model of the rung that was kept, and a report; `resume` goes on at any moment. Throws `usage`,
 * `bad-data`, `interrupted`...
 *
 * @example
 * for await (const event of learn('photos', { model: 'backbone.onnx', unlabelled: ['more'], minutes: 30 })) {
 *   if (event.type === 'rung') console.log(event.rung.name, event.rung.selection?.top1, event.rung.kept);
 * }
 */
export function learn(data: string | Dataset | undefined, told: LearnRequest = {}): Job<LearnEvent, LearnResult> {
  return job<Settled, LearnOptions, LearnEvent, LearnResult>(command, data, told, async function* (shell) {
    const { options } = shell;
    const settings = shell.resumed?.config.settings ?? settle(shell.path, options);
    const shared = { ...sharedOptions(settings), ...machineOptions(trainingOptions, options) };
    const chain = await openChain(shell, { settings, shared, told: options, folds: ladder.folds });
    const { parts, whole, dataset, run } = chain;
    if (!canChoose(parts)) {
      throw new PupilError(
        'usage',
        'no held-out images to compare techniques on; set `folds` to 2 or more, or add a val/ folder',
        { option: 'folds' },
      );
    }
    const situation: Situation = { ...askedBy(settings), ...countsOf(whole) };
    const { model, mode } = settings;
    const network = yield* chooseModel(dataset, { ...shared, model, mode, signal: shell.signal });
    const planned = yield* plan(run, situation, parts, network, shared);
    const budget = settings.minutes === undefined ? Infinity : settings.minutes * 60;
    yield { type: 'plan', run: run.path, lines: describePlan(situation, parts, planned, budget) };
    return yield* climb({ chain, situation, planned, budget, network, elapsed: shell.elapsed });
  });
}

interface Climb {
  readonly chain: Chain;
  readonly situation: Situation;
  readonly planned: readonly PlannedRung[];
  /** Seconds: all that may be used, and used since this session began. */
  readonly budget: number;
  elapsed(): number;
  /** What most rungs train. */
  readonly network: Model;
}

/** A rung that was trained. */
interface Trained {
  readonly name: string;
  readonly model: string;
  readonly stage: Stage;
}

/** Tries rung after rung; keeps what is better than the best below. */
async function* climb(work: Climb): AsyncGenerator<LearnEvent, Omit<LearnResult, keyof RunResult>, undefined> {
  const { chain, situation, planned, budget } = work;
  const { run } = chain;
  const tried: Rung[] = [],
    labelled: PseudoLabelRound[] = [];
  const clock = createClock(budget, work.elapsed);
  let best: Trained | undefined;
  const save = async (): Promise<void> => {
    const budgetMinutes = budget < Infinity ? situation.options.minutes : undefined;
    await runFiles.ladder.write(run.path, { rungs: tried, kept: best?.name, budgetMinutes, seconds: clock.used() });
    await runFiles.pseudoLabels.write(run.path, { rounds: labelled });
  };
  for (const { name, expectedSeconds, skip } of planned) {
    const row = rungs[name as RungName];
    const told = { name, what: row.what, expectedSeconds: Math.round(expectedSeconds) };
    let reason = skip ?? reasonToSkip(row, best, clock.expected(expectedSeconds), clock.left());
    if (reason === undefined) {
      try {
        const stop = (): boolean => best !== undefined && clock.isOver();
        const began = work.elapsed();
        const done = yield* until(stop, trainRung(chain, situation, name, row, best));
        if (done === undefined)
          reason = 'stopped, the time was up; it continues where you `resume` with more `minutes`';
        else {
          const { trained, labels } = done;
          const { seconds } = trained.stage;
          clock.done({ expected: expectedSeconds, took: seconds, now: work.elapsed() - began });
          if (labels) labelled.push({ ...labels, round: labelled.length + 1, teacher: best!.name });
          const judged = judge(trained, best, row.smaller === true);
          tried.push({ ...told, ...described(work, trained), ...judged });
          if (judged.kept) best = trained;
        }
      } catch (error) {
        if (best === undefined) throw error;
        reason = failureOf(error);
      }
    }
    if (reason !== undefined) tried.push({ ...told, kept: false, skipped: true, reason });
    await save();
    yield { type: 'rung', rung: tried.at(-1)! };
  }
  if (!best)
    throw new PupilError(
      'usage',
      'no technique could be tried in the time given; raise `minutes`, or choose other `rungs`',
      { option: 'minutes' },
    );
  const { result, selection } = best.stage;
  await chain.keep(best.stage);
  return {
    ...omitRun(result),
    model: runFiles.model.in(run.path),
    best: { epoch: result.best.epoch, top1: selection.top1 },
    rungs: tried,
  };
}

/** What a rung gave, and at what cost. */
function described(
  { chain: { run, dataset }, situation, network }: Climb,
  { model, stage }: Trained,
): Pick<Rung, 'model' | 'parameters' | 'selection' | 'test' | 'seconds' | 'run'> {
  const counted = parametersOf(model, dataset.classes.length);
  return {
    model: basename(model),
    parameters: counted ?? (model === situation.model ? countParameters(network) : undefined),
    ...accuraciesOf(stage, situation.options.reportOn),
    seconds: stage.seconds,
    run: relative(run.path, stage.run),
  };
}

/** Why a rung is not tried after those below it; undefined: it is. */
function reasonToSkip(row: RungPlan, best: Trained | undefined, seconds: number, left: number): string | undefined {
  if (row.teacher && best === undefined) return 'there is no teacher yet';
  if (best === undefined || seconds <= left) return undefined;
  return `would take about ${Math.round(seconds)} s, and ${Math.max(0, Math.round(left))} s are left`;
}

async function* trainRung(
  chain: Chain,
  situation: Situation,
  name: string,
  row: RungPlan,
  best: Trained | undefined,
): AsyncGenerator<RunEvent, { trained: Trained; labels: Labels['described'] | undefined }, undefined> {
  const folder = name.replaceAll(' ', '-');
  const own: TrainOptions = { model: situation.model, mode: situation.mode, ...row.options(situation) };
  const labels =
    row.teacher === undefined || row.teacher === 'distils'
      ? undefined
      : yield* chain.label(best!.stage, folder, accepted[row.teacher]);
  const stage = yield* chain.stage(name, join('rungs', folder), (part) => ({
    ...own,
    teachers: row.teacher === 'distils' ? [best!.stage.runs.get(part.folder)!] : undefined,
    pseudoLabels: labels?.files.get(part),
  }));
  return { trained: { name, model: own.model!, stage }, labels: labels?.described };
}

/** Whether a rung is kept, and why: more often right than the best below on the same images. */
function judge(
  { stage }: Trained,
  below: Trained | undefined,
  isSmaller: boolean,
): Pick<Rung, 'gain' | 'kept' | 'reason'> {
  if (below === undefined) return { gain: undefined, kept: true, reason: 'the first rung' };
  const gain = pairedGain(below.stage.right, stage.right);
  const by = `${gainText(gain)} points against ${below.name}`;
  if (isSmaller) {
    const kept = gain.mean > -gain.interval;
    return {
      gain,
      kept,
      reason: `${kept ? 'as good within the interval, and smaller' : 'loses more than its size is worth'}: ${by}`,
    };
  }
  const kept = gain.mean > 0;
  return { gain, kept, reason: kept ? by : `${by}: not better on held-out images` };
}

/**
 * The options of a run with what it left open. Throws `usage` for what cannot be, and for options
 * that no rung would read.
 */
function settle(data: string | undefined, options: LearnOptions): Settled {
  const rest = savedOptions(learnOptions, options);
  if (isFrozen(options.mode)) {
    throw new PupilError(
      'usage',
      `\`mode: ${options.mode}\` is among the techniques that are tried on a trained model; leave it out, or choose ` +
        'with `rungs` what is tried',
      { option: 'mode' },
    );
  }
  const model = options.model ?? (options.mode === 'scratch' ? defaultModels.scratch : defaultModels.pretrained);
  const settings: Settled = { ...rest, data, model, mode: modeFor(model, options.mode) };
  refuseUnread(rest);
  const asked = askedBy(settings);
  const tried = (settings.rungs ?? rungNames)
    .map((name): RungPlan => rungs[name])
    .filter(({ without }) => without?.({ ...asked, labelled: Infinity, unlabelled: Infinity }) === undefined);
  const shared = sharedOptions(settings);
  const trainings = tried.map((row) => trainingOf(row, asked, shared));
  refuseUseless(shared, trainings);
  for (const training of trainings) resolveSettings(data, useful(training));
  return settings;
}

const askedBy = (settings: Settled): Asked => ({
  options: settings,
  model: settings.model,
  mode: settings.mode,
  epochs: settings.studentEpochs ?? ladder.studentEpochs,
});

const countParameters = ({ parameters, statistics }: Model): number =>
  [...parameters].reduce((sum, [name, { dims }]) => sum + (statistics.has(name) ? 0 : sizeOf(dims)), 0);

/**
 * What will run and how long it should take, from a few measured steps; kept in the run, so that a
 * resumed one has the same plan.
 */
async function* plan(
  run: Run,
  situation: Situation,
  parts: readonly Part[],
  model: Model,
  shared: TrainOptions,
): AsyncGenerator<RunEvent, readonly PlannedRung[], undefined> {
  const before = await runFiles.plan.read(run.path);
  if (before) return before;
  yield { type: 'phase', name: 'measuring a step' };
  const { mode, options } = situation;
  const measured = await secondsAnImage(
    model,
    resolveSettings(undefined, useful({ ...shared, mode })),
    parts.at(-1)!.data.classes.length,
  );
  const planned = (options.rungs ?? rungNames).map((name): PlannedRung => {
    const row = rungs[name],
      skip = row.without?.(situation);
    if (skip !== undefined) return { name, expectedSeconds: 0, skip };
    return {
      name,
      expectedSeconds: parts.length * (measured.start + measured.image * imagesOf(row, situation, shared)),
    };
  });
  await runFiles.plan.write(run.path, planned);
  return planned;
}

/**
 * Images that go through the network in a rung's training, on one part; one that is only looked at
 * costs a third of a training step.
 */
function imagesOf(row: RungPlan, situation: Situation, shared: TrainOptions): number {
  const { labelled, unlabelled } = situation;
  const training = trainingOf(row, situation, shared);
  if (training.mode === 'probe') return labelled / 3;
  if (training.mode === 'consensus') return (labelled + unlabelled) / 3;
  const settings = resolveSettings(undefined, useful(training));
  const batchSize = settings.batchSize === 'auto' ? 32 : settings.batchSize;
  const epoch = costOf(techniqueOf(settings), { labelled, unlabelled }, { ...settings, batchSize });
  const labelling = row.teacher === 'labels' || row.teacher === 'soft labels' ? unlabelled / 3 : 0;
  return labelling + settings.epochs * epoch;
}

function describePlan(
  { labelled, unlabelled, model, mode }: Situation,
  parts: readonly Part[],
  planned: readonly PlannedRung[],
  budget: number,
): string[] {
  const { path, classes } = parts.at(-1)!.data;
  const total = planned.reduce((sum, { expectedSeconds }) => sum + expectedSeconds, 0);
  const time = (seconds: number): string =>
    seconds < 90 ? `${Math.round(seconds)} s` : `${(seconds / 60).toFixed(0)} min`;
  const validation =
    parts.length > 1
      ? `${parts.length - 1}-fold cross-validation over the labels, then all labels: each technique trains ` +
        `${parts.length} times`
      : 'the same held-out images for every technique';
  const lines = [
    `data       ${path}: ${labelled} labelled images of ${classes.length} classes, ${unlabelled} without labels`,
    `model      ${model}, ${mode}`,
    `validation ${validation}`,
    ...planned.map(
      ({ name, expectedSeconds, skip }, i) =>
        `${i === 0 ? 'techniques ' : '           '}${name}: ` +
        (skip === undefined ? `about ${time(expectedSeconds)}` : `skipped, ${skip}`),
    ),
    `time       about ${time(total)}${budget === Infinity ? '' : ` of ${time(budget)}: what does not fit is skipped`}`,
  ];
  const first = planned.find(({ skip }) => skip === undefined);
  if (first && first.expectedSeconds > budget)
    lines.push(`           ${first.name}, the first technique, takes more than that and is trained in full`);
  return lines;
}
