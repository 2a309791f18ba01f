import { Command, type CommanderError } from 'commander';
import { PupilError } from '../errors.js';
import type { ScaleName } from '../augment/policies/scales.js';
import type { GapOptions as Gap } from '../jobs/gap/settings.js';
import type { PseudoLabelOptions as Labelling } from '../jobs/label/label.js';
import type { Terminal } from './terminal.js';
import {
  choice,
  common,
  integer,
  notNegative,
  number,
  option,
  optional,
  positive,
  probability,
  type CommonOptions,
} from './options.js';
import {
  climbing,
  distilling,
  foreignModel,
  selfTraining,
  semiSupervised,
  training,
  transfer,
  type DistillOptions,
  type LearnOptions,
  type SelfTrainOptions,
  type TrainOptions,
  type TrainingOptions,
} from './training-options.js';
import { usageError } from './refuse.js';
import { searching, type SearchOptions } from './search-options.js';

const scales = ['torchvision', 'paper', 'timm', 'timm-increasing'] as const satisfies readonly ScaleName[];
const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;

/**
 * Usage errors are thrown as PupilErrors; help and version end as commander's own errors with exit
 * code 0.
 */
function quiet(command: Command): Command {
  return command
    .exitOverride((error: CommanderError) => {
      if (error.exitCode === 0) throw error;
      throw usageError(error, command);
    })
    .showSuggestionAfterError(false)
    .allowExcessArguments(false)
    .helpOption('-h, --help', 'show this help')
    .configureHelp({ sortSubcommands: false, optionDescription: (item) => item.description });
}

