import { histogram, lineChart, type Series } from './charts.js';
import { nameColumn, percent, short } from './format.js';
import type { PseudoClassDescription } from '../data/pseudo-labels.js';
import type { PseudoLabelRound, PseudoLabelsFile } from '../artifact/formats.js';
import { type Figure, figureList, type Html, html, trusted } from './html.js';
import { listOf, mapValues, numberOf, objectOf, optionalNumberOf, textOf, textsOf } from './json.js';
import { photo, type Pictures } from './photo.js';
import { placeOf } from './places.js';
import { rowsTable, type Column } from './table.js';

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

/**
 * Most images of accepted samples: of the last round, of each round before; images of a class; of
 * the doubtful or the strangers.
 */
const most = { last: 240, earlier: 40, perClass: 6, aside: 12 };

/** What is shown of a round as images. */
function shownOf(
  round: PseudoLabelRound,
  last: boolean,
): {
  readonly samples: readonly (readonly [string, readonly string[]])[];
  readonly doubtful: readonly string[];
  readonly strangers: readonly string[];
} {
  const filled = Object.entries(round.samples).filter(([, paths]) => paths.length > 0);
  const each = Math.min(most.perClass, Math.floor((last ? most.last : most.earlier) / Math.max(1, filled.length)));
  return {
    samples: each === 0 ? [] : filled.map(([name, paths]) => [name, paths.slice(0, each)] as const),
    doubtful: round.doubtful.slice(0, most.aside),
    strangers: (round.outOfDistribution?.paths ?? []).slice(0, most.aside),
  };
}

/** Images that the section shows. */
export const pseudoLabelPaths = ({ rounds }: PseudoLabelsFile): string[] =>
  rounds.flatMap((round) => {
    const { samples, doubtful, strangers } = shownOf(round, round === rounds.at(-1));
    return [...samples.flatMap(([, paths]) => paths), ...doubtful, ...strangers];
  });

const rightOfAccepted = ({ truth }: PseudoLabelRound): number =>
  truth === undefined ? NaN : truth.acceptedRight / truth.acceptedKnown;
const rightOfAll = ({ truth }: PseudoLabelRound): number => (truth === undefined ? NaN : truth.right / truth.known);
const rightOfClass = ({ known, right }: PseudoClassDescription): number =>
  known === undefined || right === undefined || known === 0 ? NaN : right / known;

/**
 * How many labels a teacher gave, how sure of them, how balanced, how right; round by round, the
 * last in full.
 */
export function pseudoLabelsBody({ rounds }: PseudoLabelsFile, pictures: Pictures): Html {
  const last = rounds.at(-1)!;
  return html`<p class="lead">
      ${rounds.length > 1 ? `In round ${last.round} the` : 'The'} teacher labelled ${short(last.total)} images, and
      <b>${short(last.accepted)}</b> of these labels (${percent(last.accepted / last.total)}) were accepted for
      training${last.threshold === undefined ? '' : `: those of at least ${percent(last.threshold)} confidence`}.${
        Number.isNaN(rightOfAccepted(last))
          ? ''
          : html` Where the true label is known, <b>${percent(rightOfAccepted(last))}</b> of the accepted labels are
              right.`
      }
    </p>
    ${
      rounds.length > 1
        ? html`${table(rounds)}
            <h3 class="apart">Round ${last.round}</h3>`
        : ''
    }
    ${roundBody(last, true, pictures, rounds.length > 1 ? curves(rounds) : undefined)}
    ${rounds
      .slice(0, -1)
      .reverse()
      .map(
        (round) =>
          html`<details class="earlier">
            <summary>Round ${round.round}</summary>
            ${roundBody(round, false, pictures)}
          </details>`,
      )}`;
}

function curves(rounds: readonly PseudoLabelRound[]): Html {
  const series = (name: string, colour: string, value: (round: PseudoLabelRound) => number): Series => ({
    name,
    colour,
    points: rounds.map((round) => ({ x: round.round, y: value(round) })).filter(({ y }) => Number.isFinite(y)),
  });
  const drawn = [
    series('accepted', 'var(--selection)', ({ accepted, total }) => accepted / total),
    series('mean confidence', 'var(--train)', ({ meanConfidence }) => meanConfidence),
    series('accuracy of accepted labels', 'var(--good)', rightOfAccepted),
  ].filter(({ points }) => points.length > 0);
  return html`<figure class="card">
    <h3>Round by round</h3>
    <ul class="legend">
      ${drawn.map(({ name, colour }) => html`<li><i style="color:${colour}"></i>${name}</li>`)}
    </ul>
    ${lineChart(drawn, { label: 'Pseudo-labels by round', xLabel: 'round', share: true, domain: [0, 1] })}
  </figure>`;
}

