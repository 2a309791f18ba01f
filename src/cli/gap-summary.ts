import { pathToFileURL } from 'node:url';
import type { GapResult } from '../artifact/formats.js';
import { bestPolicy, signedPercent, verdict } from '../report/gap.js';
import { duration, facts, percent, printable, table } from './table.js';

/** The table of policies, the images to label next, and where everything is. */
export function gapSummary({ run: folder, policies, expected, halves, least, neighbours, seconds }: GapResult): string {
  const distance = (value: number): string => value.toFixed(5);
  const gapOf = (row: GapResult['policies'][number], i: number): string =>
    i === 0 ? '' : verdict(row).replace('\u00b1', '+-').replace('\u2212', '-');
  const rows = policies.map((row, i) => [
    row.augment,
    percent(row.coverage),
    row.density.toFixed(2),
    distance(row.mmd),
    `+-${distance(row.interval)}`,
    gapOf(row, i),
  ]);
  const yardsticks = [
    ['(without a gap)', percent(expected.coverage), '1.00', distance(0)],
    ...(halves
      ? [
          [
            '(half of train to half)',
            percent(halves.coverage),
            halves.density.toFixed(2),
            distance(halves.mmd),
            `+-${distance(halves.interval)}`,
          ],
        ]
      : []),
  ];
  const best = bestPolicy(policies),
    none = policies[0]!;
  const says =
    none.closes === null
      ? 'no gap: the distance without augmentation is within its interval of 0'
      : best
        ? `${best.augment} closes the most of it: ${signedPercent(best.closes!)} +- ${(100 * best.closesInterval!).toFixed(1)}`
        : 'no policy closes a part of it beyond its interval';
  const next =
    least.length === 0
      ? ''
      : `\nleast covered, to be labelled next (above 1: farther than its ${neighbours} nearest real neighbours)\n${least
          .map(({ path, score }) => `  ${score.toFixed(2)}  ${printable(path)}\n`)
          .join('')}`;
  return `\n${table([['policy', 'coverage', 'density', 'distance', '95%', 'the gap'], ...rows, ...yardsticks])}${next}\n${facts(
    [
      ['gap', says],
      ['time', duration(seconds)],
      ['run', folder],
      ['map', `${folder}/gap.png`],
      ['report', pathToFileURL(`${folder}/report.html`).href],
    ],
  )}`;
}
