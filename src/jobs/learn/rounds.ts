/**
 * Rounds of consensus and student, after V-PET (2025, "Revisiting semi-supervised learning in the era of
 * foundation models") and Noisy Student (Xie et al. 2020):
 *
 *   1. a consensus on frozen features labels all images; of each labelled one it says what it would
 *      say without that label
 *   2. a student, which begins as the pretrained network with a head solved on them, learns these
 *      labels with strong augmentation (`prior-match`)
 *   3. a consensus on the student's features labels all images anew and solves its head, which is
 *      averaged with the one that the student has
 *   4. from 2 again, until labels no longer change or the time is up
 *
 * No student is told the label of an image itself, so that what the consensus on its features says of
 * held-out labels costs no further training; the head that it begins with was solved without, too. A label passes on
 * to its neighbours all the same, so the student's own head has no say of held-out labels (docs/few-labels.md).
 */
import { join } from 'node:path';
import type { Gain, PseudoLabelRound } from '../../artifact/formats.js';
import { readPseudoLabels, writePseudoLabels } from '../../artifact/pseudo-labels.js';
import { runFiles } from '../../artifact/run-files.js';
import { withSamples } from '../../data/dataset.js';
import { describePseudoLabels, type PseudoLabel, type PseudoLabels } from '../../data/pseudo-labels.js';
import type { Dataset, Sample } from '../../data/sample.js';
import { argmax, meanInterval } from '../../evaluate/metrics.js';
import { isBuiltIn } from '../../models/index.js';
import { originsOf } from '../../models/licence.js';
import { ofForeignFiles } from '../../options/jobs.js';
import { pick } from '../../options/option.js';
import { ladder } from '../../options/recipes.js';
import { consensusLabels, untoldModel } from '../../runs/consensus-head.js';
import type { StepsTime } from '../../runs/context.js';
import type { RunEvent } from '../../runs/events.js';
import { tap } from '../../runs/relay.js';
import type { TrainOptions } from '../../runs/resolve.js';
import type { Chain } from '../chain.js';
import type { Part } from '../parts.js';
import type { Stage } from '../stages.js';
import { consensusOptions, epochsFromScratch, furtherNetworks, type Situation } from './rungs.js';

/** What a student begins with and learns. */
export interface StudentPlan {
  /** What a person reads: `round 1`. */
  readonly name: string;
  /** Where its runs go, below that of the job. */
  readonly folder: string;
  /** The run of a consensus, whose network it begins as, with a head that was told no label; or a built-in one. */
  readonly model: string;
  /** The file of soft labels that it learns. */
  readonly labels: string;
  /** Networks beside the student that the next consensus looks at, and how they see images. */
  readonly teachers: Pick<TrainOptions, (typeof furtherNetworks)[number]>;
  readonly epochs: number;
  /** The student's training ends after so many; in this session, when `time` says so. */
  readonly minutes?: number | undefined;
  readonly time?: StepsTime | undefined;
}

/** A run says itself how its model is read; what the given file needed is left out. */
export const asRun: TrainOptions = Object.fromEntries(ofForeignFiles.map((name) => [name, undefined]));

/** A round that is over. */
export interface Round {
  readonly stage: Stage;
  /** The run of the consensus whose labels these are. */
  readonly labels: string;
  /** Seconds beside the training of its student, where that was begun in this session. */
  readonly beside: number | undefined;
  /** Those after the steps of its student, where some were made in this session. */
  readonly after?: number | undefined;
}

/** Steps 2 and 3. The stage is that of the consensus, whose labels these are, with the seconds of both. */
export async function* trainRound(
  chain: Chain,
  { name, folder, model, labels, teachers, epochs, minutes, time }: StudentPlan,
): AsyncGenerator<RunEvent, Round, undefined> {
  const recipe: TrainOptions = isBuiltIn(model) ? { mode: 'scratch' } : { mode: 'finetune', ...ladder.student };
  let stepped: number | undefined;
  const training = chain.alone(
    `${name}: student`,
    join(folder, 'student'),
    {
      ...recipe,
      ...asRun,
      model: isBuiltIn(model) ? model : untoldModel(model),
      technique: 'prior-match',
      pseudoLabels: labels,
      epochs,
      minutes,
      time,
      folds: 0,
      ...(isReported('val', chain.whole) ? { reportOn: undefined } : {}),
    },
    toTeach(chain.whole),
  );
  const student = yield* tap(training, (event) => {
    if (event.type === 'done') stepped = performance.now();
    return event;
  });
  const trained = performance.now();
  const stage = yield* chain.alone(`${name}: consensus`, join(folder, 'consensus'), {
    ...consensusOptions,
    ...asRun,
    model: student.run,
    keepHead: true,
    ...teachers,
  });
  const now = performance.now();
  const beside = student.beside && student.beside + (now - trained) / 1000;
  const after = stepped && (now - stepped) / 1000;
  const { completed } = student,
    seconds = student.seconds + stage.seconds;
  // Labels of each fold were known when those of the others were labelled, which the student learned.
  const optimistic = chain.parts.length > 1 || undefined;
  // What a training takes beside its steps is that of its student.
  return {
    stage: { ...stage, name, seconds, completed, beside: student.beside, optimistic },
    labels: stage.run,
    beside,
    after,
  };
}

