import type { SuggestResult } from '../../jobs/suggest/suggest.js';
import { suggestOptions } from '../../options/tools.js';
import { command } from '../command.js';
import { conclude } from '../result.js';
import { duration } from '../../report/format.js';
import { count, facts, percent, printable, table } from '../table.js';
import { followAlone } from '../training-progress.js';

export const suggest = command('suggest', 'Choose which images to label next, as a list to fill in.', {
  arguments: { '<images>': 'a folder, .tar or manifest of images; labels there are ignored' },
  options: suggestOptions,
  examples: [
    'pupil suggest camera --labels 20 --model backbone.onnx --out first.csv',
    'pupil suggest camera --data first.csv --labels 30 --model backbone.onnx --out both.csv',
  ],
  async run({ images }, { json, ...options }, terminal) {
    const { suggest: start } = await import('../../jobs/suggest/suggest.js');
    const result = await followAlone((signal) => start(images, { ...options, signal }), terminal);
    conclude(result, () => summary(result), json, terminal);
  },
});

/** Rows of the table that are shown. */
const shown = 10;

function summary({
  file,
  sheet,
  images,
  candidates,
  labelled,
  known,
  repeated,
  skipped,
  seconds,
}: SuggestResult): string {
  const hasClasses = images.some(({ predicted }) => predicted !== null);
  const rows = images
    .slice(0, shown)
    .map(({ path, order, why, predicted, confidence }) => [
      printable(path),
      String(order),
      why,
      ...(hasClasses ? [printable(predicted ?? ''), confidence === null ? '' : percent(confidence)] : []),
    ]);
  const heading = ['image', 'order', 'why', ...(hasClasses ? ['predicted', 'confidence'] : [])];
  const more = images.length > shown ? `and ${images.length - shown} more\n` : '';
  const unsure = images.filter(({ why }) => why === 'unsure').length;
  const passedOver = [
    [known, 'labelled already'],
    [repeated, 'duplicates'],
    [skipped.length, 'unreadable'],
  ] as const;
  const pairs = facts([
    [
      'chosen',
      `${count(images.length)} of ${count(candidates)}` +
        (hasClasses ? `, ${count(unsure)} of them because the model is unsure` : ', typical of all'),
    ],
    ...(labelled > 0 ? [['labelled', `${count(labelled)} taken into account`] as const] : []),
    ...passedOver.filter(([n]) => n > 0).map(([n, why]) => ['skipped', `${count(n)} ${why}`] as const),
    ['time', duration(seconds)],
    ['sheet', printable(sheet)],
    ['file', printable(file)],
  ]);
  const next = `Fill in the column \`label\` of ${printable(file)}, then train on it.\n`;
  return `\n${table([heading, ...rows])}${more}\n${pairs}\n${next}`;
}
