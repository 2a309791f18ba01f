import type { UnlabelledEpoch } from '../artifact/formats.js';
import type { Block, Words } from './blocks.js';
import type { Series } from './charts.js';
import { percent } from './format.js';
import { mapValues, numberOf, objectOf, optionalNumberOf, type Json } from './json.js';

/** The `unlabelled` of each epoch. */
export interface UnlabelledHistory {
  readonly epochs: readonly (UnlabelledEpoch & { readonly epoch: number })[];
  /** In the order of the first epoch that tells of them. */
  readonly classes: readonly string[];
}

/** Reads the epochs of metrics.jsonl that had unlabelled images; undefined without one. */
export function readUnlabelled(records: readonly Json[]): UnlabelledHistory | undefined {
  const epochs = records
    .filter((record) => record['type'] === 'epoch' && Object.keys(objectOf(record['unlabelled'])).length > 0)
    .map((record) => {
      const { kept, weight, right, known, perClass, thresholds } = objectOf(record['unlabelled']);
      return {
        epoch: numberOf(record['epoch']),
        kept: numberOf(kept),
        weight: numberOf(weight),
        right: optionalNumberOf(right),
        known: optionalNumberOf(known),
        perClass: mapValues(perClass, (item) => ({
          kept: numberOf(objectOf(item)['kept']),
          predicted: numberOf(objectOf(item)['predicted']),
        })),
        thresholds: mapValues(thresholds, numberOf),
      };
    })
    .filter(({ epoch }) => !Number.isNaN(epoch));
  return epochs.length === 0
    ? undefined
    : { epochs, classes: [...new Set(epochs.flatMap(({ perClass }) => Object.keys(perClass)))] };
}

/** Beyond this many classes each has a strip instead of a chart. */
const mostCharts = 10;
/** Strips have at most so many steps. */
const mostSteps = 60;

type Epoch = UnlabelledHistory['epochs'][number];

const seriesOf = (
  name: string,
  colour: string,
  epochs: readonly Epoch[],
  value: (epoch: Epoch) => number | undefined,
  dashed = false,
): Series => ({
  name,
  colour,
  dashed,
  points: epochs.flatMap((epoch) => {
    const y = value(epoch);
    return y === undefined || Number.isNaN(y) ? [] : [{ x: epoch.epoch, y }];
  }),
});

const drawn = (series: readonly Series[]): Series[] => series.filter(({ points }) => points.length > 0);

/**
 * What became of unlabelled images by epoch: how many were kept, how many of those were right, and
 * of which classes.
 */
export function unlabelledBlocks({ epochs, classes }: UnlabelledHistory): Block[] {
  const last = epochs.at(-1)!;
  const hasWeight = epochs.some(({ kept, weight }) => Math.abs(kept - weight) > 0.005);
  const overall = drawn([
    seriesOf('used', 'var(--selection)', epochs, ({ kept }) => kept),
    seriesOf('mean weight', 'var(--train)', epochs, ({ weight }) => (hasWeight ? weight : undefined), true),
    seriesOf('accuracy of used images', 'var(--good)', epochs, ({ right }) => right),
  ]);
  const blocks: Block[] = [
    {
      type: 'text',
      text: [
        'The network learns from an unlabelled image only when it is confident of its class. In epoch ' +
          `${last.epoch} it used `,
        { strong: percent(last.kept) },
        ' of the unlabelled images',
        ...truthOf(epochs),
        '.',
      ],
    },
  ];
  if (epochs.length > 1 && overall.length > 0)
    blocks.push({
      type: 'charts',
      charts: [
        {
          title: 'All unlabelled images',
          series: overall,
          options: { label: 'Unlabelled images', share: true, domain: [0, 1] },
        },
      ],
    });
  if (classes.length > 0)
    blocks.push(
      { type: 'heading', text: 'Used by class' },
      classes.length <= mostCharts && epochs.length > 1 ? smallCharts(epochs, classes) : strips(epochs, classes),
    );
  return blocks;
}

function truthOf(epochs: readonly Epoch[]): Words[] {
  const { right } = epochs.at(-1)!;
  if (right === undefined) return [];
  const known = Math.max(0, ...epochs.map((epoch) => epoch.known ?? 0));
  const counted =
    known > 0
      ? ` (the true label is known for ${known.toLocaleString('en-US')} of them, and used only for this number)`
      : '';
  return [', and ', { strong: percent(right) }, ` of those were right${counted}`];
}

const whole = (share: number = NaN): string => (Number.isNaN(share) ? '\u2013' : `${Math.round(100 * share)}%`);

function smallCharts(epochs: readonly Epoch[], classes: readonly string[]): Block {
  const last = epochs.at(-1)!;
  return {
    type: 'multiples',
    charts: classes.map((name) => ({
      title: name,
      series: drawn([
        seriesOf('used', 'var(--selection)', epochs, ({ perClass }) => perClass?.[name]?.kept),
        seriesOf('share of all predictions', 'var(--train)', epochs, ({ perClass }) => perClass?.[name]?.predicted),
        seriesOf('confidence needed', 'var(--soft)', epochs, ({ thresholds }) => thresholds?.[name], true),
      ]),
      caption: `used ${whole(last.perClass?.[name]?.kept)}, predicted ${whole(last.perClass?.[name]?.predicted)}`,
    })),
    options: { share: true, domain: [0, 1] },
    note:
      `Used: the share of the images predicted as this class. With ${classes.length} classes of equal size, each ` +
      `would be ${percent(1 / classes.length)} of all predictions. Numbers are from epoch ${last.epoch}.`,
  };
}

/** A line of colour for each class, the least kept first. */
function strips(epochs: readonly Epoch[], classes: readonly string[]): Block {
  const first = epochs[0]!,
    last = epochs.at(-1)!;
  const steps = Math.min(epochs.length, mostSteps);
  const shown = Array.from({ length: steps }, (_, i) => epochs[Math.round(((i + 1) * epochs.length) / steps) - 1]!);
  const keptOf = (epoch: Epoch, name: string): number => epoch.perClass?.[name]?.kept ?? NaN;
  const rank = (name: string): number => (Number.isNaN(keptOf(last, name)) ? -1 : keptOf(last, name));
  const order = [...classes].sort((a, b) => rank(a) - rank(b));
  const ends = first === last ? `epoch ${last.epoch}` : `epochs ${first.epoch} to ${last.epoch}, left to right`;
  return {
    type: 'strips',
    rows: order.map((name) => ({
      name,
      title:
        `${name}: used ${percent(keptOf(last, name))}, ` +
        `predicted ${percent(last.perClass?.[name]?.predicted ?? NaN)}`,
      drawn: shown.map((epoch) => (Number.isNaN(keptOf(epoch, name)) ? null : keptOf(epoch, name))),
      number: percent(keptOf(last, name)),
    })),
    notes: [
      `Darker: more of the images predicted as this class were used; ${ends}. Least used first; numbers are from ` +
        `epoch ${last.epoch}.`,
    ],
  };
}