export interface SmallerPlan {
  readonly name: string;
  /** Where its runs go, below that of the job. */
  readonly folder: string;
  /** The smaller network: a model, or a built-in one. */
  readonly student: string;
  /** The consensus whose labels it learns, which takes part in the consensus on its features. */
  readonly best: Stage;
  readonly situation: Situation;
  /** Its training ends after so many. */
  readonly minutes: number | undefined;
  /** The time of its steps, by the seconds that the look at its features before them took. */
  readonly time: (head?: number) => StepsTime | undefined;
  /** As many epochs as a student of a round has, this often. */
  readonly times: number;
}

/** A smaller network learns the labels of the consensus that is kept. */
export async function* teachSmaller(
  chain: Chain,
  { name, folder, student, best, situation, minutes, time, times }: SmallerPlan,
): AsyncGenerator<RunEvent, Stage, undefined> {
  const further = pick(situation.options, furtherNetworks);
  const teachers = { ...further, teachers: [best.run, ...(further.teachers ?? [])] };
  const head = isBuiltIn(student)
    ? undefined
    : yield* chain.alone(`${name}: head`, join(folder, 'head'), {
        ...consensusOptions,
        ...teachers,
        ...((await runFiles.config.exists(student)) ? asRun : {}),
        model: student,
      });
  const { stage } = yield* trainRound(chain, {
    name,
    folder,
    model: head?.run ?? student,
    labels: consensusLabels(best.run),
    teachers,
    epochs: times * epochsOf(situation),
    minutes,
    time: time(head?.seconds),
  });
  return stage;
}

/**
 * What a student learns from: the images of a part, those to learn from as ones without labels. Those that
 * are only reported on are left to the consensus on its features.
 */
const toTeach = (part: Part): Dataset =>
  withSamples(
    part.data,
    part.data.samples
      .filter(({ split }) => !isReported(split, part))
      .map((sample) =>
        sample.split === 'train' ? { ...sample, split: 'unlabelled', label: -1, truth: sample.label } : sample,
      ),
  );

/** Whether images of a split decide nothing. */
export const isReported = (split: Sample['split'], { options }: Part): boolean =>
  split === 'test' || (split === 'val' && options.reportOn === 'val');

/** Rounds where no time is given. */
export const roundsOf = ({ mode }: Situation): number => (mode === 'scratch' ? ladder.ownRounds : ladder.rounds);

/** Seconds, and the share of a round's time that is kept free: a round that is not done in time is lost. */
export interface RoundTime {
  /** Of all rounds that follow. */
  readonly left: number;
  /** What a round is expected to take. */
  readonly round: number;
  /** What a round takes beside the training of its student: to begin, to measure, a consensus on its features. */
  readonly beside: number;
  readonly spare: number;
}

/** Of the time that is kept free, so many seconds at least. */
const leastSpare = 3;

/**
 * Seconds for the student of the next round: the time left is divided among as many rounds as fit, up to those that are
 * usual. Where more would fit, one that takes longer than expected is not cut short: its steps are counted, not timed.
 */
export const studentSeconds = ({ left, round, beside, spare }: RoundTime): number => {
  const rounds = Math.max(1, Math.min(ladder.rounds, Math.floor(left / round)));
  return Math.max(1, (left - Math.max(spare * left, leastSpare)) / rounds - beside);
};

