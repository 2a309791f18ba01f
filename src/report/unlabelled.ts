import { lineChart, type Series } from './charts.js';
import { nameColumn, percent } from './format.js';
import type { UnlabelledEpoch } from '../artifact/formats.js';
import { html, trusted, type Html } from './html.js';
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

const legend = (series: readonly Series[]): Html =>
  html`<ul class="legend">
    ${series.map(({ name, colour, dashed }) => {
      const kind = trusted(dashed ? ' class="dashed"' : '');
      return html`<li><i${kind} style="color:${colour}"></i>${name}</li>`;
    })}
  </ul>`;

/**
 * What became of unlabelled images by epoch: how many were kept, how many of those were right, and
 * of which classes.
 */
export function unlabelledBody({ epochs, classes }: UnlabelledHistory): Html {
  const last = epochs.at(-1)!;
  const hasWeight = epochs.some(({ kept, weight }) => Math.abs(kept - weight) > 0.005);
  const isShort = classes.length <= mostCharts && epochs.length > 1;
  const overall = [
    seriesOf('used', 'var(--selection)', epochs, ({ kept }) => kept),
    seriesOf('mean weight', 'var(--train)', epochs, ({ weight }) => (hasWeight ? weight : undefined), true),
    seriesOf('accuracy of used images', 'var(--good)', epochs, ({ right }) => right),
  ].filter(({ points }) => points.length > 0);
  const known = Math.max(0, ...epochs.map((epoch) => epoch.known ?? 0));
  const truth =
    last.right === undefined
      ? ''
      : html`, and <b>${percent(last.right)}</b> of those were
          right${
            known > 0
              ? ` (the true label is known for ${known.toLocaleString('en-US')} of them, ` +
                'and used only for this number)'
              : ''
          }`;
  return html`<p class="lead">
      The network learns from an unlabelled image only when it is confident of its class. In epoch ${last.epoch} it used
      <b>${percent(last.kept)}</b> of the unlabelled images${truth}.
    </p>
    ${
      epochs.length > 1 && overall.length > 0
        ? html`<div class="charts one">
            <figure class="card">
              <h3>All unlabelled images</h3>
              ${legend(overall)}
              ${lineChart(overall, { label: 'Unlabelled images', xLabel: 'epoch', share: true, domain: [0, 1] })}
            </figure>
          </div>`
        : ''
    }
    ${
      classes.length === 0
        ? ''
        : html`<h3 class="apart">Used by class</h3>
            ${isShort ? smallCharts(epochs, classes) : strips(epochs, classes)}`
    }`;
}

const whole = (share: number = NaN): string => (Number.isNaN(share) ? '\u2013' : `${Math.round(100 * share)}%`);

function smallCharts(epochs: readonly Epoch[], classes: readonly string[]): Html {
  const last = epochs.at(-1)!;
  const drawn = classes.map((name) =>
    [
      seriesOf('used', 'var(--selection)', epochs, ({ perClass }) => perClass?.[name]?.kept),
      seriesOf('share of all predictions', 'var(--train)', epochs, ({ perClass }) => perClass?.[name]?.predicted),
      seriesOf('confidence needed', 'var(--soft)', epochs, ({ thresholds }) => thresholds?.[name], true),
    ].filter(({ points }) => points.length > 0),
  );
  const names = [...new Map(drawn.flat().map((series) => [series.name, series])).values()];
  return html`<div class="card">
    ${legend(names)}
    <div class="multiples" style="max-width:${14 * classes.length}rem">
      ${classes.map((name, i) => {
        const item = last.perClass?.[name];
        return html`<figure>
          <h4 title="${name}">${name}</h4>
          ${lineChart(drawn[i]!, { label: name, xLabel: 'epoch', share: true, domain: [0, 1], small: true })}
          <figcaption>used ${whole(item?.kept)}, predicted ${whole(item?.predicted)}</figcaption>
        </figure>`;
      })}
    </div>
    <p class="note">
      Used: the share of the images predicted as this class. With ${classes.length} classes of equal size, each would be
      ${percent(1 / classes.length)} of all predictions. Numbers are from epoch ${last.epoch}.
    </p>
  </div>`;
}

/** A line of colour for each class, the least kept first. */
function strips(epochs: readonly Epoch[], classes: readonly string[]): Html {
  const first = epochs[0]!,
    last = epochs.at(-1)!;
  const steps = Math.min(epochs.length, mostSteps);
  const shown = Array.from({ length: steps }, (_, i) => epochs[Math.round(((i + 1) * epochs.length) / steps) - 1]!);
  const keptOf = (name: string): number => last.perClass?.[name]?.kept ?? NaN;
  const order = [...classes].sort(
    (a, b) => (Number.isNaN(keptOf(a)) ? -1 : keptOf(a)) - (Number.isNaN(keptOf(b)) ? -1 : keptOf(b)),
  );
  const ends = first === last ? `epoch ${last.epoch}` : `epochs ${first.epoch} to ${last.epoch}, left to right`;
  return html`<div class="card">
    <div class="strips" style="${nameColumn(classes)}">
      ${order.map((name) => {
        const item = last.perClass?.[name];
        return html`<div
          title="${name}: used ${percent(item?.kept ?? NaN)}, predicted ${percent(item?.predicted ?? NaN)}"
        >
          <span class="class">${name}</span>${strip(shown.map(({ perClass }) => perClass?.[name]?.kept ?? NaN))}<span
            class="number"
            >${percent(item?.kept ?? NaN)}</span
          >
        </div>`;
      })}
    </div>
    <p class="note">
      Darker: more of the images predicted as this class were used; ${ends}. Least used first; numbers are from epoch
      ${last.epoch}.
    </p>
  </div>`;
}

/** Shares as one row of colour: runs of one tint are one rectangle. */
function strip(shares: readonly number[]): Html {
  const levels = shares.map((share) => (Number.isNaN(share) ? 0 : Math.round(10 * Math.min(1, Math.max(0, share)))));
  const runs = new Map<number, string>();
  for (let start = 0; start < levels.length;) {
    let end = start + 1;
    while (levels[end] === levels[start]) end++;
    const level = levels[start]!;
    runs.set(level, `${runs.get(level) ?? ''}M${start} 0H${end}V1H${start}z`);
    start = end;
  }
  const paths = [...runs].map(
    ([level, path]) => `<path d="${path}" fill="rgb(var(--heat) / ${(0.06 + 0.094 * level).toFixed(2)})"/>`,
  );
  return trusted(
    `<svg viewBox="0 0 ${shares.length} 1" preserveAspectRatio="none" shape-rendering="crispEdges" ` +
      `aria-hidden="true">${paths.join('')}</svg>`,
  );
}
