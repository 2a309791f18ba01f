/** How long trainings are expected to take, from a step that was measured. All times are seconds. */
import { isFrozen } from '../options/option.js';
import { techniqueOf } from '../techniques/index.js';
import { costOf } from '../techniques/technique.js';
import type { Settings } from './resolve.js';

/** How many images there are to learn from. */
export interface Counts {
  readonly labelled: number;
  readonly unlabelled: number;
  /** How many of the labelled ones are different, where some are copies or look nearly the same; absent: all. */
  readonly different?: number | undefined;
}

/** How many labels tell something of their own: what few or many labels decide counts these. */
export const labelsOf = ({ labelled, different = labelled }: Pick<Counts, 'labelled' | 'different'>): number =>
  different;

/** What takes how long. */
export interface Measured {
  /** Of a training step, for each image; of several ranks, for an image of all of them together. */
  readonly image: number;
  /** For each image that is only looked at. */
  readonly look: number;
  /** Until a training begins. */
  readonly start: number;
  /** Other networks at which a consensus looks: how many, and what they take for each image. */
  readonly further?: { readonly networks: number; readonly look: number } | undefined;
}

/** What is trained: so many trainings, one for each fold and one on all labels, on so many images. */
export interface Work extends Counts {
  readonly trainings: number;
}

/** An image that is only looked at costs this share of a training step. */
export const lookShare = 1 / 3;

/** What a consensus takes beside its features, on two cores: the first, and what each image adds. */
export const closedForm = { start: 1.5, image: (classes: number): number => 0.0005 + 0.00003 * classes };

/** Features once, then the last layer. */
export const secondsOfProbe = ({ labelled }: Pick<Counts, 'labelled'>, { look, start }: Measured): number =>
  start + look * labelled;

export const secondsOfConsensus = ({ labelled, unlabelled }: Counts, classes: number, measured: Measured): number =>
  measured.start + closedForm.start + imageOfConsensus(classes, measured) * (labelled + unlabelled);

/** Of a consensus, for each image: it fits its models to the last and to all layers, and to several networks each. */
export function imageOfConsensus(classes: number, { look, further }: Measured): number {
  const views = further === undefined ? 2 : further.networks + 3;
  return look + (further?.look ?? 0) + (closedForm.image(classes) * views) / 2;
}

/** Of one epoch of training steps. */
export function secondsOfEpoch(settings: Settings, counts: Counts, { image }: Measured): number {
  const batchSize = settings.batchSize === 'auto' ? 32 : settings.batchSize;
  return image * costOf(techniqueOf(settings), counts, { ...settings, batchSize });
}

/** Of `train` with all its folds; not more than the minutes that it was given. */
export function secondsOfTraining(settings: Settings, work: Work, classes: number, measured: Measured): number {
  if (settings.mode === 'consensus') return secondsOfConsensus(work, classes, measured);
  if (isFrozen(settings.mode)) return secondsOfProbe(work, measured);
  const folds = work.trainings - 1;
  // Each of k folds is trained on the others: together they see the labels k - 1 times, the last training once more.
  const passes = Math.max(1, folds);
  const before = work.trainings * measured.start + (settings.mode === 'finetune' ? secondsOfProbe(work, measured) : 0);
  const steps = passes * settings.epochs * secondsOfEpoch(settings, work, measured);
  return before + Math.min(steps, settings.minutes === undefined ? Infinity : 60 * settings.minutes);
}
