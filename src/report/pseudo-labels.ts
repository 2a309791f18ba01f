import type { PseudoLabelRound, PseudoLabelsFile } from '../artifact/formats.js';
import type { PseudoClassDescription } from '../data/pseudo-labels.js';
import type { Bars, Block, BlockOf, Cell, Chart, LegendItem, Words } from './blocks.js';
import { percent, short } from './format.js';
import type { Figure } from './html.js';
import { listOf, mapValues, numberOf, objectOf, optionalNumberOf, textOf, textsOf } from './json.js';
import { fileName, placeOf } from './places.js';

/** Reads pseudo-labels.json; undefined without a round. */
export function readPseudoLabels(value: unknown): PseudoLabelsFile | undefined {
  const rounds = listOf(objectOf(value)['rounds']).map(readRound);
  return rounds.length === 0 ? undefined : { rounds };
}

function readRound(value: unknown, i: number): PseudoLabelRound {
  const round = objectOf(value),
    truth = objectOf(round['truth']),
    strangers = objectOf(round['outOfDistribution']);
  return {
    round: typeof round['round'] === 'number' ? round['round'] : i + 1,
    name: textOf(round['name']),
    teacher: placeOf(textOf(round['teacher']) ?? '') || undefined,
    moved: optionalNumberOf(round['moved']),
    threshold: optionalNumberOf(round['threshold']),
    total: numberOf(round['total']),
    accepted: numberOf(round['accepted']),
    meanConfidence: numberOf(round['meanConfidence']),
    histogram: listOf(round['histogram']).slice(0, 100).map(numberOf),
    acceptedHistogram: listOf(round['acceptedHistogram']).slice(0, 100).map(numberOf),
    perClass: mapValues(round['perClass'], (item) => {
      const { predicted, accepted, copies, meanConfidence, known, right } = objectOf(item);
      return {
        predicted: numberOf(predicted),
        accepted: numberOf(accepted),
        copies: numberOf(copies),
        meanConfidence: numberOf(meanConfidence),
        known: optionalNumberOf(known),
        right: optionalNumberOf(right),
      };
    }),
    truth:
      numberOf(truth['known']) > 0
        ? {
            known: numberOf(truth['known']),
            right: numberOf(truth['right']),
            acceptedKnown: numberOf(truth['acceptedKnown']),
            acceptedRight: numberOf(truth['acceptedRight']),
          }
        : undefined,
    samples: mapValues(round['samples'], textsOf),
    doubtful: textsOf(round['doubtful']),
    outOfDistribution:
      numberOf(strangers['count']) > 0
        ? { count: numberOf(strangers['count']), paths: textsOf(strangers['paths']) }
        : undefined,
  };
}

const rightOfAccepted = ({ truth }: PseudoLabelRound): number =>
  truth === undefined ? NaN : truth.acceptedRight / truth.acceptedKnown;
const rightOfAll = ({ truth }: PseudoLabelRound): number => (truth === undefined ? NaN : truth.right / truth.known);
const rightOfClass = ({ known, right }: PseudoClassDescription): number =>
  known === undefined || right === undefined || known === 0 ? NaN : right / known;

/** `Round 2`; of a ladder what it calls the rung: `Consensus`, `Round 2`. */
const titleOf = ({ name, round }: PseudoLabelRound): string =>
  name === undefined ? `Round ${round}` : `${name.charAt(0).toUpperCase()}${name.slice(1)}`;

const labellerOf = ({ name, round, teacher }: PseudoLabelRound): string =>
  name === undefined || name === `round ${round}`
    ? `In round ${round} the teacher`
    : name === teacher
      ? `The ${name}`
      : `For ${name} the teacher`;

/**
 * How many labels a teacher gave, how sure of them, how balanced, how right; round by round, the
 * one that was kept (`kept`: its name; default the last) in full.
 */
export function pseudoLabelsBlocks({ rounds }: PseudoLabelsFile, kept?: string): Block[] {
  const shown = rounds.findLast(({ name }) => name !== undefined && name === kept) ?? rounds.at(-1)!;
  const threshold = shown.threshold === undefined ? '' : `: those of at least ${percent(shown.threshold)} confidence`;
  const right: Words[] = Number.isNaN(rightOfAccepted(shown))
    ? []
    : [
        ' Where the true label is known, ',
        { strong: percent(rightOfAccepted(shown)) },
        ' of the accepted labels are right.',
      ];
  return [
    {
      type: 'text',
      text: [
        rounds.length > 1 ? labellerOf(shown) : 'The teacher',
        ` labelled ${short(shown.total)} images, and `,
        { strong: short(shown.accepted) },
        ` of these labels (${percent(shown.accepted / shown.total)}) were accepted for training${threshold}.`,
        ...right,
      ],
    },
    ...(rounds.length > 1 ? [roundsTable(rounds), { type: 'heading', text: titleOf(shown) } as const] : []),
    ...roundBlocks(shown, most.last, rounds.length > 1 ? [curves(rounds)] : []),
    ...rounds
      .filter((round) => round !== shown)
      .reverse()
      .map((round): Block => ({
        type: 'folded',
        title: titleOf(round),
        blocks: roundBlocks(round, most.earlier),
      })),
  ];
}

