import { pathToFileURL } from 'node:url';
import type { GapResult } from '../artifact/formats.js';
import { bestPolicy, signedPercent, verdict } from '../report/gap.js';
import { duration, facts, percent, printable, table } from './table.js';

/** The table of policies, the images to label next, and where everything is. */
export function gapSummary({ run: folder, policies, expected, halves, least, neighbours, seconds }: GapResult): string {
  const distance = (value: number): string => value.toFixed(5);
  const gapOf = (row: GapResult['policies'][number], i: number): string => (i === 0 ? '' : verdict(row));
  const rows = policies.map((row, i) => [
    row.augment,
    percent(row.coverage),
    row.density.toFixed(2),
    distance(row.mmd),
    `\u00b1 ${distance(row.interval)}`,
    gapOf(row, i),
  ]);
  const yardsticks = [
    ['(without a gap)', percent(expected.coverage), '1.00', distance(0)],
    ...(halves
      ? [
          [
            '(half of train, other half)',
            percent(halves.coverage),
            halves.density.toFixed(2),
            distance(halves.mmd),
            `\u00b1 ${distance(halves.interval)}`,
          ],
        ]
      : []),
  ];
  const best = bestPolicy(policies),
    none = policies[0]!;
  const says =
    none.closes === null
      ? 'none: the training images are as similar to the real ones as chance allows'
      : best
        ? `${best.augment} closes most of it: ${signedPercent(best.closes!)} \u00b1 ${(100 * best.closesInterval!).toFixed(1)}`
        : 'no policy closes a significant part of it';
  const next =
    least.length === 0
      ? ''
      : `\nlabel these next: least like the training images (above 1: farther than the ${neighbours} nearest real ones)\n${least
          .map(({ path, score }) => `  ${score.toFixed(2)}  ${printable(path)}\n`)
          .join('')}`;
  return `\n${table([['policy', 'coverage', 'density', 'distance', '95%', 'gap'], ...rows, ...yardsticks])}${next}\n${facts(
    [
      ['gap', says],
      ['time', duration(seconds)],
      ['run', folder],
      ['map', `${folder}/gap.png`],
      ['report', pathToFileURL(`${folder}/report.html`).href],
    ],
  )}`;
}
