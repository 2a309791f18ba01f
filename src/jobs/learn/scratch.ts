/**
 * What `learn` does without a pretrained network where most images have no label:
 *
 *   1. a network is trained on the labels alone, in a small share of the time: it is never far from
 *      fair, and what follows is measured against it
 *   2. FixMatch (Sohn et al. 2020) trains a fresh one, with most of the time: going on from the first
 *      one's weights is worse on digits
 *   3. a consensus on the features of that network labels all images
 *   4. a student goes on from that network, on its labels and the labels of the consensus, with strong
 *      augmentation (Noisy Student, Xie et al. 2020)
 *   5. from 3 again on the student, while time is left and labels change
 *
 * With many labels, those alone teach more in the same time: 2 and 3 are left out, and the students of 4
 * learn the labels of the network itself, which are better there than those of a consensus.
 *
 * Rounds alone stall: labels made once are only as good as the features of few labels.
 *
 * A network that was told a label says nothing honest of it. So everything runs twice: without the
 * labels of one fold, in a share of the epochs, to measure on; and with all labels. Where labels are
 * many (or stand in val/), some are held out once and for all, and nothing is trained twice.
 */
import { join } from 'node:path';
import { decidedByJob } from '../../options/jobs.js';
import { pick } from '../../options/option.js';
import { ladder } from '../../options/recipes.js';
import { consensusLabels } from '../../runs/consensus-head.js';
import type { RunEvent } from '../../runs/events.js';
import type { TrainOptions } from '../../runs/resolve.js';
import type { Chain } from '../chain.js';
import type { Part } from '../parts.js';
import type { Stage } from '../stages.js';
import { foldEpochs } from './plan.js';
import { asRun, type Round } from './rounds.js';
import { consensusOptions, furtherNetworks, type Situation } from './rungs.js';
import { within, type MinutesFor } from './time.js';

/** Epochs of a training on a part: one that only measures has a share of them. */
export const epochsOn = (chain: Chain, part: Part, epochs: number): number =>
  part === chain.whole ? epochs : foldEpochs(epochs);

/** A training that goes on from the weights of another: all layers at the same rate, as from scratch. */
export function goingOn(network: Stage, part: Part, { options }: Situation): TrainOptions {
  const recipe = { ...ladder.goingOn, ...pick(options, ['lr', 'optimizer', 'weightDecay']) };
  const backboneLr = recipe.lr === 'auto' ? undefined : recipe.lr;
  return { ...asRun, ...recipe, mode: 'finetune', backboneLr, model: network.runs.get(part.folder)! };
}

export interface Look {
  readonly name: string;
  readonly folder: string;
  /** What was trained, on each part for itself. */
  readonly network: Stage;
  readonly situation: Situation;
}

/** A consensus on the features of a network, and of others that were named. */
export const lookAt = (
  chain: Chain,
  { name, folder, network, situation }: Look,
): AsyncGenerator<RunEvent, Stage, undefined> =>
  chain.stage(name, folder, (part) => ({
    ...consensusOptions,
    ...asRun,
    ...pick(situation.options, furtherNetworks),
    model: network.runs.get(part.folder)!,
  }));

/** Steps 3 and 4: a consensus and its student. */
export interface OwnRoundPlan {
  /** What a person reads: `round 2`. */
  readonly name: string;
  /** Where its runs go, below that of the job. */
  readonly folder: string;
  /** The network that is looked at, and goes on. */
  readonly network: Stage;
  /** A consensus on that network; undefined: it is made. */
  readonly consensus: Stage | undefined;
  readonly situation: Situation;
  readonly epochs: number;
  /** The steps of the student's training on a part end after so many. */
  readonly minutes?: MinutesFor | undefined;
}

/**
 * The stage is that of the student, with the seconds of both. Its own last layer stays: it is right as
 * often as one that a consensus on its features solves (digits, three runs: 97.6, 95.9 and 97.3%
 * against 97.5, 96.0 and 97.0%), and its confidences are more honest (calibration error 2.7 against 3.8%).
 */
export async function* trainOwnRound(
  chain: Chain,
  { name, folder, network, consensus, situation, epochs, minutes }: OwnRoundPlan,
): AsyncGenerator<RunEvent, Round, undefined> {
  const told = { name: `${name}: consensus`, folder: join(folder, 'consensus') };
  const began = performance.now();
  const teacher = consensus ?? (yield* lookAt(chain, { ...told, network, situation }));
  const beside = consensus === undefined ? (performance.now() - began) / 1000 : undefined;
  const student = yield* chain.stage(`${name}: student`, join(folder, 'student'), (part, together) => ({
    ...goingOn(network, part, situation),
    ...ladder.ownStudent.training,
    ...pick(situation.options, decidedByJob.mixing),
    pseudoLabels: consensusLabels(teacher.runs.get(part.folder)!),
    epochs: epochsOn(chain, part, epochs),
    ...within(minutes?.(part, together)),
  }));
  const seconds = student.seconds + (consensus === undefined ? teacher.seconds : 0);
  return { stage: { ...student, name, seconds }, labels: teacher.run, beside };
}
