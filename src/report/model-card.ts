/** A model card (Mitchell et al. 2019): what somebody has to know who is given the model. */
import { counted, list } from '../data/dataset.js';
import { independentOf, wilson } from '../evaluate/metrics.js';
import { reproduce } from '../options/command.js';
import {
  aboutChance,
  aboutImages,
  alsoDecided,
  balancedText,
  calibrationErrorText,
  confusions,
  hasAllClasses,
  measuredOn,
  notMeasured,
  type Evaluation,
} from './evaluation.js';
import { percent, short } from './format.js';
import { rangeText } from './intervals.js';
import { objectOf, textOf, textsOf } from './json.js';
import type { BackboneSource } from '../models/model.js';

export interface CardContents {
  readonly title: string;
  /** run.json, without places of this machine. */
  readonly config: object;
  readonly evaluation: Evaluation | undefined;
  /** How many images it learned from. */
  readonly learned: { readonly labelled: number; readonly unlabelled: number } | undefined;
  readonly modelBytes: number;
  /** What was warned of while it was made; default nothing. */
  readonly warnings?: readonly string[] | undefined;
  /** What the file takes; default `pixels`. */
  readonly input?: 'pixels' | 'pixel_values' | undefined;
}

const inputs = {
  pixels: 'pixels uint8 [N, height, width, 3] in RGB, already resized, to logits and probabilities',
  pixel_values: 'pixel_values float32 [N, 3, height, width], prepared by preprocessor_config.json, to logits',
};

export interface CardPart {
  readonly title: string;
  readonly lines: readonly string[];
}

export const modelCard = (contents: CardContents): CardPart[] => [
  { title: 'Model', lines: describeModel(contents) },
  { title: 'Training', lines: describeTraining(contents) },
  { title: 'Evaluation', lines: describeEvaluation(contents) },
  { title: 'Limits', lines: describeLimits(contents) },
  ...(contents.warnings ? [{ title: 'Warnings while it was trained', lines: contents.warnings }] : []),
];

function describeModel({ config, evaluation, modelBytes, input = 'pixels' }: CardContents): string[] {
  const { architecture, classes } = config as { readonly architecture?: unknown; readonly classes?: unknown };
  const names = evaluation?.classes ?? textsOf(classes);
  const { backbone, teachers } = config as { readonly backbone?: unknown; readonly teachers?: unknown };
  return [
    `Classifies images into ${names.length} classes: ${list(names, 30)}.`,
    `${textOf(architecture) ?? 'The network'} as model.onnx, ${(modelBytes / 1e6).toPrecision(3)} MB: ` +
      `${inputs[input]}. Class names and preprocessing are in its metadata.`,
    ...licenceLines(sourceOf(backbone), Array.isArray(teachers) ? teachers.map(sourceOf) : []),
    'Intended use: to be stated by whoever passes it on.',
  ];
}

function sourceOf(value: unknown): BackboneSource {
  const { name, licence } = objectOf(value);
  return { name: textOf(name) ?? null, licence: textOf(licence) ?? null };
}

/** What has to be known to pass a model on: the licences of the network that it comes from, and of its teachers. */
export const licenceLines = (backbone: BackboneSource, teachers: readonly BackboneSource[]): string[] => [
  ...(isKnown(backbone) || teachers.length === 0 ? [licenceLine(backbone)] : []),
  ...teachers.map(
    ({ name, licence }) =>
      `It also learned from ${name ?? 'another network'}, ` +
      (licence === null
        ? 'whose licence is unknown: its source states none. Ask before passing the model on.'
        : `which has the licence ${licence}: whoever passes the model on keeps to it.`),
  ),
];

const isKnown = ({ name, licence }: BackboneSource): boolean => name !== null || licence !== null;

function licenceLine({ name, licence }: BackboneSource): string {
  if (name === null && licence === null) return 'Licence: to be stated by whoever passes it on.';
  const origin = name === null ? 'The model' : `The pretrained network, ${name},`;
  return licence === null
    ? `${origin} has a licence that is unknown: its source states none. It also holds for this model; ask before ` +
        'passing it on.'
    : `${origin} has the licence ${licence}, which also holds for this model.`;
}