/** The command line. Each command's code is loaded when it runs, so that `--help` is quick. */
export function createProgram(terminal: Terminal, version: string): Command {
  const output = {
    writeOut: (text: string) => terminal.out(text),
    writeErr: (text: string) => terminal.err(text),
    outputError: () => undefined,
    getOutHelpWidth: () => terminal.width,
    getErrHelpWidth: () => terminal.width,
  };
  const program = quiet(new Command('pupil'))
    .configureOutput(output)
    .description('Train small, accurate image classifiers from few labels.')
    .version(version, '-V, --version', 'show the version')
    .usage('COMMAND [options]')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        'pupil demo                                              see it work on embedded digits',
        'pupil train photos --model backbone.onnx --out runs/a   fine-tune a backbone on a folder of photos',
        'pupil predict runs/a photo.jpg                          what is in a photo',
      ),
    );
  const add = (parent: Command, usage: string, description: string, text: string): Command => {
    const [name = '', ...parts] = usage.split(' ');
    const command = quiet(parent.command(name))
      .configureOutput(output)
      .description(description)
      .addHelpText('after', text);
    for (const part of parts) command.argument(part);
    return command;
  };

  const demo = common(
    training(
      add(
        program,
        'demo',
        'Train a small network on embedded handwritten digits, 10 labels per class, and report.',
        examples('pupil demo', 'pupil demo --epochs 3 --seed 1 --out runs/digits'),
      ),
    ),
  );
  demo.action(async (options: TrainingOptions) => (await import('./commands/demo.js')).demo(options, terminal));

  const train = common(
    foreignModel(
      training(
        semiSupervised(
          transfer(
            add(
              program,
              'train [DATA]',
              'Train a classifier on a folder, tar or manifest of labelled images.',
              examples(
                'pupil train photos --mode probe --model mobilenetv2.onnx --normalize symmetric',
                'pupil train photos --model hf:timm/mobilenetv3_small_100.lamb_in1k --epochs 10 --out runs/photos',
                'pupil train cifar10.tar --mode scratch --model resnet18-small --optimizer sgd --lr 0.1 --epochs 30',
                'pupil train photos --mode scratch --model resnet20 --unlabelled more --technique fixmatch',
                'pupil train photos --model backbone.onnx --pseudo-labels pseudo.csv',
                'pupil train --resume runs/photos',
              ),
            ),
          ),
        ),
      ),
    ),
  );
  train.action(async (data: string | undefined, options: TrainOptions) =>
    (await import('./commands/train.js')).train(data, options, terminal),
  );

  const distill = common(
    foreignModel(
      training(
        distilling(
          add(
            program,
            'distill [DATA]',
            'Train a student on what a teacher says, of images with and without labels.',
            examples(
              'pupil distill photos --teacher runs/large --student mobilenetv3_small_100',
              'pupil distill --teacher runs/large --unlabelled more --student resnet20 --size 64',
              'pupil distill photos --teacher runs/a --teacher runs/b --student resnet18 --temperature 1 --alpha 0.5',
            ),
          ),
        ),
      ),
    ),
  );
  distill.action(async (data: string | undefined, options: DistillOptions) =>
    (await import('./commands/distill.js')).distill(data, options, terminal),
  );

  const selfTrain = common(
    foreignModel(
      training(
        selfTraining(
          transfer(
            add(
              program,
              'self-train [DATA]',
              'Noisy Student: a teacher labels, a student learns with noise and becomes the teacher.',
              examples(
                'pupil self-train photos --unlabelled more --model resnet20 --students resnet20,resnet32',
                'pupil self-train photos --labels-per-class 10 --model backbone.onnx --rounds 2',
                'pupil self-train --resume runs/self-train-1',
              ),
            ),
          ),
        ),
      ),
    ),
  );
  selfTrain.action(async (data: string | undefined, options: SelfTrainOptions) =>
    (await import('./commands/self-train.js')).selfTrain(data, options, terminal),
  );

  const learn = common(
    foreignModel(
      training(
        climbing(
          transfer(
            add(
              program,
              'learn [DATA]',
              'The ladder: try technique after technique, keep what helps on held-out images.',
              examples(
                'pupil learn photos --unlabelled more --model backbone.onnx --minutes 30',
                'pupil learn photos --labels-per-class 10 --model resnet20 --student resnet8',
                'pupil learn --resume runs/learn-1',
              ),
            ),
          ),
        ),
      ),
    ),
  );
  learn.action(async (data: string | undefined, options: LearnOptions) =>
    (await import('./commands/learn.js')).learn(data, options, terminal),
  );

  const search = common(
    foreignModel(
      training(
        transfer(
          searching(
            add(
              program,
              'search [DATA]',
              'Find the augmentation that helps most on held-out images.',
              examples(
                'pupil search photos --model mobilenetv2.onnx --normalize symmetric',
                'pupil search cifar10.tar --labels-per-class 400 --mode scratch --model resnet8 --epochs 27 --n 1,2,3 --m 3,9,15',
                'pupil search photos --space policies --candidates 32 --minutes 60',
                'pupil search --resume runs/search-1',
              ),
            ),
          ),
        ),
      ),
    ),
  );
  search.action(async (data: string | undefined, options: SearchOptions) =>
    (await import('./commands/search.js')).search(data, options, terminal),
  );

  const gap = common(
    foreignModel(
      add(
        program,
        'gap <DATA>',
        'Measure how far training images are from real ones, and how much augmentation helps.',
        examples(
          'pupil gap photos --real camera --model mobilenetv2.onnx --normalize symmetric',
          'pupil gap photos --real photos/val --model runs/photos --augment basic --augment augmix --draws 4',
        ),
      ),
    ),
  );
  gap.optionsGroup('What is compared:');
  option(
    gap,
    '--real <P>',
    'real images: a folder, tar or manifest, labels not needed (required, repeatable)',
    undefined,
    { repeat: true },
  );
  option(gap, '--model <M>', 'whose features are compared: run folder, ONNX file or hf:owner/repo[/file]');
  option(
    gap,
    '--augment <POLICY>',
    'a policy besides none, in any form that train takes (repeatable; default light, basic, randaugment and trivial)',
    undefined,
    { repeat: true },
  );
  option(gap, '--draws <N>', 'how often each training image is augmented (default 2)', integer(1));
  gap.option('--no-flip', 'never mirror');
  option(gap, '--neighbours <K>', 'the k of coverage and density (default 5)', integer(1));
  option(gap, '--top <N>', 'how many of the least covered real images to name (default 12)', integer(0));
  option(gap, '--limit <N>', 'images of each side at most, chosen by seed (default 2000)', integer(3));
  option(gap, '--workers <N>', 'threads that prepare batches (0: none)', integer(0));
  gap.action(async (data: string, options: GapOptions) =>
    (await import('./commands/gap.js')).gap(data, options, terminal),
  );

  const pseudoLabel = common(
    foreignModel(
      add(
        program,
        'pseudo-label <P>',
        'Label images with a trained model, as a file to check, correct and train on.',
        examples(
          'pupil pseudo-label camera --model runs/photos --threshold 0.8 --exclude photos --out camera.csv',
          'pupil pseudo-label camera.tar --model runs/photos --soft --per-class 500 --out camera.parquet',
        ),
      ),
    ),
    '--out <FILE>',
    'the .parquet or .csv file to write (required)',
  );
  pseudoLabel.optionsGroup('Labelling:');
  option(pseudoLabel, '--model <M>', 'the teacher: run folder, ONNX file or hf:owner/repo[/file] (required)');
  option(pseudoLabel, '--threshold <P>', 'accept labels of at least this confidence (default 0.3)', probability);
  pseudoLabel.option('--soft', 'let training learn from the probabilities instead of the labels');
  option(
    pseudoLabel,
    '--per-class <K>',
    'accept the K most confident of each class, short classes duplicated up to K',
    integer(1),
  );
  pseudoLabel
    .option('--balance', 'duplicate images of short classes (the default with --per-class)')
    .option('--no-balance', 'never duplicate');
  option(
    pseudoLabel,
    '--exclude <DATA>',
    'leave out images that are also in DATA, in any split (repeatable)',
    undefined,
    { repeat: true },
  );
  option(pseudoLabel, '--like <DATA>', 'do not accept images that are unlike all of DATA (repeatable)', undefined, {
    repeat: true,
  });
  option(pseudoLabel, '--batch-size <N>', 'images predicted at once', integer(1));
  option(pseudoLabel, '--workers <N>', 'threads that decode images (0: none)', integer(0));
  pseudoLabel.action(async (source: string, options: PseudoLabelOptions) =>
    (await import('./commands/pseudo-label.js')).pseudoLabel(source, options, terminal),
  );

  const evaluate = common(
    foreignModel(
      add(
        program,
        'evaluate <MODEL> <DATA>',
        'Measure a model on labelled images.',
        examples(
          'pupil evaluate runs/photos photos',
          'pupil evaluate runs/photos/model.onnx photos --split val --tta --json',
        ),
      ),
    ),
  );
  option(
    evaluate.optionsGroup('Evaluation:'),
    '--split <SPLIT>',
    'train|val|test|all (default test, else val, else all)',
    choice(['train', 'val', 'test', 'all'] as const),
  );
  evaluate.option('--tta', 'average predictions over flips and crops');
  option(evaluate, '--batch-size <N>', 'images predicted at once', integer(1));
  evaluate.action(async (model: string, data: string, options: EvaluateOptions) =>
    (await import('./commands/evaluate.js')).evaluate(model, data, options, terminal),
  );

  const predict = common(
    foreignModel(
      add(
        program,
        'predict <MODEL> <IMAGE...>',
        'Say what is in images (files, or folders of images).',
        examples('pupil predict runs/photos photo.jpg', 'pupil predict runs/photos/model.onnx holiday/*.jpg --json'),
      ),
    ),
  );
  predict.optionsGroup('Prediction:').option('--tta', 'average predictions over flips and crops');
  option(predict, '--top <N>', 'classes to show for each image (default 3)', integer(1));
  predict.action(async (model: string, images: string[], options: PredictOptions) =>
    (await import('./commands/predict.js')).predict(model, images, options, terminal),
  );

  const exporting = common(
    add(
      program,
      'export <RUN>',
      'Write the model of a run as one ONNX file for any onnxruntime.',
      examples('pupil export runs/photos --out photos.onnx', 'pupil export runs/photos --fp16 --out photos-half.onnx'),
    ),
    '--out <FILE>',
    'the file to write (required)',
  );
  exporting
    .optionsGroup('Export:')
    .option('--fp16', 'store weights as half floats: half the size')
    .option('--int8 <DATA>', 'compute on 8-bit integers, scaled by images of DATA: a quarter of the size, faster');
  exporting.action(async (run: string, options: ExportOptions) =>
    (await import('./commands/export.js')).exportRun(run, options, terminal),
  );

  const doctor = common(
    add(
      program,
      'doctor <DATA>',
      'Check images, labels and splits without training.',
      examples('pupil doctor photos', 'pupil doctor photos.csv --json'),
    ),
  );
  doctor.optionsGroup('Checking:').option('--all', 'name every file concerned, not only the first ones');
  option(doctor, '--unlabelled <PATH>', 'images without labels to check along (repeatable)', undefined, {
    repeat: true,
  });
  doctor.action(async (data: string, options: DoctorOptions) =>
    (await import('./commands/doctor.js')).doctor(data, options, terminal),
  );

  const augment = common(
    add(
      program,
      'augment <IMAGE|DIR>',
      'Draw a sheet of what augmentation does to images.',
      examples(
        'pupil augment photo.jpg --out sheet.png                                   every op, by magnitude',
        'pupil augment photo.jpg --policy randaugment:n=2,m=9 --out draws.png      what training would see',
        'pupil augment photos --cutmix --out mixed.png                             mixed batches and their labels',
      ),
    ),
    '--out <FILE>',
    'the PNG file to write (required)',
  );
  augment.optionsGroup('What to draw:');
  option(augment, '--op <NAME>', 'one op, such as rotate or shear-x, instead of all');
  option(augment, '--magnitude <M>', 'before and after at this magnitude (default: across magnitudes)', notNegative);
  option(augment, '--scale <NAME>', `what magnitudes mean: ${scales.join('|')} (default torchvision)`, choice(scales));
  option(augment, '--policy <POLICY>', 'draws of a policy, in any form that --augment of train takes');
  option(
    augment,
    '--count <N>',
    'draws (default 24; of a folder, 6 of each image)',
    number('a whole number from 1 to 500', (n) => Number.isInteger(n) && n >= 1 && n <= 500),
  );
  option(
    augment,
    '--size <N>',
    "the model's input size, in draws (default 224)",
    number('a whole number from 1 to 2048', (n) => Number.isInteger(n) && n >= 1 && n <= 2048),
  );
  augment.option('--no-flip', 'never mirror');
  option(
    augment,
    '--erase [P]',
    'erase a random part of this share of the draws (0.25 if not given)',
    optional(probability, '0.25'),
    { bare: '0.25' },
  );
  option(
    augment,
    '--cutmix [ALPHA]',
    "batches of a folder's images mixed by CutMix (1 if not given)",
    optional(positive, '1'),
    { bare: '1' },
  );
  option(augment, '--mixup [ALPHA]', 'batches blended by MixUp (0.2 if not given)', optional(positive, '0.2'), {
    bare: '0.2',
  });
  augment.action(async (path: string, options: AugmentOptions) =>
    (await import('./commands/augment.js')).augment(path, options, terminal),
  );

  const models = add(
    program,
    'models',
    'List, download and look into models.',
    examples('pupil models list', 'pupil models pull hf:owner/repo', 'pupil models inspect backbone.onnx'),
  ).usage('list|pull|inspect');
  models.action(() => {
    throw new PupilError('usage', 'models needs one of list, pull, inspect; see pupil models --help');
  });
  const list = common(
    add(
      models,
      'list',
      'The architectures that can be trained from scratch.',
      examples('pupil models list', 'pupil models list --json'),
    ),
  );
  list.action(async (options: CommonOptions) => (await import('./commands/models.js')).list(options, terminal));
  const pull = common(
    add(
      models,
      'pull <MODEL>',
      'Download a model from the Hugging Face hub.',
      examples(
        'pupil models pull hf:owner/repo',
        'pupil models pull hf:owner/repo/onnx/model.onnx',
        'pupil models pull hf:timm/efficientnet_b0.ra_in1k',
      ),
    ),
  );
  pull.action(async (model: string, options: CommonOptions) =>
    (await import('./commands/models.js')).pull(model, options, terminal),
  );
  const inspect = common(
    foreignModel(
      add(
        models,
        'inspect <MODEL>',
        'Inputs, parameters, FLOPs, head, and every op with whether it can be trained through.',
        examples('pupil models inspect backbone.onnx', 'pupil models inspect runs/photos --json'),
      ),
    ),
  );
  inspect.action(async (model: string, options: InspectOptions) =>
    (await import('./commands/models.js')).inspect(model, options, terminal),
  );

  const report = common(
    add(program, 'report <RUN>', 'Write report.html of a run again.', examples('pupil report runs/photos')),
  );
  report.action(async (run: string, options: CommonOptions) =>
    (await import('./commands/report.js')).report(run, options, terminal),
  );
  return program;
}

