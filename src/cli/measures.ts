import type { Metrics } from '../artifact/formats.js';
import {
  aboutChance,
  aboutImages,
  balancedText,
  calibrationErrorText,
  confusions,
  hasAllClasses,
  notMeasured,
} from '../report/evaluation.js';
import { accuracyText } from '../report/intervals.js';
import { count, percent, printable, table } from './table.js';

/** Whether accuracy says more of some classes than of others. */
const isUneven = ({ perClass }: Metrics): boolean => {
  const counts = Object.values(perClass).flatMap(({ count: n }) => (n > 0 ? [n] : []));
  return Math.max(...counts) > 1.5 * Math.min(...counts);
};

/** An evaluation in words: one line of totals, a table of classes, the pairs confused most. */
export function describeMetrics(metrics: Metrics, labels: readonly string[], refused?: number): string {
  const parts = [`accuracy ${accuracyText(metrics)}`];
  const evaluation = { ...metrics, classes: labels };
  if (isUneven(metrics) && hasAllClasses(evaluation)) parts.push(`balanced accuracy ${balancedText(metrics)}`);
  if (labels.length > 5) parts.push(`top-5 ${percent(metrics.top5)}`);
  parts.push(
    `loss ${metrics.loss.toFixed(4)}`,
    `calibration error ${calibrationErrorText(metrics)}`,
    `${count(metrics.count)} images`,
  );
  const none =
    refused === undefined || refused === 0
      ? ''
      : `${count(refused)} of them (${percent(refused / metrics.count)}) are none of these classes to the model\n`;
  const origins = [...aboutImages(metrics), notMeasured(evaluation), aboutChance(evaluation)]
    .filter((line) => line !== undefined)
    .map((line) => `${line}\n`);
  const rows = labels.flatMap((name) => {
    const item = metrics.perClass[name];
    return item === undefined || item.count === 0
      ? []
      : [[printable(name), percent(item.recall), percent(item.precision), count(item.count)]];
  });
  // Many classes: those that need attention.
  const shown = rows.length <= 30 ? rows : [...rows].sort((a, b) => parseFloat(a[1]!) - parseFloat(b[1]!)).slice(0, 15);
  const note =
    shown.length < rows.length ? `(the ${shown.length} of ${rows.length} classes with the lowest recall)\n` : '';
  const pairs = confusions(metrics)
    .slice(0, 5)
    .map(
      ({ truth, predicted, count: n }) =>
        `  ${printable(labels[truth]!)} predicted as ${printable(labels[predicted]!)}: ${n}\n`,
    )
    .join('');
  const classes = table([['class', 'recall', 'precision', 'images'], ...shown]);
  const confused = pairs === '' ? '' : `\nconfused most often\n${pairs}`;
  return `${parts.join(', ')}\n${none}${origins.join('')}\n${classes}${note}${confused}`;
}