function curves(rounds: readonly PseudoLabelRound[]): Chart {
  const points = (value: (round: PseudoLabelRound) => number): { x: number; y: number }[] =>
    rounds.map((round) => ({ x: round.round, y: value(round) })).filter(({ y }) => Number.isFinite(y));
  const series = [
    {
      name: 'accepted',
      colour: 'var(--selection)',
      points: points(({ accepted, total }) => accepted / total),
    },
    { name: 'mean confidence', colour: 'var(--train)', points: points(({ meanConfidence }) => meanConfidence) },
    { name: 'accuracy of accepted labels', colour: 'var(--good)', points: points(rightOfAccepted) },
  ];
  return {
    title: 'Round by round',
    series: series.filter((one) => one.points.length > 0),
    options: { label: 'Pseudo-labels by round', xLabel: 'round', share: true, domain: [0, 1] },
  };
}

/** A column of a table that not all runs have: its heading, and what it shows. */
type Column<Row> = BlockOf<'table'>['columns'][number] & { readonly cell: (row: Row) => Cell };

const tableOf = <Row>(columns: readonly (Column<Row> | false)[], rows: readonly Row[]): BlockOf<'table'> => {
  const shown = columns.filter((column) => column !== false);
  return {
    type: 'table',
    columns: shown.map(({ cell: _, ...column }) => column),
    rows: rows.map((row) => shown.map(({ cell }) => cell(row))),
  };
};

function roundsTable(rounds: readonly PseudoLabelRound[]): Block {
  const has = (name: keyof PseudoLabelRound): boolean => rounds.some((round) => round[name] !== undefined);
  return tableOf<PseudoLabelRound>(
    [
      { title: 'Round', cell: ({ name, round }) => name ?? round },
      // In a ladder the labels of a consensus are its own.
      rounds.some(({ name, teacher }) => teacher !== undefined && teacher !== name) && {
        title: 'Teacher',
        kind: 'value',
        cell: ({ teacher }) => teacher ?? '\u2013',
      },
      { title: 'Threshold', kind: 'number', cell: ({ threshold = NaN }) => percent(threshold) },
      { title: 'Images', kind: 'number', cell: ({ total }) => short(total) },
      {
        title: 'Accepted',
        kind: 'number',
        cell: ({ accepted, total }) => ({ text: short(accepted), detail: percent(accepted / total) }),
      },
      { title: 'Mean confidence', kind: 'number', cell: ({ meanConfidence }) => percent(meanConfidence) },
      has('moved') && { title: 'Changed', kind: 'number', cell: ({ moved = NaN }) => percent(moved) },
      has('truth') && { title: 'Accuracy, all', kind: 'number', cell: (round) => percent(rightOfAll(round)) },
      has('truth') && { title: 'Accuracy, accepted', kind: 'number', cell: (round) => percent(rightOfAccepted(round)) },
    ],
    rounds,
  );
}

/** A round with so many images of accepted samples. */
function roundBlocks(round: PseudoLabelRound, mostSamples: number, beside: readonly Chart[] = []): Block[] {
  const { truth, outOfDistribution: strangers } = round;
  const known = (name: string, share: number, right: number, of: number): Figure => [
    name,
    percent(share),
    `${short(right)} of ${short(of)} with a known label`,
  ];
  const figures: Figure[] = [
    ['Accepted', short(round.accepted), `of ${short(round.total)}, ${percent(round.accepted / round.total)}`],
    [
      'Mean confidence',
      percent(round.meanConfidence),
      strangers === undefined ? 'over all images' : 'over all but those that were skipped',
    ],
  ];
  if (truth !== undefined)
    figures.push(
      known('Accuracy, accepted', rightOfAccepted(round), truth.acceptedRight, truth.acceptedKnown),
      known('Accuracy, all', rightOfAll(round), truth.right, truth.known),
    );
  if (strangers !== undefined) figures.push(['Unlike your labelled images', short(strangers.count), 'skipped']);
  const charts = [...sureness(round), ...beside];
  return [
    { type: 'figures', figures },
    ...(charts.length > 0 ? [{ type: 'charts', charts } as const] : []),
    ...balance(round),
    ...images(round, mostSamples),
  ];
}

function sureness({ histogram: all, acceptedHistogram, threshold }: PseudoLabelRound): Chart[] {
  if (all.length === 0) return [];
  return [
    {
      title: "The teacher's confidence",
      histogram: [
        { name: 'all images', colour: 'var(--pale)', counts: all },
        { name: 'accepted', colour: 'var(--selection)', counts: acceptedHistogram },
      ],
      options: {
        label: 'Images by confidence',
        xLabel: 'confidence',
        mark: threshold === undefined ? undefined : { at: threshold, name: 'threshold' },
      },
    },
  ];
}

