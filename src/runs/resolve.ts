/** From the options of a training to settings: checks, refusals and defaults, all by the table. */
import type { RunConfig } from '../artifact/formats.js';
import { mixes } from '../augment/mixing.js';
import { parseAugment, type AugmentPolicy } from '../augment/policy.js';
import type { PseudoLabels } from '../data/pseudo-labels.js';
import { isLabelled, type Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { isNormalisationFolded, type Model } from '../models/model.js';
import {
  checkOptions,
  isFrozen,
  isOn,
  unaided,
  usualOf,
  type Asked,
  type Mode,
  type Option,
  type Resolved,
} from '../options/option.js';
import { backboneFactor, whyBackboneFactor } from '../options/recipes.js';
import {
  recipeDefault,
  techniqueNames,
  trainingOptions,
  type Settings,
  type TechniqueName,
  type TrainOptions,
} from '../options/training.js';
import { defaultTechnique, techniqueOptions, techniques } from '../techniques/index.js';

export type { Mode } from '../options/option.js';
export type { Settings, TrainOptions } from '../options/training.js';

type OptionName = keyof typeof trainingOptions;

/** Whether a technique reads an option, of those that only some techniques read. */
const reads = (technique: TechniqueName, name: string): boolean => {
  const { options, needs } = techniques[technique];
  return name === 'unlabelled' ? needs.unlabelled !== false : (options as readonly string[]).includes(name);
};
const boundToTechniques: ReadonlySet<string> = new Set(['unlabelled', ...techniqueOptions]);

/** What decides which options have a use. */
interface Situation {
  readonly mode: Mode;
  readonly technique: TechniqueName;
  readonly optimizer: Settings['optimizer'];
  readonly given: TrainOptions;
}

function situationOf(given: TrainOptions): Situation {
  const mode = given.mode ?? 'finetune';
  const technique = given.technique ?? techniqueFor(given);
  return { mode, technique, optimizer: given.optimizer ?? defaultOf('optimizer', mode, technique), given };
}

/** The technique that the options ask for without naming it. */
const techniqueFor = ({ mode, pseudoLabels, teachers = [] }: TrainOptions): TechniqueName =>
  techniqueNames.find((name) => {
    // A consensus looks at the features of teachers, and imitates none.
    if (isFrozen(mode)) return false;
    const { needs } = techniques[name];
    return pseudoLabels === undefined ? needs.teacher && teachers.length > 0 : needs.pseudoLabels;
  }) ?? defaultTechnique;

/** The default of an option: the technique's, else the mode's. */
const defaultOf = <Name extends OptionName>(name: Name, mode: Mode, technique: TechniqueName): Settled[Name] =>
  (recipeDefault(name, technique, mode) ?? usualOf(trainingOptions[name], mode)) as Settled[Name];
type Settled = Resolved<typeof trainingOptions, typeof trainingOptions>;

/** Why an option has no use here, to stand after its name; undefined where it has one. */
function uselessness(name: string, { mode, technique, optimizer, given }: Situation): string | undefined {
  const { only }: Option = trainingOptions[name as OptionName];
  const noUse = (who: string, users: readonly string[]): string =>
    `${who} has no use for it (${users.join(', ')} ${users.length > 1 ? 'have' : 'has'}); leave it out`;
  if (only?.mode?.includes(mode) === false) return noUse(`mode ${mode}`, only.mode);
  // Modes without a technique read what their rows say.
  if (!isFrozen(mode) && boundToTechniques.has(name) && !reads(technique, name))
    return noUse(
      technique,
      techniqueNames.filter((other) => reads(other, name)),
    );
  if (only?.optimizer?.includes(optimizer) === false) return noUse(optimizer, only.optimizer);
  return unaided(trainingOptions, name, given);
}

const isTrainingOption = (name: string): name is OptionName => Object.hasOwn(trainingOptions, name);

/**
 * Refuses what would be ignored: options that none of the trainings, each given by all of its own
 * options, has a use for. Throws `usage`.
 */
export function refuseUseless(given: TrainOptions, trainings: readonly TrainOptions[]): void {
  if (trainings.length === 0) return; // Nothing to train is told where it is known why.
  const situations = trainings.map(situationOf);
  for (const [name, value] of Object.entries(given)) {
    if (!isTrainingOption(name) || !isOn(trainingOptions[name], value)) continue;
    const reasons = situations.map((situation) => uselessness(name, situation));
    const said = value === false ? `${name}: false` : name;
    if (reasons.every((reason) => reason !== undefined))
      throw new PupilError('usage', `\`${said}\`: ${reasons[0]!}`, { option: name });
  }
}

/** The options that a training has a use for: those of a chain are for several unlike ones. */
export function useful(options: TrainOptions): TrainOptions {
  const situation = situationOf(options);
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => !isTrainingOption(name) || uselessness(name, situation) === undefined),
  );
}

/**
 * Checks the options and fills in the defaults, but for the pretrained part's learning rate, which
 * depends on the model (`withBackboneRate`). Throws `usage` for impossible values, for options that
 * would be ignored, and for what a technique lacks.
 */
