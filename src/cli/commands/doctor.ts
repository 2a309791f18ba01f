import { doctorOptions } from '../../options/tools.js';
import { command, dataArgument } from '../command.js';
import { createProgress } from '../progress.js';
import { present, refuseExisting } from '../result.js';
import { printable } from '../table.js';

/** Exit code 2 when training would refuse the data. */
export const doctor = command('doctor', 'Check images, labels and splits without training.', {
  arguments: { '<data>': dataArgument },
  options: doctorOptions,
  examples: ['pupil doctor photos', 'pupil doctor photos.csv --json'],
  async run({ data }, { json, out, all = false, unlabelled }, terminal) {
    await refuseExisting(out, 'doctor');
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
    const dataset = await openDataset(data, { unlabelled });
    const pool = createPool();
    const progress = await createProgress(terminal);
    try {
      progress.phase('decoding', dataset.samples.length, 'images');
      const inspection = await inspectImages(dataset, pool, (done) => progress.update(done)).finally(() =>
        progress.end(),
      );
      const description = describeDataset(dataset, inspection);
      const text = (): string => `${formatDescription(description, { all }).map(printable).join('\n')}\n`;
      await present({ result: description, text, name: 'doctor' }, { json, out }, terminal);
      assertTrainable(description);
    } finally {
      await pool.close();
    }
  },
});
