/**
 * The ladder: the best model from few labels in the time given. From the cheapest technique to the
 * dearest, each is fitted into the time that is left and kept unless it is worse than those below on
 * the same held-out labels. A plan before it starts, a table at the end of what each brought.
 */
import type { LadderFile } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import type { Dataset } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import type { Job } from '../../job.js';
import { isBuiltIn } from '../../models/index.js';
import { learnOptions, rungNames, type LearnOptions, type LearnRequest, type RungName } from '../../options/jobs.js';
import { isFrozen, machineOptions, omit, savedOptions } from '../../options/option.js';
import { defaultModels, ladder } from '../../options/recipes.js';
import { trainingOptions } from '../../options/training.js';
import { chooseModel } from '../../runs/choose-model.js';
import { chooseBackbones, type Backbone } from '../../runs/consult.js';
import type { Model } from '../../models/model.js';
import { openOnce, type OpenModel } from '../../runs/open-once.js';
import { unwarned } from '../../runs/relay.js';
import { refuseUseless, resolveSettings, useful, type TrainOptions } from '../../runs/resolve.js';
import { planOfRanks } from '../../runs/ranks.js';
import { openChain, openChainImages, type ChainInputs } from '../chain.js';
import { minutesOf } from '../clock.js';
import { inCrew, refuseUndivided } from '../crew.js';
import { job, type Shell } from '../job.js';
import { countsOf, type Counts } from '../parts.js';
import { planOfSharing, tasksIn, type TrainingTasks } from '../shared-stages.js';
import { climb, type LearnResult } from './climb.js';
import type { LearnEvent } from './climber.js';
import { describePlan, noteOnStudent, noteOnTeachers, planLadder } from './plan.js';
import { asRun } from './rounds.js';
import {
  measuredInClosedForm,
  modeFor,
  refuseUnread,
  rungs,
  sharedOptions,
  startsFromScratch,
  trainingOf,
  triedRungs,
  type Asked,
  type RungPlan,
  type Situation,
} from './rungs.js';

export type { LearnOptions, RungName } from '../../options/jobs.js';
export type { LearnResult } from './climb.js';
export type { LearnEvent } from './climber.js';

type Settled = LearnOptions & {
  readonly data: string | undefined;
  readonly model: string;
  readonly mode: Asked['mode'];
};

const command = { command: 'learn', table: learnOptions, together: inCrew };

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
export const learn = (data: string | Dataset | undefined, told: LearnRequest = {}): Job<LearnEvent, LearnResult> =>
  learnWith(data, told);

/** `learn`; `shares`: it offers trainings on folds to other processes (`jobs/shards/help.ts`). */
export function learnWith(
  data: string | Dataset | undefined,
  told: LearnRequest,
  { shares = false } = {},
): Job<LearnEvent, LearnResult> {
  return job<Settled, LearnOptions, LearnEvent, LearnResult>(command, data, told, async function* (shell) {
    const { options } = shell;
    const lead = shares ? leadOnce(shell) : undefined;
    if (shell.resumed) await lead?.(shell.resumed.path);
    const settings = shell.resumed?.config.settings ?? settle(shell.path, options);
    refuseUndivided(shell, trainingsIn(settings));
    const shared = { ...sharedOptions(settings), ...machineOptions(trainingOptions, options) };
    const asked = askedBy(settings);
    const foldsBelow = (counts: Counts): number | undefined =>
      measuredInClosedForm({ ...asked, ...counts }) ? Infinity : undefined;
    const open = openOnce([settings.model, settings.student, ...(settings.teachers ?? [])]);
    const { model, mode } = settings;
    const images = await openChainImages(shell, settings);
    const network = yield* chooseModel(images.dataset, { ...shared, model, mode, signal: shell.signal }, open);
    const others = yield* openNamed(images.dataset, possible(asked), shared, asked, { open, signal: shell.signal });
    const before = shell.resumed && (await runFiles.ladder.read(shell.resumed.path));
    const budget = budgetOf(shell.options, settings, before);
    const learning = [network, ...(others.smaller ? [others.smaller] : [])];
    const opened = await openChain(shell, {
      settings: before === undefined ? settings : { ...settings, minutes: minutesOf(budget, settings.minutes) },
      images,
      inputs: inputsOf(learning, others.backbones, trainingsIn(settings)),
      shared,
      told: options,
      open,
      folds: ladder.folds,
      foldsBelow,
      oneFold: (counts) => startsFromScratch({ ...asked, ...counts }),
      lead,
      refuse: (counts) => refuseUnread(omit(settings, ['unlabelled']), usable({ ...asked, ...counts })),
    });
    const { parts, whole, run, atOnce } = opened;
    const given: Situation = { ...asked, ...countsOf(whole.data) };
    const smaller = usable(given).includes('distillation') ? others.smaller : undefined;
    const plan = yield* planLadder(run, {
      situation: given,
      parts,
      model: network,
      smaller,
      backbones: others.backbones,
      shared,
      ranks: shell.ranks.size,
      atOnce,
      budget,
      elapsed: shell.elapsed,
    });
    const note = noteOnStudent(given, { model: network, smaller });
    const sharing = lead ? planOfSharing(parts) : [];
    const lines = [
      ...describePlan(given, parts, plan, budget),
      ...noteOnTeachers(others.backbones),
      ...planOfRanks(shell.ranks),
      ...sharing,
      ...note,
    ];
    yield { type: 'plan', run: run.path, lines };
    const chain = plan.unlabelled === undefined ? opened : opened.withUnlabelled(plan.unlabelled);
    const situation = { ...given, ...countsOf(chain.whole.data) };
    const { rungs: planned, closingSeconds: closing = 0 } = plan,
      { elapsed } = shell;
    return yield* climb({ chain, situation, planned, budget, closing, elapsed, before, network, smaller });
  });
}

