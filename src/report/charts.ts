import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { ReliabilityBin } from './evaluation.js';
import { escapeHtml, trusted, type Html } from './html.js';

/** A line of a chart: points in the order of x. */
export interface Series {
  readonly name: string;
  /** A colour of the style sheet, such as `var(--train)`. */
  readonly colour: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** Drawn thin and pale, as background to another series. */
  readonly faint?: boolean;
  readonly dashed?: boolean;
}

export interface ChartOptions {
  readonly label: string;
  readonly xLabel: string;
  /** Shown as percentages. */
  readonly share?: boolean;
  readonly logarithmic?: boolean;
  /** A vertical rule at the epoch whose weights were kept. */
  readonly mark?: number;
  /** Ends of the y axis; by default those of the points. */
  readonly domain?: readonly [number, number];
  /** One of many: half as wide. */
  readonly small?: boolean;
}

const frame = { width: 460, height: 250, marginLeft: 52, marginRight: 14, marginTop: 14, marginBottom: 34 };
const smallFrame = { width: 190, height: 125, marginLeft: 40, marginRight: 10, marginTop: 8, marginBottom: 20 };
const look = { background: 'none', fontFamily: 'inherit', fontSize: '12px', overflow: 'visible' };

/** The drawn chart as text, with what it shows in words. */
const svgText = (svg: Element, label: string): Html =>
  trusted(
    (svg as unknown as { outerHTML: string }).outerHTML.replace(
      '<svg ',
      () => `<svg role="img" aria-label="${escapeHtml(label)}" `,
    ),
  );

/** A line chart as an SVG element; needs no script and no network. */
export function lineChart(series: readonly Series[], options: ChartOptions): Html {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const drawn = series.filter(({ points }) => points.length > 0);
  const format = (y: number): string => (options.share ? `${(100 * y).toFixed(1)}%` : String(Number(y.toPrecision(4))));
  const ends = drawn.flatMap(({ points }) => [points[0]!.x, points.at(-1)!.x]);
  const steps = Math.max(1, Math.ceil(Math.max(...ends) - Math.min(...ends)));
  const marks: Plot.Markish[] = [Plot.gridY({ strokeOpacity: 0.12 })];
  if (options.mark !== undefined)
    marks.push(Plot.ruleX([options.mark], { stroke: 'currentColor', strokeOpacity: 0.35, strokeDasharray: '2,3' }));
  for (const { colour, points, faint, dashed, name } of drawn) {
    marks.push(
      Plot.lineY(points, {
        x: 'x',
        y: 'y',
        stroke: colour,
        strokeWidth: faint ? 1 : 2,
        strokeOpacity: faint ? 0.35 : 1,
        curve: 'linear',
        strokeDasharray: dashed ? '4,3' : undefined,
      }),
    );
    if (!faint && !dashed && points.length <= (options.small ? 12 : 60)) {
      marks.push(
        Plot.dot(points, {
          x: 'x',
          y: 'y',
          fill: colour,
          r: points.length > 30 || options.small ? 2 : 3,
          title: (d: { x: number; y: number }) =>
            `${name}, ${options.xLabel} ${Number(d.x.toPrecision(4))}: ${format(d.y)}`,
        }),
      );
    }
  }
  const svg = Plot.plot({
    document: document,
    ...(options.small ? smallFrame : frame),
    style: look,
    x: {
      label: options.small ? null : options.xLabel,
      labelArrow: 'none',
      ticks: Math.min(steps, options.small ? 4 : 6),
      tickFormat: (x: number) => (Number.isInteger(x) ? String(x) : ''),
      inset: 4,
    },
    y: {
      label: null,
      ...(options.domain ? { domain: options.domain } : { nice: true }),
      ...(options.logarithmic ? { type: 'log' as const } : {}),
      ...(options.share ? { tickFormat: (y: number) => `${Math.round(100 * y)}%` } : {}),
      ticks: options.small ? 2 : 5,
    },
    marks,
  });
  return svgText(
    svg,
    `${options.label}: ${drawn.map(({ name, points }) => `${name} ${format(points.at(-1)!.y)} at the end`).join(', ')}`,
  );
}

