import type { GapResult } from '../artifact/gap-formats.js';
import { bestPolicy, signedPercent, verdict } from '../report/gap.js';
import { facts, percent, plusMinus, printable, runFacts, table } from './table.js';

/** The table of policies, the images to label next, and where everything is. */
export function gapSummary(result: GapResult): string {
  const { policies, expected, halves, least, neighbours } = result;
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
        ? `${best.augment} closes most of it: ${signedPercent(best.closes!)}${plusMinus(best.closesInterval!)}`
        : 'no policy closes a significant part of it';
  const further = `above 1: farther than the ${neighbours} nearest real ones`;
  const next = least.map(({ path, score }) => `  ${score.toFixed(2)}  ${printable(path)}\n`).join('');
  const toLabel = next === '' ? '' : `\nlabel these next: least like the training images (${further})\n${next}`;
  const heading = ['policy', 'coverage', 'density', 'distance', '95%', 'gap'];
  const pairs = [['gap', says] as const, ...runFacts(result, [['map', `${result.run}/gap.png`]])];
  return `\n${table([heading, ...rows, ...yardsticks])}${toLabel}\n${facts(pairs)}`;
}
