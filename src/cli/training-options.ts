import type { Command } from 'commander';
import type { Precision } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import type { RungName } from '../jobs/ladder.js';
import type { Mode } from '../runs/settings.js';
import type { TechniqueName } from '../techniques/index.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { ScheduleName } from '../train/schedules.js';
import {
  choice,
  factor,
  integer,
  normalization,
  notNegative,
  option,
  optional,
  orWord,
  positive,
  probability,
  share,
  type CommonOptions,
  type Parser,
} from './options.js';

// Written out instead of imported, so that --help does not load the training code; the types keep
// them in step with it.
const names = <T extends string>(all: Readonly<Record<T, true>>): readonly T[] => Object.keys(all) as T[];
export const optimizers = names<OptimizerName>({ sgd: true, adam: true, adamw: true, rmsprop: true });
export const schedules = names<ScheduleName>({
  'constant': true,
  'cosine': true,
  'linear': true,
  'step': true,
  'one-cycle': true,
  'fixmatch': true,
});
export const precisions = names<Precision>({ f32: true, bf16: true, auto: true });
export const modes = names<Mode>({ scratch: true, probe: true, finetune: true });

/** What every training command understands. Undefined means: the technique's default. */
export interface TrainingOptions extends CommonOptions {
  readonly precision?: Precision;
  readonly epochs?: number;
  readonly batchSize?: number | 'auto';
  readonly lr?: number | 'auto';
  readonly backboneLr?: number;
  readonly weightDecay?: number;
  readonly optimizer?: OptimizerName;
  readonly schedule?: ScheduleName;
  readonly augment?: string;
  readonly cutmix?: number;
  readonly mixup?: number;
  readonly mixProbability?: number;
  readonly erase?: number;
  readonly preview?: boolean;
  readonly minutes?: number;
  readonly resume?: string;
  readonly momentum?: number;
  readonly labelSmoothing?: number;
  readonly ema?: number;
  readonly clipNorm?: number;
  readonly accumulate?: number;
  readonly warmup?: number;
  readonly patience?: number;
  readonly balance?: true;
  readonly flip?: boolean;
  readonly folds?: number;
  readonly dropout?: number;
  readonly stochasticDepth?: number;
  readonly unlabelled?: readonly string[];
  readonly workers?: number;
  readonly cacheMemory?: number;
}

/** Adds the options of every training command. */
export function training(command: Command): Command {
  command.optionsGroup('Training:');
  option(command, '--epochs <N>', 'passes over the training images', integer(1));
  option(command, '--batch-size <N>', 'images in a step, or auto: what fits the memory', orWord('auto', integer(1)));
  option(command, '--lr <RATE>', 'peak learning rate, or auto: found by a range test', orWord('auto', positive));
  option(command, '--backbone-lr <RATE>', 'peak learning rate of the pretrained part', notNegative);
  option(command, '--weight-decay <X>', 'weight decay (none on biases and norms)', notNegative);
  option(command, '--optimizer <NAME>', optimizers.join('|'), choice(optimizers));
  option(command, '--momentum <X>', 'momentum of sgd', share);
  option(command, '--schedule <NAME>', schedules.join('|'), choice(schedules));
  option(command, '--warmup <EPOCHS>', 'epochs in which the rate rises from 0', notNegative);
  option(command, '--label-smoothing <X>', 'share of the target spread over all classes', share);
  option(command, '--ema <DECAY>', 'also keep an exponential average of the weights; used when it is better', share);
  option(command, '--dropout <P>', 'rate of dropout before the classifier', share);
  option(command, '--stochastic-depth <P>', 'rate at which the last block is left out, growing from the first', share);
  option(command, '--clip-norm <X>', 'scale gradients down to this global norm', positive);
  option(command, '--accumulate <N>', 'batches whose gradients make one update', integer(1));
  option(command, '--patience <EPOCHS>', 'stop after so many epochs without a better selection loss', integer(1));
  option(command, '--minutes <T>', 'stop after about this time', positive);
  option(
    command,
    '--precision <P>',
    `${precisions.join('|')}: what activations and gradients are computed in (default auto)`,
    choice(precisions),
  );
  option(command, '--resume <RUN>', 'continue an interrupted run with its own options');
  command.option('--balance', 'draw classes equally often');
  option(command, '--unlabelled <PATH>', 'images without labels: a folder, tar or manifest (repeatable)', undefined, {
    repeat: true,
  });
  option(command, '--workers <N>', 'threads that prepare batches (0: none)', integer(0));
  option(command, '--cache-memory <MB>', 'decoded images held in memory; the rest is kept on disk', integer(0));
  return augmentation(command);
}