/** Bars of a histogram over [0, 1] in equal bins. */
export interface HistogramSeries {
  readonly name: string;
  readonly colour: string;
  readonly counts: readonly number[];
}

export interface HistogramOptions {
  readonly label: string;
  readonly xLabel: string;
  /** A vertical rule, and what it stands for. */
  readonly mark?: { readonly at: number; readonly name: string } | undefined;
}

/** Each series in front of the one before. SVG. */
export function histogram(series: readonly HistogramSeries[], { label, xLabel, mark }: HistogramOptions): Html {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const bars = series.map(({ colour, counts }) =>
    Plot.rectY(
      counts.map((y, i) => ({ x1: i / counts.length, x2: (i + 1) / counts.length, y })),
      {
        x1: 'x1',
        x2: 'x2',
        y: 'y',
        fill: colour,
        insetLeft: 1,
        insetRight: 1,
        title: (d: { x1: number; x2: number; y: number }) =>
          `${Math.round(100 * d.x1)} to ${Math.round(100 * d.x2)}%: ${d.y}`,
      },
    ),
  );
  const svg = Plot.plot({
    document: document,
    ...frame,
    style: look,
    x: {
      label: xLabel,
      labelArrow: 'none',
      domain: [0, 1],
      ticks: 5,
      tickFormat: (x: number) => `${Math.round(100 * x)}%`,
    },
    y: {
      label: null,
      nice: true,
      ticks: 5,
      tickFormat: (y: number) => (Number.isInteger(y) ? y.toLocaleString('en-US') : ''),
    },
    marks: [
      Plot.gridY({ strokeOpacity: 0.12 }),
      ...bars,
      Plot.ruleY([0], { strokeOpacity: 0.35 }),
      ...(mark === undefined ? [] : [Plot.ruleX([mark.at], { stroke: 'currentColor', strokeDasharray: '4,3' })]),
    ],
  });
  return svgText(svg, `${label}: ${series[0]!.counts.join(', ')} from the lowest tenth to the highest`);
}

/** How often predictions are right by how sure they are; on the dashed line both are the same. SVG. */
export function reliabilityChart(bins: readonly ReliabilityBin[]): Html {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const share = (x: number): string => `${Math.round(100 * x)}%`;
  const bars = bins.map(({ confidence, accuracy, interval: [low, high], count }) => ({
    ...{ confidence, accuracy, low: Math.max(0, low), high: Math.min(1, high) },
    title: `${count} predictions, ${share(confidence)} sure: ${share(accuracy)} right`,
    radius: 2.5 + 3.5 * Math.sqrt(count / Math.max(...bins.map((bin) => bin.count))),
  }));
  const axis = { domain: [0, 1], ticks: 5, tickFormat: share, labelArrow: 'none' as const };
  const svg = Plot.plot({
    document: document,
    ...frame,
    height: 300,
    style: look,
    x: { ...axis, label: 'confidence' },
    y: { ...axis, label: null },
    marks: [
      Plot.gridY({ strokeOpacity: 0.12 }),
      Plot.line(
        [
          [0, 0],
          [1, 1],
        ],
        { stroke: 'currentColor', strokeDasharray: '4,3' },
      ),
      Plot.ruleX(bars, { x: 'confidence', y1: 'low', y2: 'high', stroke: 'var(--selection)', strokeOpacity: 0.5 }),
      Plot.dot(bars, {
        x: 'confidence',
        y: 'accuracy',
        r: { value: 'radius', scale: null },
        fill: 'var(--selection)',
        title: 'title',
      }),
    ],
  });
  return svgText(svg, `Reliability: ${bars.map(({ title }) => title).join('; ')}`);
}
