import { assertTrainable } from '../../data/check.js';
import { openDataset } from '../../data/dataset.js';
import { describeDataset, formatDescription, inspectImages } from '../../data/describe.js';
import { createPool } from '../../data/pool.js';
import { createProgress } from '../progress.js';
import type { DoctorOptions } from '../program.js';
import { present, refuseExisting } from '../result.js';
import type { Terminal } from '../terminal.js';

/** `pupil doctor DATA`: exit code 2 when training would refuse the data. */
export async function doctor(data: string, options: DoctorOptions, terminal: Terminal): Promise<void> {
  await refuseExisting(options.out, 'doctor');
  const dataset = await openDataset(data, options.unlabelled === undefined ? {} : { unlabelled: options.unlabelled });
  const pool = createPool();
  const progress = await createProgress(terminal);
  try {
    progress.phase('decoding', dataset.samples.length, 'images');
    const inspection = await inspectImages(dataset, pool, (done) => progress.update(done)).finally(() =>
      progress.end(),
    );
    const description = describeDataset(dataset, inspection);
    const text = (): string => `${formatDescription(description, { all: options.all === true }).join('\n')}\n`;
    await present(description, text, options, 'doctor', terminal);
    assertTrainable(description);
  } finally {
    await pool.close();
  }
}
