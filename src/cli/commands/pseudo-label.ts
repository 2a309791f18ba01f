import { pseudoLabel as run, type PseudoLabelResult } from '../../jobs/label/label.js';
import { interruptible } from '../interrupt.js';
import type { PseudoLabelOptions } from '../program.js';
import { count, duration, facts, percent, printable, table } from '../table.js';
import { conclude } from '../result.js';
import type { Terminal } from '../terminal.js';
import { createView, follow } from '../training-progress.js';

/** `pupil pseudo-label P --model M --out FILE`. */
export async function pseudoLabel(
  source: string,
  { json, ...options }: PseudoLabelOptions,
  terminal: Terminal,
): Promise<void> {
  const result = await interruptible(
    (signal) => follow(run(source, { ...options, signal }), terminal, createView),
    () => terminal.err('\ninterrupted (press Ctrl-C again to stop at once)\n'),
  );
  conclude(result, () => summary(result), json, terminal);
}

/** What was accepted of each class, and what was left out. */
function summary({
  file,
  total,
  accepted,
  threshold,
  perClass,
  meanConfidence,
  excluded,
  repeated,
  unreadable,
  outOfDistribution,
  soft,
  seconds,
}: PseudoLabelResult): string {
  const copies = Object.values(perClass).reduce((sum, row) => sum + row.copies, 0);
  const rows = Object.entries(perClass).map(([name, row]) => [
    printable(name),
    String(row.predicted),
    percent(row.meanConfidence),
    String(row.accepted),
    String(row.copies),
  ]);
  const left = [
    [excluded, 'in --exclude too'],
    [repeated, 'with the content of another one'],
    [unreadable, 'unreadable'],
    [outOfDistribution?.count ?? 0, 'unlike the images of --like (in the file, not accepted)'],
  ] as const;
  return `\n${table([['class', 'predicted', 'confidence', 'accepted', 'copies'], ...rows, ['all', String(total), percent(meanConfidence), String(accepted), String(copies)]])}\n${facts(
    [
      [
        'accepted',
        `${count(accepted)} of ${count(total)} (${percent(accepted / total)}), confidence ${threshold ?? 0} or more, ${soft ? 'soft' : 'hard'} labels`,
      ],
      ...left.filter(([n]) => n > 0).map(([n, why]) => ['left out', `${count(n)} ${why}`] as const),
      ['time', duration(seconds)],
      ['file', printable(file)],
    ],
  )}`;
}