function table(rounds: readonly PseudoLabelRound[]): Html {
  const known = rounds.some(({ truth }) => truth !== undefined),
    teachers = rounds.some(({ teacher }) => teacher !== undefined);
  const columns: Column<PseudoLabelRound>[] = [{ title: 'Round', cell: ({ round }) => round }];
  if (teachers) columns.push({ title: 'Teacher', kind: 'value', cell: ({ teacher }) => teacher ?? '\u2013' });
  columns.push(
    { title: 'Threshold', kind: 'number', cell: ({ threshold = NaN }) => percent(threshold) },
    { title: 'Images', kind: 'number', cell: ({ total }) => short(total) },
    {
      title: 'Accepted',
      kind: 'number',
      cell: ({ accepted, total }) => html`${short(accepted)}<small>${percent(accepted / total)}</small>`,
    },
    { title: 'Mean confidence', kind: 'number', cell: ({ meanConfidence }) => percent(meanConfidence) },
  );
  if (rounds.some(({ moved }) => moved !== undefined))
    columns.push({ title: 'Changed', kind: 'number', cell: ({ moved = NaN }) => percent(moved) });
  if (known)
    columns.push(
      { title: 'Accuracy, all', kind: 'number', cell: (round) => percent(rightOfAll(round)) },
      { title: 'Accuracy, accepted', kind: 'number', cell: (round) => percent(rightOfAccepted(round)) },
    );
  return html`<div class="card scroll">${rowsTable(columns, rounds)}</div>`;
}

function roundBody(round: PseudoLabelRound, last: boolean, pictures: Pictures, beside?: Html): Html {
  const { truth, outOfDistribution: strangers } = round;
  const figures: Figure[] = [
    ['Accepted', short(round.accepted), `of ${short(round.total)}, ${percent(round.accepted / round.total)}`],
    ['Mean confidence', percent(round.meanConfidence), 'over all images'],
    ...(truth === undefined
      ? []
      : [
          [
            'Accuracy, accepted',
            percent(rightOfAccepted(round)),
            `${short(truth.acceptedRight)} of ${short(truth.acceptedKnown)} with a known label`,
          ] as Figure,
          [
            'Accuracy, all',
            percent(rightOfAll(round)),
            `${short(truth.right)} of ${short(truth.known)} with a known label`,
          ] as Figure,
        ]),
    ...(strangers === undefined ? [] : [['Unlike your labelled images', short(strangers.count), 'skipped'] as Figure]),
  ];
  return html`${figureList(figures)}
    <div class="charts${trusted(beside === undefined ? ' one' : '')}">${sureness(round)}${beside}</div>
    ${balance(round)} ${images(round, last, pictures)}`;
}

function sureness({ histogram: all, acceptedHistogram, threshold }: PseudoLabelRound): Html {
  if (all.length === 0) return html``;
  return html`<figure class="card">
    <h3>The teacher's confidence</h3>
    <ul class="legend">
      <li><i style="color:var(--pale)"></i>all images</li>
      <li><i style="color:var(--selection)"></i>accepted</li>
      ${threshold === undefined ? '' : html`<li><i class="dashed" style="color:var(--soft)"></i>threshold</li>`}
    </ul>
    ${histogram(
      [
        { colour: 'var(--pale)', counts: all },
        { colour: 'var(--selection)', counts: acceptedHistogram },
      ],
      { label: 'Images by confidence', xLabel: 'confidence', mark: threshold },
    )}
  </figure>`;
}

/** Up to so many classes stand in a table at once; more get a bar each, and the table is folded. */
const longestTable = 12;

