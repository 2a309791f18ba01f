import type { Metrics } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import type { Block, CellImages, Section } from './blocks.js';
import type { Series } from './charts.js';
import { configuration } from './configuration.js';
import {
  aboutChance,
  aboutImages,
  alsoDecided,
  calibrationErrorText,
  measuredOn,
  reliability,
  notMeasured,
  type Evaluation,
  type Prediction,
} from './evaluation.js';
import { duration, percent, short } from './format.js';
import type { History } from './history.js';
import type { Figure, Html } from './html.js';
import { rangeOf, rangeText } from './intervals.js';
import type { CardPart } from './model-card.js';
import type { Picture, Pictures } from './photo.js';
import { renderPage } from './render.js';
import type { TechniqueSection } from './sections.js';

export interface PageContents {
  readonly title: string;
  /** run.json */
  readonly config: object;
  /** What the run took. */
  readonly seconds: number | undefined;
  readonly history: History;
  readonly evaluation: Evaluation | undefined;
  /** Wrong predictions to show, worst first. */
  readonly mistakes: readonly Prediction[];
  /** Which of them are explained: names of pictures by path. */
  readonly explained: ReadonlyMap<string, string>;
  /** Images of cells of the confusion matrix: of confused pairs, and of classes that were recognised. */
  readonly confused: readonly CellImages[];
  readonly recognised: readonly CellImages[];
  readonly card: readonly CardPart[] | undefined;
  /** What the run's technique has to show. */
  readonly sections: readonly TechniqueSection[];
  readonly modelBytes: number | undefined;
  /** The first training batch, augmented. */
  readonly preview: Picture | undefined;
}

/** The whole document of a training. */
export const page = (contents: PageContents, pictures: Pictures): Html =>
  renderPage({ title: contents.title, head: headline(contents), sections: sectionsOf(contents) }, pictures);

/** What a page shows of a training, in order, as data. */
export function sectionsOf(contents: PageContents): Section[] {
  const { evaluation, history, card, preview, config } = contents;
  const placed = (place: TechniqueSection['place']): Section[] =>
    contents.sections.filter((section) => section.place === place).map(({ title, blocks }) => ({ title, blocks }));
  const unmeasured: Section = {
    title: 'Evaluation',
    blocks: [
      {
        type: 'text',
        text:
          'Nothing was measured: no labelled image was held out of training, or the run was interrupted. Give two ' +
          'labels or more of each class without switching folds off, or a val/ folder.',
      },
    ],
  };
  return [
    ...placed('head'),
    ...placed('first'),
    ...curves(history),
    ...placed('after curves'),
    ...(evaluation !== undefined ? evaluated(contents, evaluation) : placed('first').length > 0 ? [] : [unmeasured]),
    ...section('The first training batch, augmented', preview, (picture) => [
      { type: 'picture', picture, alt: 'The images of the first training batch with their labels' },
    ]),
    ...section('Model card', card, (parts) => [
      { type: 'text', text: 'What goes with the model when you pass it on; also in model-card.md.' },
      { type: 'lists', lists: parts },
    ]),
    configuration(config),
  ];
}

const section = <T>(title: string, value: T | undefined, blocks: (value: T) => readonly Block[]): Section[] =>
  value === undefined ? [] : [{ title, blocks: blocks(value) }];

function accuracyFigure(title: string, measured: NonNullable<Metrics['drawn']>, of = ''): Figure {
  const { top1, count } = measured;
  const wrong = count - Math.round(top1 * count);
  const range = rangeOf(measured);
  const interval = range === undefined ? '' : `; 95% interval ${rangeText(range)}`;
  return [title, percent(top1), `${wrong} of ${short(count)}${of} wrong${interval}`];
}

function headline({ config, seconds, evaluation, history, modelBytes, mistakes }: PageContents): Block[] {
  const figures: Figure[] = [];
  if (evaluation !== undefined) {
    const { drawn } = evaluation;
    if (drawn !== undefined) figures.push(accuracyFigure('Accuracy', drawn, ' drawn at random'));
    figures.push(accuracyFigure(drawn === undefined ? 'Accuracy' : 'On all of them', evaluation));
    if (evaluation.classes.length > 5) figures.push(['Among top 5', percent(evaluation.top5)]);
    figures.push(['Loss', short(evaluation.loss)], ['Calibration error', calibrationErrorText(evaluation)]);
  }
  if (history.epochs > 0) figures.push(['Epochs', String(history.epochs)]);
  if (seconds !== undefined) figures.push(['Time', duration(seconds)]);
  if (modelBytes !== undefined) figures.push([runFiles.model.name, `${(modelBytes / 1e6).toPrecision(3)} MB`]);
  const text = [
    evaluation &&
      `Measured on ${short(evaluation.count)} ${measuredOn(evaluation.split)}, ${evaluation.classes.length} classes.`,
    ...(evaluation ? aboutImages(evaluation) : []),
    evaluation && alsoDecided(config, evaluation),
    evaluation && mistakes.length === 0 && evaluation.count > 0 ? 'Every image was classified correctly.' : undefined,
    evaluation && notMeasured(evaluation),
    evaluation && aboutChance(evaluation),
    evaluation && evaluation.calibration === undefined
      ? 'Confidences are not calibrated: no labels were held out for that.'
      : undefined,
  ];
  return [
    { type: 'text', text: text.filter((sentence) => sentence !== undefined).join(' ') },
    { type: 'figures', figures },
  ];
}