/** An option whose number, `value` unless given, may be left out. */
const bare = (command: Command, flags: string, description: string, parser: Parser<number>, value: string): Command =>
  option(command, flags, description, optional(parser, value), { bare: value });

/** Adds the options that say how training images are varied. */
export function augmentation(command: Command): Command {
  command.optionsGroup('How training images are varied:');
  option(
    command,
    '--augment <POLICY>',
    'none, light, basic, weak, strong, randaugment:n=2,m=9, trivial, auto:imagenet|cifar10|svhn, augmix, ' +
      'timm:rand-m9-mstd0.5-inc1, ops:rotate=9,color=12, or a policy.json; seen with pupil augment',
  );
  command.option('--flip', 'mirror half of them (the default)');
  command.option('--no-flip', 'never mirror them: digits, text, left and right hands');
  bare(command, '--erase [P]', 'erase a random box in a share P of them (0.25)', probability, '0.25');
  bare(command, '--cutmix [ALPHA]', 'paste a box of another image, labels by area (ALPHA 1)', notNegative, '1');
  bare(
    command,
    '--mixup [ALPHA]',
    'blend with another image (ALPHA 0.2); with --cutmix one of the two',
    notNegative,
    '0.2',
  );
  option(command, '--mix-probability <P>', 'share of batches that are mixed (default 1)', probability);
  command.option('--preview', 'save preview.png: the first batch as the network will see it (the default)');
  command.option('--no-preview', 'do not');
  return command;
}

/** What `pupil train` understands besides. */
export interface TrainOptions extends TrainingOptions {
  readonly mode?: Mode;
  readonly model?: string;
  readonly freeze?: readonly string[];
  readonly layerDecay?: number;
  readonly head?: string;
  readonly normalize?: string;
  readonly size?: number;
  readonly labelsPerClass?: number;
  readonly reportOn?: 'val' | 'test';
  readonly bn?: 'train' | 'frozen';
  readonly headFirst?: number;
  readonly gradualUnfreeze?: number;
  readonly technique?: TechniqueName;
  readonly pseudoLabels?: string;
  readonly unlabelledRatio?: number;
  readonly unlabelledWeight?: number;
  readonly threshold?: number;
  readonly strong?: string;
}

/** Techniques that `train` offers by name; the others have commands or options of their own. */
export const consistencies = names<Extract<TechniqueName, `${string}match`>>({
  fixmatch: true,
  flexmatch: true,
  softmatch: true,
});

/** Adds the options of learning from images without labels. */
export function semiSupervised(command: Command): Command {
  command.optionsGroup('Images without labels:');
  option(
    command,
    '--technique <NAME>',
    `${consistencies.join('|')}: learn from them while training`,
    choice(consistencies),
  );
  option(
    command,
    '--pseudo-labels <FILE>',
    'what pupil pseudo-label wrote: its accepted rows are learned from beside the labels',
  );
  ratios(command);
  option(command, '--threshold <P>', 'how sure a prediction must be to count (default 0.95)', probability);
  option(command, '--strong <POLICY>', 'how strong views are varied (default strong: RandAugment and Cutout)');
  return command;
}

/** What `pupil distill` understands besides. */
export interface DistillOptions extends TrainingOptions {
  readonly teacher?: readonly string[];
  readonly student?: string;
  readonly temperature?: number;
  readonly alpha?: number;
  readonly teacherNormalize?: string;
  readonly teacherSize?: number;
  readonly head?: string;
  readonly normalize?: string;
  readonly size?: number;
  readonly labelsPerClass?: number;
  readonly reportOn?: 'val' | 'test';
}

/** Adds the options of `distill` alone. */
export function distilling(command: Command): Command {
  command.optionsGroup('Teacher and student:');
  option(
    command,
    '--teacher <M>',
    'run folder, ONNX file or hf:owner/repo[/file] (required; several are averaged)',
    undefined,
    { repeat: true },
  );
  option(command, '--student <S>', 'a built-in name, trained from scratch, or a trained model to fine-tune (required)');
  option(command, '--temperature <T>', 'softens what both say (default 4)', positive);
  option(command, '--alpha <X>', 'share of the teacher in the loss of labelled images (default 0.9)', probability);
  option(command, '--teacher-normalize <HOW>', 'the input of a foreign teacher, as --normalize', normalization);
  option(command, '--teacher-size <N>', 'its input height and width in pixels', integer(8));
  return splits(command);
}

/** What `pupil self-train` understands besides. */
export interface SelfTrainOptions extends TrainOptions {
  readonly students?: readonly string[];
  readonly rounds?: number;
  readonly studentEpochs?: number;
  readonly soft?: boolean;
  readonly studentAugment?: string;
}