function balance({ perClass }: PseudoLabelRound): Html {
  const classes = Object.entries(perClass);
  if (classes.length === 0) return html``;
  const counts = classes.flatMap(([, { predicted, copies }]) => [predicted, copies]);
  const longest = Math.max(1, ...counts.filter(Number.isFinite));
  const width = (count: number): string => `${Number.isFinite(count) ? ((100 * count) / longest).toFixed(1) : 0}%`;
  const bar = ({ predicted, accepted, copies }: PseudoClassDescription): Html =>
    html`<span class="balance"
      ><i class="all" style="width:${width(predicted)}"></i
      ><i style="width:${width(accepted)}"></i>${copies > 0 ? html`<b style="left:${width(copies)}"></b>` : ''}</span
    >`;
  const known = classes.some(([, item]) => item.known !== undefined);
  const nobody = classes.filter(([, { predicted }]) => predicted === 0).map(([name]) => name);
  const columns: Column<(typeof classes)[number]>[] = [
    { title: 'Class', kind: 'value', cell: ([name]) => name },
    { title: '', cell: ([, item]) => bar(item) },
    { title: 'Predicted', kind: 'number', cell: ([, { predicted }]) => short(predicted) },
    { title: 'Accepted', kind: 'number', cell: ([, { accepted }]) => short(accepted) },
    { title: 'With copies', kind: 'number', cell: ([, { copies }]) => short(copies) },
    {
      title: 'Confidence',
      kind: 'number',
      cell: ([, { predicted, meanConfidence }]) => (predicted === 0 ? '\u2013' : percent(meanConfidence)),
    },
  ];
  if (known) columns.push({ title: 'Right', kind: 'number', cell: ([, item]) => percent(rightOfClass(item)) });
  const table = rowsTable(columns, classes);
  const marks = html`<ul class="legend">
    <li><i style="color:var(--pale)"></i>predicted</li>
    <li><i style="color:var(--selection)"></i>accepted</li>
    <li><i class="rule"></i>in the training set, with copies</li>
  </ul>`;
  const lacking =
    nobody.length === 0
      ? ''
      : html`<p class="note">
          No image was predicted as
          ${nobody.slice(0, 12).join(', ')}${nobody.length > 12 ? ` and ${nobody.length - 12} others` : ''}.
        </p>`;
  if (classes.length <= longestTable)
    return html`<h3 class="apart">Labels by class</h3>
      <div class="card">
        ${marks}
        <div class="scroll">${table}</div>
        ${lacking}
      </div>`;
  const order = [...classes].sort(([, a], [, b]) => b.accepted - a.accepted || b.predicted - a.predicted);
  return html`<h3 class="apart">Labels by class</h3>
    <div class="card">
      ${marks}
      <div class="strips" style="${nameColumn(order.map(([name]) => name))}">
        ${order.map(([name, item]) => {
          const counts = `${short(item.predicted)} predicted, ${short(item.accepted)} accepted`;
          return html`<div title="${name}: ${counts}, ${short(item.copies)} with copies">
            <span class="class">${name}</span>${bar(item)}<span class="number">${short(item.accepted)}</span>
          </div>`;
        })}
      </div>
      <p class="note">Numbers are accepted labels, most first.</p>
      ${lacking}
      <details>
        <summary>All numbers of ${classes.length} classes</summary>
        <div class="scroll">${table}</div>
      </details>
    </div>`;
}

function images(round: PseudoLabelRound, last: boolean, pictures: Pictures): Html {
  const { samples, doubtful, strangers } = shownOf(round, last);
  const paths = [...samples.flatMap(([, list]) => list), ...doubtful, ...strangers];
  if (paths.length === 0) return html``;
  if (!paths.some((path) => pictures.has(path)))
    return html`<p class="note">The images were moved or deleted, so none are shown.</p>`;
  const many = samples.length > longestTable;
  const list = (items: readonly string[]): Html =>
    html`<div class="mistakes">
      ${items.map(
        (path) =>
          html`<figure>
            ${photo(path, pictures)}
            <figcaption>${path.split('/').at(-1)}</figcaption>
          </figure>`,
      )}
    </div>`;
  return html`${
    samples.length === 0
      ? ''
      : html`<h3 class="apart">Accepted labels by class</h3>
          <p class="lead">The most confident labels of each class.</p>
          <div class="card${trusted(many ? ' tiles' : '')}">
            ${samples.map(
              ([name, items]) =>
                html`<div class="${many ? 'tile' : 'pair'}">
                  <p title="${name}">${name}</p>
                  <div>${items.map((path) => photo(path, pictures))}</div>
                </div>`,
            )}
          </div>`
  }
  ${
    doubtful.length === 0
      ? ''
      : html`<h3 class="apart">Lowest confidence</h3>
          ${list(doubtful)}`
  }
  ${
    strangers.length === 0
      ? ''
      : html`<h3 class="apart">Unlike your labelled images</h3>
          <p class="lead">
            ${short(round.outOfDistribution!.count)} images look unlike all labelled images, so they were skipped.
          </p>
          ${list(strangers)}`
  }`;
}