function curves({ loss, accuracy, rate }: History): Section[] {
  const charts = [
    { title: 'Loss', series: loss },
    { title: 'Accuracy', series: accuracy, options: { share: true } },
    { title: 'Learning rate', series: rate },
  ].filter(({ series }) => series.some(({ points }: Series) => points.length >= 2));
  if (charts.length === 0) return [];
  const text = loss.some(({ name }) => name === 'validation')
    ? 'Training images are augmented, so their loss may be higher than the validation loss. The validation images ' +
      'decide which epoch is kept.'
    : 'Measured on the training images while they are augmented.';
  return [
    {
      title: 'Learning curves',
      blocks: [
        { type: 'text', text },
        { type: 'charts', charts },
      ],
    },
  ];
}

/** Beyond this many classes a matrix cannot be read; the confused pairs tell the same. */
const largestMatrix = 60;
/** With fewer predictions a reliability diagram says nothing. */
const leastPredictions = 20;

function evaluated({ confused, recognised, mistakes, explained }: PageContents, evaluation: Evaluation): Section[] {
  const { classes, confusion, predictions } = evaluation;
  const matrix: readonly Block[] =
    classes.length > largestMatrix
      ? [
          {
            type: 'text',
            isNote: true,
            text: `${classes.length} classes are too many for a table. The most frequent confusions are below.`,
          },
        ]
      : [
          {
            type: 'text',
            text:
              'Rows: the true class. Columns: the predicted class. Colour shows the share of the row. Underlined ' +
              'numbers lead to images.',
          },
          { type: 'matrix', classes, confusion, linked: [...confused, ...recognised] },
        ];
  const some = <T>(items: readonly T[]): readonly T[] | undefined => (items.length > 0 ? items : undefined);
  return [
    { title: 'Classes', blocks: [perClass(evaluation)] },
    { title: 'Confusion matrix', blocks: matrix },
    ...section('Most frequent confusions', some(confused), (cells) => [{ type: 'cells', classes, cells }]),
    ...section('Worst mistakes', some(mistakes), (images) => [
      {
        type: 'text',
        text:
          'Wrong predictions with the highest confidence. Check their labels: some may be wrong in your data.' +
          (explained.size > 0
            ? ' Below each, warm colours show what spoke for the prediction, in what the network sees of it.'
            : ''),
      },
      {
        type: 'judged',
        images: images.map(({ path, label, predicted, confidence }) => ({
          ...{ path, confidence },
          label: classes[label] ?? '\u2013',
          predicted: classes[predicted] ?? '\u2013',
          explained: explained.get(path),
        })),
      },
    ]),
    ...section('Correct predictions', some(recognised), (cells) => [
      { type: 'text', text: 'Of each class the surest and the least sure in turn.' },
      { type: 'cells', classes, cells },
    ]),
    ...section('Reliability', predictions.length < leastPredictions ? undefined : reliability(evaluation), (bins) => [
      {
        type: 'text',
        text:
          'How often predictions are right, by how sure the model is. On the dashed line confidences are honest; ' +
          'below it the model is too sure of itself.',
      },
      {
        type: 'reliability',
        bins,
        note:
          'Tenths of confidence; large dots are many images, bars are 95% intervals. Calibration error ' +
          `${calibrationErrorText(evaluation)}.`,
      },
    ]),
  ];
}

function perClass({ classes, perClass: metrics }: Evaluation): Block {
  const rows = classes.flatMap((name) => {
    const item = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
    if (item === undefined) return [];
    const share = (value: number): { readonly share: number | null } => ({ share: item.count === 0 ? null : value });
    return [[name, item.count, share(item.recall), share(item.precision)]];
  });
  return {
    type: 'table',
    columns: [
      { title: 'Class', kind: 'value' },
      { title: 'Images', kind: 'number' },
      { title: 'Recall', kind: 'number' },
      { title: 'Precision', kind: 'number' },
    ],
    rows,
    note:
      'Recall: of all images of a class, how many were recognised. Precision: of all images predicted as a class, ' +
      'how many were right.',
  };
}