/** Adds the options of `self-train` alone. */
export function selfTraining(command: Command): Command {
  command.optionsGroup('Teacher and students:');
  option(
    command,
    '--students <A,B,C>',
    'the student of each round (default: the model, then the next larger of its family)',
    wordList,
  );
  option(command, '--rounds <R>', 'rounds at most (default 3)', integer(1));
  option(
    command,
    '--student-epochs <N>',
    'epochs of a student, each once through the pseudo-labels (default 10)',
    integer(1),
  );
  option(command, '--threshold <P>', 'the least confidence of a pseudo-label (default 0.3)', probability);
  command.option('--soft', 'learn probabilities (the default)');
  command.option('--no-soft', 'learn hard labels');
  option(command, '--student-augment <POLICY>', 'noise of the images (default randaugment:n=2,m=9; none: without)');
  return ratios(command);
}

/** What `pupil learn` understands besides. */
export interface LearnOptions extends TrainOptions {
  readonly student?: string;
  readonly studentEpochs?: number;
  readonly rungs?: readonly RungName[];
}

const rungs = names<RungName>({
  'probe': true,
  'supervised': true,
  'augmentation': true,
  'pseudo-labels': true,
  'fixmatch': true,
  'noisy student': true,
  'noisy student 2': true,
  'distillation': true,
});
/** A rung as the command line spells it. */
const withoutSpaces = (rung: RungName): string => rung.replaceAll(' ', '-');
/** Words that are no rungs are left for the ladder to refuse. */
const rungList: Parser<readonly RungName[]> = (text, name) =>
  wordList(text, name).map((word) => rungs.find((rung) => withoutSpaces(rung) === word) ?? (word as RungName));

/** Adds the options of `learn` alone. */
export function climbing(command: Command): Command {
  command.optionsGroup('The ladder:');
  option(command, '--rungs <A,B,C>', `rungs to try (default all): ${rungs.map(withoutSpaces).join(', ')}`, rungList);
  option(command, '--student <S>', 'a smaller network that is taught what the best rung learned');
  option(
    command,
    '--student-epochs <N>',
    'epochs of rungs that learn from images without labels (default 5)',
    integer(1),
  );
  return ratios(command);
}

/** Words parted by commas. */
const wordList: Parser<readonly string[]> = (text, name) => {
  const words = text.split(',').map((word) => word.trim());
  if (words.every((word) => word !== '')) return words;
  throw new PupilError('usage', `${name} takes names parted by commas, got ${JSON.stringify(text)}`);
};

function ratios(command: Command): Command {
  option(command, '--unlabelled-ratio <R>', 'images without labels for each labelled one in a batch', integer(1));
  option(command, '--unlabelled-weight <X>', 'weight of their loss (default 1)', notNegative);
  return command;
}

/** Adds the options that say which labels are used for what. */
export function splits(command: Command): Command {
  option(
    command,
    '--folds <K>',
    'folds to choose and calibrate on where labels are few (default 5; 0: none)',
    integer(0),
  );
  option(
    command,
    '--labels-per-class <K>',
    'keep K labels of each class; other images count as unlabelled',
    integer(1),
  );
  option(
    command,
    '--report-on <SPLIT>',
    'val|test: a split that is used for the report only',
    choice(['val', 'test'] as const),
  );
  return command;
}

/** Adds the options that state the input of a foreign ONNX file. */
export function foreignModel(command: Command): Command {
  command.optionsGroup('Models from elsewhere:');
  option(command, '--head <NODE>', 'the node that makes the logits, where it is not found by itself');
  option(
    command,
    '--normalize <HOW>',
    'imagenet, symmetric (x/127.5-1), unit (x/255), or MEAN/STD of 0..1 pixels',
    normalization,
  );
  option(command, '--size <N>', 'input height and width in pixels', integer(8));
  return command;
}

/** Adds the options of `train` alone. */
export function transfer(command: Command): Command {
  command.optionsGroup('What is trained:');
  option(command, '--mode <MODE>', `${modes.join('|')} (default finetune)`, choice(modes));
  option(
    command,
    '--model <M>',
    "run folder, ONNX file, timm's .safetensors, hf:owner/repo[/file], or a built-in name for scratch",
  );
  splits(command);
  option(
    command,
    '--freeze <PATTERN>',
    'parameters that stay as they are, such as "layer1.*" (repeatable)',
    undefined,
    { repeat: true },
  );
  option(command, '--layer-decay <X>', "each layer's rate is the next one's times this", factor);
  option(command, '--bn <HOW>', 'train|frozen: BatchNormalization statistics', choice(['train', 'frozen'] as const));
  option(command, '--head-first <EPOCHS>', 'train only the new head for so many epochs', notNegative);
  option(
    command,
    '--gradual-unfreeze <EPOCHS>',
    'unfreeze one more block, from the head down, every so many epochs',
    positive,
  );
  return command;
}