/** Up to so many classes stand in a table at once; more get a bar each, and the table is folded. */
const longestTable = 12;
/** Classes that nothing was predicted as, by name. */
const mostNames = 12;

const legend: readonly LegendItem[] = [
  { name: 'predicted', colour: 'var(--pale)' },
  { name: 'accepted', colour: 'var(--selection)' },
  { name: 'in the training set, with copies', colour: 'var(--ink)', shape: 'rule' },
];

function balance({ perClass }: PseudoLabelRound): Block[] {
  const classes = Object.entries(perClass);
  if (classes.length === 0) return [];
  const counts = classes.flatMap(([, { predicted, copies }]) => [predicted, copies]);
  const longest = Math.max(1, ...counts.filter(Number.isFinite));
  const shareOf = (count: number): number => (Number.isFinite(count) ? count / longest : 0);
  const barsOf = ({ predicted, accepted, copies }: PseudoClassDescription): Bars => ({
    behind: shareOf(predicted),
    front: shareOf(accepted),
    mark: copies > 0 ? shareOf(copies) : undefined,
  });
  const nobody = classes.filter(([, { predicted }]) => predicted === 0).map(([name]) => name);
  const others = nobody.length > mostNames ? ` and ${nobody.length - mostNames} others` : '';
  const lacking =
    nobody.length === 0 ? [] : [`No image was predicted as ${nobody.slice(0, mostNames).join(', ')}${others}.`];
  const heading: Block = { type: 'heading', text: 'Labels by class' };
  const table = classTable(classes, barsOf);
  if (classes.length <= longestTable) return [heading, { ...table, legend, note: lacking[0] }];
  const order = [...classes].sort(([, a], [, b]) => b.accepted - a.accepted || b.predicted - a.predicted);
  return [
    heading,
    {
      type: 'strips',
      legend,
      rows: order.map(([name, item]) => ({
        name,
        title:
          `${name}: ${short(item.predicted)} predicted, ${short(item.accepted)} accepted, ` +
          `${short(item.copies)} with copies`,
        drawn: barsOf(item),
        number: short(item.accepted),
      })),
      notes: ['Numbers are accepted labels, most first.', ...lacking],
    },
    { type: 'folded', title: `All numbers of ${classes.length} classes`, blocks: [table] },
  ];
}

type Described = readonly [name: string, item: PseudoClassDescription];

const classTable = (classes: readonly Described[], barsOf: (item: PseudoClassDescription) => Bars): BlockOf<'table'> =>
  tableOf<Described>(
    [
      { title: 'Class', kind: 'value', cell: ([name]) => name },
      { title: '', cell: ([, item]) => ({ bars: barsOf(item) }) },
      { title: 'Predicted', kind: 'number', cell: ([, { predicted }]) => short(predicted) },
      { title: 'Accepted', kind: 'number', cell: ([, { accepted }]) => short(accepted) },
      { title: 'With copies', kind: 'number', cell: ([, { copies }]) => short(copies) },
      {
        title: 'Confidence',
        kind: 'number',
        cell: ([, { predicted, meanConfidence }]) => (predicted === 0 ? '\u2013' : percent(meanConfidence)),
      },
      classes.some(([, { known }]) => known !== undefined) && {
        title: 'Right',
        kind: 'number',
        cell: ([, item]) => percent(rightOfClass(item)),
      },
    ],
    classes,
  );

/**
 * Most images of accepted samples: of the last round, of each round before; images of a class; of
 * the doubtful or the strangers.
 */
const most = { last: 240, earlier: 40, perClass: 6, aside: 12 };

function images({ samples, doubtful, outOfDistribution }: PseudoLabelRound, mostSamples: number): Block[] {
  const filled = Object.entries(samples).filter(([, paths]) => paths.length > 0);
  const each = Math.min(most.perClass, Math.floor(mostSamples / Math.max(1, filled.length)));
  const photos = (paths: readonly string[]): Block => ({
    type: 'photos',
    images: paths.slice(0, most.aside).map((path) => ({ path, lines: [fileName(path)] })),
  });
  const blocks: Block[] = [];
  if (filled.length > 0 && each > 0)
    blocks.push(
      { type: 'heading', text: 'Accepted labels by class' },
      { type: 'text', text: 'The most confident labels of each class.' },
      { type: 'groups', groups: filled.map(([name, paths]) => ({ name, paths: paths.slice(0, each) })) },
    );
  if (doubtful.length > 0) blocks.push({ type: 'heading', text: 'Lowest confidence' }, photos(doubtful));
  if (outOfDistribution !== undefined && outOfDistribution.paths.length > 0) {
    const count = short(outOfDistribution.count);
    blocks.push(
      { type: 'heading', text: 'Unlike your labelled images' },
      {
        type: 'text',
        text:
          `${count} images look unlike all labelled images, so they were skipped: photos of something else, or of a ` +
          'class that has no label yet.',
      },
      photos(outOfDistribution.paths),
    );
  }
  return blocks.length === 0
    ? []
    : [{ type: 'pictured', blocks, instead: 'The images were moved or deleted, so none are shown.' }];
}