function describeTraining({ config, learned }: CardContents): string[] {
  const settings = objectOf((config as { readonly settings?: unknown }).settings);
  const { dataHash, versions } = config as { readonly dataHash?: unknown; readonly versions?: unknown };
  const { mode, technique, model, student } = settings;
  const networks = [model, ...(student === undefined ? [] : [student])].filter((name) => typeof name === 'string');
  const how = [textOf(mode), textOf(technique)].filter((word) => word !== undefined && word !== 'supervised');
  const version = textOf(objectOf(versions)['pupil']);
  const again = reproduce(config);
  return [
    `Trained with Pupil${version === undefined ? '' : ` ${version}`}${how.length === 0 ? '' : ` (${how.join(', ')})`}` +
      `${networks.length === 0 ? '' : `, from ${networks.join(' and its student ')}`}.`,
    ...(learned === undefined
      ? []
      : [
          `Learned from ${counted(learned.labelled, 'labelled image')}` +
            `${learned.unlabelled === 0 ? '' : ` and ${counted(learned.unlabelled, 'image')} without their labels`}` +
            `${typeof dataHash === 'string' ? ` (hash of the data: ${dataHash})` : ''}.`,
        ]),
    ...(again === undefined ? [] : [`Command: ${again}`]),
  ];
}

function describeEvaluation({ config, evaluation }: CardContents): string[] {
  if (evaluation === undefined) return ['Not measured: no labelled image was held out.'];
  const { top1, count, split, classes, perClass, calibration } = evaluation,
    interval = wilson(top1, independentOf(evaluation));
  const measured = classes
    .flatMap(
      (name) =>
        (Object.hasOwn(perClass, name) && perClass[name]!.count > 0 ? [[name, perClass[name]!]] : []) as [
          string,
          { recall: number; count: number },
        ][],
    )
    .sort((a, b) => a[1].recall - b[1].recall);
  return [
    `Accuracy ${percent(top1)} (95% interval ${rangeText(interval)}) on ${short(count)} ` +
      `${measuredOn(split)}${hasAllClasses(evaluation) ? `; balanced accuracy ${balancedText(evaluation)}` : ''}.`,
    ...aboutImages(evaluation),
    ...[notMeasured(evaluation), aboutChance(evaluation), alsoDecided(config, evaluation)].filter(
      (line) => line !== undefined,
    ),
    ...(measured.length < 2
      ? []
      : [
          `Recall by class, the lowest first: ${list(
            measured.map(([name, { recall, count: n }]) => `${name} ${percent(recall)} of ${n}`),
            10,
          )}.`,
        ]),
    calibration === undefined
      ? 'Confidences are not calibrated.'
      : `Confidences are calibrated (temperature ${calibration.temperature.toFixed(2)}); calibration error ` +
        `${calibrationErrorText(evaluation)}.`,
  ];
}

function describeLimits({ evaluation }: CardContents): string[] {
  const refused = evaluation?.refused;
  const lines = [
    refused === undefined
      ? 'An image of none of these classes is given one of them all the same, unless a threshold of confidence is set.'
      : 'An image unlike those of every class is none of these to it, as it says of ' +
        `${counted(refused, 'image')} of those measured. One that resembles a class is given it all the same.`,
    'Images of other cameras, places or times than those measured may be recognised less often.',
  ];
  if (evaluation === undefined) return lines;
  const confused = confusions(evaluation)
    .slice(0, 3)
    .map(
      ({ truth, predicted, count }) =>
        `${evaluation.classes[truth]} taken for ${evaluation.classes[predicted]} (${counted(count, 'image')})`,
    );
  if (confused.length > 0) lines.push(`Most frequent confusions: ${list(confused)}.`);
  return lines;
}

/** Text in Markdown as it is, on one line. */
export const escaped = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').replace(/[\\`*_{}[\]<>#|]/g, '\\$&');

/** Parts of a card in Markdown. */
export const cardBody = (parts: readonly CardPart[]): string =>
  parts.map((part) => `## ${part.title}\n\n${part.lines.map((line) => `- ${escaped(line)}`).join('\n')}\n`).join('\n');

/** The card as a Markdown file, with the heading that the Hugging Face hub reads. */
export function cardText(title: string, parts: readonly CardPart[]): string {
  const head =
    '---\npipeline_tag: image-classification\nlibrary_name: onnx\ntags: [image-classification, onnx, pupil]\n---';
  return `${head}\n\n# ${escaped(title)}\n\n${cardBody(parts)}`;
}