export type { SearchOptions };
export interface ForeignOptions extends CommonOptions {
  readonly head?: string;
  readonly normalize?: string;
  readonly size?: number;
}
export type InspectOptions = ForeignOptions;
export interface DoctorOptions extends CommonOptions {
  readonly all?: true;
  readonly unlabelled?: readonly string[];
}
export interface AugmentOptions extends CommonOptions {
  readonly op?: string;
  readonly magnitude?: number;
  readonly scale?: ScaleName;
  readonly policy?: string;
  readonly count?: number;
  readonly size?: number;
  readonly flip?: boolean;
  readonly erase?: number;
  readonly cutmix?: number;
  readonly mixup?: number;
}
export type GapOptions = ForeignOptions &
  Pick<Gap, 'real' | 'model' | 'augment' | 'draws' | 'flip' | 'neighbours' | 'top' | 'limit' | 'workers'>;
export type PseudoLabelOptions = ForeignOptions &
  Pick<
    Labelling,
    'model' | 'threshold' | 'soft' | 'perClass' | 'balance' | 'exclude' | 'like' | 'batchSize' | 'workers'
  >;
export interface EvaluateOptions extends ForeignOptions {
  readonly split?: 'train' | 'val' | 'test' | 'all';
  readonly tta?: true;
  readonly batchSize?: number;
}
export interface PredictOptions extends ForeignOptions {
  readonly tta?: true;
  readonly top?: number;
}
export interface ExportOptions extends CommonOptions {
  readonly fp16?: boolean;
  /** Images to calibrate on. */
  readonly int8?: string;
}