/** Epochs of a student: as asked, or so many that it is shown neither very few images nor very many. */
export function epochsOf(situation: Situation): number {
  const { options, mode, epochs, labelled, unlabelled } = situation;
  if (mode === 'scratch') {
    const { share, training } = ladder.ownStudent;
    return epochsFromScratch(Math.ceil(epochs * share), situation, training);
  }
  if (options.studentEpochs !== undefined) return options.studentEpochs;
  const images = labelled + unlabelled,
    shown = ladder.studentImages;
  return Math.max(1, Math.round(Math.min(shown.most, Math.max(shown.least, shown.epochs * images)) / images));
}

/** Why it is so many, where it follows from the images alone. */
export function whyEpochs(situation: Situation): string | undefined {
  const { options, mode, labelled, unlabelled } = situation;
  if (options.studentEpochs !== undefined || mode === 'scratch') return undefined;
  const { least, most, epochs } = ladder.studentImages;
  return (
    `${epochsOf(situation)} in a round: ${labelled + unlabelled} images, each ${epochs} times, but at least ${least} ` +
    `and at most ${most} in all`
  );
}

/** What a consensus says of the images without labels. */
export async function labelsBy(run: string, data: Dataset): Promise<PseudoLabels> {
  const unlabelled = new Set(data.samples.filter(({ split }) => split === 'unlabelled').map(({ hash }) => hash));
  const labels = await readPseudoLabels(consensusLabels(run), data.classes);
  return { ...labels, rows: labels.rows.filter(({ hash }) => unlabelled.has(hash)) };
}

/** Writes the means of two files of soft labels, of the images that both name. Returns the new file. */
export async function meanLabels(
  [one, other]: readonly [string, string],
  file: string,
  classes: readonly string[],
): Promise<string> {
  const [labels, others] = [await readPseudoLabels(one, classes), await readPseudoLabels(other, classes)];
  const rows = pairs(others, labels).map(([{ probabilities: p, ...second }, row]): PseudoLabel => {
    const probabilities = row.probabilities.map((q, c) => (q + p[c]!) / 2);
    const label = argmax(probabilities, 0, classes.length);
    const accepted = row.accepted && second.accepted;
    return { ...row, label, confidence: probabilities[label]!, probabilities, accepted, copies: Number(accepted) };
  });
  const teachers = originsOf({ teachers: [...(labels.teachers ?? []), ...(others.teachers ?? [])] });
  await writePseudoLabels(file, { ...labels, rows, teachers });
  return file;
}

/** Labels in numbers, with how many of them are not what they were. */
export function describeLabels(
  { samples }: Dataset,
  labels: PseudoLabels,
  before: PseudoLabels | undefined,
): Omit<PseudoLabelRound, 'round'> {
  const truths = new Map(samples.flatMap(({ hash, truth }) => (truth === undefined ? [] : [[hash, truth] as const])));
  const aside = labels.rows.flatMap(({ accepted, path }) => (accepted ? [] : [path]));
  const described = {
    ...describePseudoLabels(
      labels,
      truths.size > 0 ? (_, hash) => truths.get(hash) : undefined,
      ({ accepted }) => !accepted,
    ),
    outOfDistribution: aside.length > 0 ? { count: aside.length, paths: aside.slice(0, 12) } : undefined,
  };
  if (before === undefined) return described;
  const moved = pairs(before, labels).filter(([one, other]) => one.label !== other.label).length;
  return { ...described, moved: moved / Math.max(1, labels.rows.length) };
}

/**
 * How often `after` chooses the class that `before` believes in, against how often the truth itself
 * would if those beliefs are right: the mean of q(argmax after) - sum q^2, with its 95% interval.
 * Labels that are as likely as the truth cannot be told from it; a student that went astray can.
 */
export function agreement(before: PseudoLabels, after: PseudoLabels): Gain {
  const both = pairs(before, after);
  const differences = both.map(([{ probabilities: q }, { probabilities }]) => {
    const expected = q.reduce((sum, p) => sum + p * p, 0);
    return q[argmax(probabilities, 0, q.length)]! - expected;
  });
  return meanInterval(
    differences,
    both.map(([{ hash }]) => hash || undefined),
  );
}

/** The same images in both. */
function pairs(before: PseudoLabels, after: PseudoLabels): [PseudoLabel, PseudoLabel][] {
  const known = new Map(before.rows.map((row) => [row.path, row]));
  return after.rows.flatMap((row): [PseudoLabel, PseudoLabel][] => {
    const was = known.get(row.path);
    return was === undefined ? [] : [[was, row]];
  });
}
