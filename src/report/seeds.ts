import type { Accuracy, SeedsFile, SeedsRow } from '../artifact/formats.js';
import type { Block } from './blocks.js';
import { duration } from './format.js';
import { accuracyOf, meanText } from './intervals.js';
import { listOf, numberOf, objectOf, textOf } from './json.js';

/** Reads seeds.json; undefined without a technique. */
export function readSeeds(value: unknown): SeedsFile | undefined {
  const file = objectOf(value);
  const techniques = listOf(file['techniques'])
    .map(objectOf)
    .map((row): SeedsRow => ({
      name: textOf(row['name']) ?? 'unnamed',
      kept: numberOf(row['kept']),
      selection: accuracyOf(row['selection']),
      test: accuracyOf(row['test']),
      seconds: numberOf(row['seconds']),
    }));
  return techniques.length === 0
    ? undefined
    : { seeds: listOf(file['seeds']).map(numberOf), kept: numberOf(file['kept']), techniques };
}

/** What each technique brought over all seeds, and which seed's run this is. */
export function seedsBlocks({ seeds, kept, techniques }: SeedsFile): Block[] {
  const isReported = techniques.some(({ test }) => test);
  const over = (accuracy: Accuracy | undefined): string =>
    meanText(accuracy) + (accuracy && (accuracy.count ?? 0) < seeds.length ? `, ${accuracy.count} seeds` : '');
  return [
    {
      type: 'text',
      text: [
        `Trained with ${seeds.length} seeds (${seeds.join(', ')}), each with other random choices. `,
        { strong: `Seed ${kept} is kept` },
        ', the best on held-out labels: all else on this page is of that seed. Chosen by these labels, its accuracy ' +
          'there is too high: expect the mean.',
      ],
    },
    {
      type: 'table',
      columns: [
        { title: 'Technique', kind: 'value' },
        { title: 'Held-out accuracy', kind: 'number' },
        ...(isReported ? [{ title: 'Reported accuracy', kind: 'number' } as const] : []),
        { title: 'Time', kind: 'number' },
        { title: 'Kept', kind: 'number' },
      ],
      rows: techniques.map(({ name, kept: times, selection, test, seconds }) => [
        name,
        over(selection),
        ...(isReported ? [over(test)] : []),
        duration(seconds),
        `${times} of ${seeds.length} seeds`,
      ]),
      note: 'Means over the seeds with their 95% intervals.',
    },
  ];
}