export function resolveSettings(data: string | undefined, options: Asked<TrainOptions>): Settings {
  const given = checkOptions(trainingOptions, options);
  const { mode, technique } = situationOf(given);
  refuseLacks(technique, given);
  refuseLocalSteps(technique, given);
  refuseUseless(given, [given]);
  const choose = <Name extends OptionName>(name: Name): Settled[Name] =>
    (given[name] ?? defaultOf(name, mode, technique)) as Settled[Name];
  const settled = Object.fromEntries(
    (Object.keys(trainingOptions) as OptionName[])
      .filter((name) => !('unsaved' in trainingOptions[name]))
      .map((name) => [name, choose(name)]),
  ) as Resolved<typeof trainingOptions>;
  mixes({ cutmix: settled.cutmix ?? 0, mixup: settled.mixup ?? 0 });
  return {
    ...settled,
    data,
    technique,
    augment: asPolicy(settled.augment),
    strong: settled.strong === undefined ? undefined : asPolicy(settled.strong),
  };
}

/**
 * The settings with the pretrained part's learning rate: where none is given, a fraction of the
 * head's. `images`: how many are learned from, with labels or pseudo-labels.
 */
export function withBackboneRate<Known extends Settings>(
  settings: Known,
  { graph }: Pick<Model, 'graph'>,
  images: number,
): Known {
  const { mode, lr, backboneLr, layerDecay } = settings;
  if (backboneLr !== undefined || mode !== 'finetune' || layerDecay !== undefined || lr === 'auto') return settings;
  return { ...settings, backboneLr: lr * backboneFactor(isNormalisationFolded(graph), images) };
}

/** The same, and why the rate is what it is, where it was chosen. */
export function withReasons(
  given: Settings,
  model: Pick<Model, 'graph'>,
  images: number,
): Pick<RunConfig<Settings>, 'settings' | 'reasons'> {
  const settings = withBackboneRate(given, model, images);
  const backboneLr = whyBackboneFactor(isNormalisationFolded(model.graph), images);
  return { settings, reasons: settings === given ? undefined : { backboneLr } };
}

/** How many images are learned from, as far as that is known before any is decoded. */
export function imagesLearned(
  { samples, classes }: Dataset,
  { labelsPerClass = Infinity }: Pick<Settings, 'labelsPerClass'>,
  pseudoLabels?: PseudoLabels,
): number {
  const labelled = samples.filter(isLabelled).length;
  const pseudo = pseudoLabels?.rows.filter(({ copies }) => copies > 0).length ?? 0;
  return Math.min(labelled, labelsPerClass * classes.length) + pseudo;
}

/** Below, policies are read: what is left as text are defaults, and those of other jobs. */
const asPolicy = (policy: string | AugmentPolicy): AugmentPolicy =>
  typeof policy === 'string' ? parseAugment(policy) : policy;

/** Refuses steps of ranks by themselves where they have to exchange something in each. */
function refuseLocalSteps(technique: TechniqueName, given: TrainOptions): void {
  const { averageEvery, syncBn, share } = given;
  const refuse = (option: string, message: string): never => {
    throw new PupilError('usage', message, { option });
  };
  const option = share === undefined ? 'averageEvery' : 'share';
  if (share === undefined && averageEvery === undefined) return;
  if (techniques[technique].observer)
    refuse(
      option,
      `\`${option}\`: ${technique} follows the predictions of the whole batch, which would have to be exchanged in ` +
        'every step; leave it out',
    );
  if (syncBn === true)
    refuse(
      option,
      `\`${option}\` and \`syncBn\` exclude one another: statistics of the whole batch are exchanged in every step; ` +
        'leave one out',
    );
  if (share === undefined || isFrozen(given.mode)) return;
  if (averageEvery === undefined)
    refuse('share', '`share` needs the steps that a machine makes by itself; give `averageEvery`, such as 100');
  if (given.minutes !== undefined)
    refuse('minutes', '`share` and `minutes` exclude one another: machines come and go; leave `minutes` out');
  for (const name of ['batchSize', 'lr'] as const)
    if (given[name] === 'auto')
      refuse(name, `\`${name}: auto\`: every machine would choose its own; give a number with \`share\``);
}

/** Refuses a training that lacks what its technique learns from. */
function refuseLacks(technique: TechniqueName, { teachers, pseudoLabels, mode, precision }: TrainOptions): void {
  const refuse = (option: string, message: string): never => {
    throw new PupilError('usage', message, { option });
  };
  const { needs } = techniques[technique];
  if (!needs.probe && isFrozen(mode))
    refuse(
      'mode',
      `\`mode: ${mode}\` solves the last layer alone: ${technique} trains all layers; use \`mode: finetune\``,
    );
  if (needs.teacher && !teachers?.length)
    refuse('teachers', `${technique} needs a model to imitate; name it with \`teachers\``);
  if (needs.pseudoLabels && pseudoLabels === undefined)
    refuse('pseudoLabels', `${technique} needs a file of labels; name it with \`pseudoLabels\``);
  if (isFrozen(mode) && precision === 'bf16')
    refuse(
      'precision',
      `\`precision: bf16\`: \`mode: ${mode}\` solves the last layer in float32; leave it out, or use ` +
        '`mode: finetune`',
    );
}