/** Offers trainings in a run folder until the job ends. */
function leadOnce({ closing }: Pick<Shell<unknown>, 'closing'>): (run: string) => Promise<TrainingTasks> {
  let led: Promise<TrainingTasks> | undefined;
  const begin = async (run: string): Promise<TrainingTasks> => {
    const tasks = tasksIn(run),
      claim = await tasks.lead();
    closing(async () => {
      await claim.release();
      await tasks.leave();
    });
    return tasks;
  };
  return (run) => (led ??= begin(run));
}

/** Seconds for all sessions: minutes that are given to a resumed run come on top of those it has used. */
function budgetOf(options: LearnOptions, { minutes }: Settled, before: LadderFile | undefined): number {
  if (options.minutes !== undefined) return 60 * options.minutes + (before?.seconds ?? 0);
  return minutes === undefined ? Infinity : 60 * Math.max(minutes, before?.budgetMinutes ?? 0);
}

/** How the networks see images: where nothing but heads is trained, all only look. */
function inputsOf(
  networks: readonly Model[],
  backbones: readonly Backbone[],
  trainings: readonly TrainOptions[],
): ChainInputs {
  const learning = networks.map(({ preprocessing }) => preprocessing),
    looking = backbones.map(({ model }) => model.preprocessing);
  return trainings.every(({ mode }) => isFrozen(mode))
    ? { learning: [], looking: [...learning, ...looking] }
    : { learning, looking };
}

/**
 * What later rungs take is opened before the first one: nothing is trained for the sake of a wrong name. Returns the
 * smaller network that learns last, if one does, and those whose features a consensus looks at.
 */
async function* openNamed(
  dataset: Dataset,
  tried: readonly RungName[],
  shared: TrainOptions,
  { options }: Asked,
  { open, signal }: { readonly open: OpenModel; readonly signal: AbortSignal },
): AsyncGenerator<LearnEvent, { smaller: Model | undefined; backbones: readonly Backbone[] }, undefined> {
  const { student, teachers } = options;
  let smaller: Model | undefined;
  if (student !== undefined && tried.includes('distillation')) {
    const isOurs = isBuiltIn(student);
    const asOwn = isOurs || (await runFiles.config.exists(student)) ? asRun : {};
    const mode = isOurs ? 'scratch' : 'finetune';
    smaller = yield* unwarned(chooseModel(dataset, { ...shared, ...asOwn, model: student, mode, signal }, open));
  }
  const told = { classes: dataset.classes, signal, open };
  const backbones = teachers && (yield* unwarned(chooseBackbones({ ...options, teachers }, told)));
  return { smaller, backbones: backbones ?? [] };
}

/** What may be tried, whatever images there are. */
const possible = (asked: Asked): RungName[] =>
  (asked.options.rungs ?? rungNames).filter(
    (name) => rungs[name].without?.({ ...asked, labelled: Infinity, unlabelled: Infinity }) === undefined,
  );

/** What is tried and can be. */
const usable = (situation: Situation): RungName[] =>
  triedRungs(situation).filter((name) => rungs[name].without?.(situation) === undefined);

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
  const trainings = trainingsIn(settings);
  refuseUseless(sharedOptions(settings), trainings);
  for (const training of trainings) resolveSettings(data, useful(training));
  return settings;
}

/**
 * What may be tried, that of layers first: what is refused is refused for the reason of such a training, if there is
 * one.
 */
function trainingsIn(settings: Settled): TrainOptions[] {
  const asked = askedBy(settings),
    shared = sharedOptions(settings);
  return possible(asked)
    .map((name): RungPlan => rungs[name])
    .map((row) => trainingOf(row, asked, shared))
    .sort((one, other) => Number(isFrozen(one.mode)) - Number(isFrozen(other.mode)));
}

const askedBy = (settings: Settled): Asked => ({
  options: settings,
  model: settings.model,
  mode: settings.mode,
  epochs: settings.studentEpochs ?? ladder.studentEpochs,
});
