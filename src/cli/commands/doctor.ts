import { basename, join } from 'node:path';
import type { Alike } from '../../data/alike.js';
import type { Pool } from '../../data/pool.js';
import type { Dataset } from '../../data/sample.js';
import { allOrNone } from '../../artifact/files.js';
import { refuseAmongImages } from '../../artifact/free.js';
import { PupilError } from '../../errors.js';
import type { LabelErrors } from '../../jobs/label-errors.js';
import { doctorOptions, type LabelErrorRequest } from '../../options/tools.js';
import { command, dataArgument } from '../command.js';
import { createProgress } from '../progress.js';
import { present, refuseExisting } from '../result.js';
import { count, percent, printable, table } from '../table.js';
import type { Terminal } from '../terminal.js';
import { followAlone } from '../training-progress.js';

/** The picture of images that look alike. */
const nearDuplicates = 'near-duplicates.png';

/** Exit code 2 when training would refuse the data. */
export const doctor = command('doctor', 'Check images, labels and splits without training.', {
  arguments: { '<data>': dataArgument },
  options: doctorOptions,
  examples: [
    'pupil doctor photos',
    'pupil doctor photos.csv --json',
    'pupil doctor photos --model backbone.onnx --out check   which labels are likely wrong',
  ],
  async run({ data }, { json, out, all = false, unlabelled, ...asked }, terminal) {
    await refuseExisting(out, 'doctor');
    if (out !== undefined) await refuseAmongImages('out', join(out, nearDuplicates), [data]);
    const [useless] = Object.entries(asked).flatMap(([name, value]) => (value === undefined ? [] : [name]));
    if (asked.model === undefined && useless !== undefined)
      throw new PupilError('usage', `\`${useless}\` has no use without a \`model\` that finds label errors; add one`, {
        option: useless,
      });
    const [
      { assertTrainable },
      { openDataset },
      { describeDataset, formatDescription, inspectImages },
      { createPool },
    ] = await Promise.all([
      import('../../data/check.js'),
      import('../../data/dataset.js'),
      import('../../data/describe.js'),
      import('../../data/pool.js'),
    ]);
    const dataset = await openDataset(data, { unlabelled, skip: Infinity });
    const pool = createPool({ workers: asked.workers, measure: true });
    const progress = await createProgress(terminal);
    try {
      const sheet = out === undefined ? undefined : join(out, 'label-errors.png');
      // First: the images that the model looks at are not decoded again.
      const doubted =
        asked.model === undefined ? undefined : await findErrors(dataset, { ...asked, sheet }, { pool, terminal });
      const description = await allOrNone([doubted?.sheet], async () => {
        let isShown = false;
        const inspection = await inspectImages(dataset, pool, (done, total) => {
          if (!isShown) progress.phase('decoding', total, 'images');
          isShown = true;
          progress.update(done);
        }).finally(() => progress.end());
        const found = describeDataset(dataset, inspection);
        const pairs =
          out === undefined ? undefined : await drawAlike(join(out, nearDuplicates), inspection.alike, pool);
        const text = (): string =>
          formatDescription(found, { all })
            .map((line) => `${printable(line)}\n`)
            .join('') +
          (pairs === undefined ? '' : `\nnear duplicates side by side: ${printable(pairs)}\n`) +
          (doubted ? describe(doubted, all) : '');
        const result = { ...found, labelErrors: doubted, nearDuplicates: pairs };
        await present({ result, text, name: 'doctor' }, { json, out }, terminal);
        return found;
      });
      assertTrainable(description);
    } finally {
      await pool.close();
    }
  },
});

/** Draws pairs of images that look alike side by side; the file, undefined where there are none. */
async function drawAlike(file: string, pairs: readonly Alike[], pool: Pool): Promise<string | undefined> {
  if (pairs.length === 0) return undefined;
  const { writeImageSheet } = await import('../../jobs/image-sheet.js');
  await writeImageSheet(file, {
    title: `${count(pairs.length)} ${pairs.length === 1 ? 'pair' : 'pairs'} of images that look alike`,
    subtitle: 'side by side',
    images: pairs.flatMap(({ first, second }) =>
      [first, second].map((sample) => ({ sample, caption: `${sample.split}: ${basename(sample.path)}` })),
    ),
    pool,
  });
  return file;
}

async function findErrors(
  dataset: Dataset,
  options: LabelErrorRequest,
  { pool, terminal }: { readonly pool: Pool; readonly terminal: Terminal },
): Promise<LabelErrors> {
  const { labelErrorsIn } = await import('../../jobs/label-errors.js');
  return followAlone((signal) => labelErrorsIn(dataset, { ...options, signal }, pool), terminal);
}

/** Images that are shown. */
const shown = 10;

function describe({ images, suspects, agreement, sheet }: LabelErrors, all: boolean): string {
  const rows = images
    .slice(0, all ? suspects : Math.min(shown, suspects))
    .map(({ path, label, confidence, suggested, suggestedConfidence }) => [
      path,
      `${label} ${percent(confidence)}`,
      `${suggested} ${percent(suggestedConfidence)}`,
    ]);
  const summary =
    `\nlabels     ${count(images.length)} compared with what a model says that did not learn them: ` +
    `${percent(agreement)} agree, ${count(suspects)} are likely wrong\n`;
  if (rows.length === 0) return summary;
  const more = rows.length < suspects ? `and ${count(suspects - rows.length)} more\n` : '';
  return (
    `${summary}\n${table([['image', 'label', 'looks like'], ...rows])}${more}` +
    (sheet === undefined ? '' : `\nsheet      ${printable(sheet)}\n`)
  );
}
