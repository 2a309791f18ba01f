import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { trusted, type Html } from './html.js';

/** A line of a chart: points in the order of x. */
export interface Series {
  readonly name: string;
  /** A colour of the style sheet, such as `var(--train)`. */
  readonly colour: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** Drawn thin and pale, as background to another series. */
  readonly faint?: boolean;
}

export interface ChartOptions {
  readonly label: string;
  readonly xLabel: string;
  /** Shown as percentages. */
  readonly share?: boolean;
  readonly logarithmic?: boolean;
  /** A vertical rule at the epoch whose weights were kept. */
  readonly mark?: number;
}

/** A line chart as an SVG element; needs no script and no network. */
export function lineChart(series: readonly Series[], options: ChartOptions): Html {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const drawn = series.filter(({ points }) => points.length > 0);
  const format = (y: number): string => (options.share ? `${(100 * y).toFixed(1)}%` : String(Number(y.toPrecision(4))));
  const marks: Plot.Markish[] = [Plot.gridY({ strokeOpacity: 0.12 })];
  if (options.mark !== undefined) marks.push(Plot.ruleX([options.mark], { stroke: 'currentColor', strokeOpacity: 0.35, strokeDasharray: '2,3' }));
  for (const { colour, points, faint, name } of drawn) {
    marks.push(Plot.lineY(points, { x: 'x', y: 'y', stroke: colour, strokeWidth: faint ? 1 : 2, strokeOpacity: faint ? 0.35 : 1, curve: 'linear' }));
    if (!faint && points.length <= 60) {
      marks.push(Plot.dot(points, { x: 'x', y: 'y', fill: colour, r: points.length > 30 ? 2 : 3, title: (d: { x: number; y: number }) => `${name}, ${options.xLabel} ${Number(d.x.toPrecision(4))}: ${format(d.y)}` }));
    }
  }
  const svg = Plot.plot({
    document: document,
    width: 460, height: 250, marginLeft: 52, marginRight: 14, marginTop: 14, marginBottom: 34,
    style: { background: 'none', fontFamily: 'inherit', fontSize: '12px', overflow: 'visible' },
    x: { label: options.xLabel, labelArrow: 'none', ticks: 6, tickFormat: (x: number) => (Number.isInteger(x) ? String(x) : ''), inset: 4 },
    y: { label: null, nice: true, ...(options.logarithmic ? { type: 'log' as const } : {}), ...(options.share ? { tickFormat: (y: number) => `${Math.round(100 * y)}%` } : {}), ticks: 5 },
    marks,
  });
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${options.label}: ${drawn.map(({ name, points }) => `${name} ${format(points.at(-1)!.y)} at the end`).join(', ')}`);
  return trusted((svg as unknown as { outerHTML: string }).outerHTML);
}
