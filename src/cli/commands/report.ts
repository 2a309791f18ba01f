import { pathToFileURL } from 'node:url';
import type { Dataset } from '../../data/sample.js';
import { command } from '../command.js';
import { conclude } from '../result.js';

export const report = command('report', "Rebuild a run's report.", {
  arguments: { '<run>': 'the run folder' },
  options: {},
  examples: ['pupil report runs/photos'],
  async run({ run }, { json }, terminal) {
    const path = await rebuild(run);
    conclude({ report: path }, `${path}\n${pathToFileURL(path).href}\n`, json, terminal);
  },
});

async function rebuild(folder: string): Promise<string> {
  const { openRun } = await import('../../artifact/run.js');
  const run = await openRun(folder);
  const { config } = run;
  if (config.command === 'gap') return (await import('../../jobs/gap/outcome.js')).writeGapReport(run);
  if (config.command === 'search') return (await import('../../jobs/search/outcome.js')).writeSearchReport(run);
  const settings = (config.settings ?? {}) as { readonly data?: unknown; readonly unlabelled?: unknown };
  const [{ openDigits }, { imageReader }, { writeReport }] = await Promise.all([
    import('../../data/digits.js'),
    import('../../evaluate/readers.js'),
    import('../../report/report.js'),
  ]);
  // Without a path it was the demo. The data may be gone or changed by now; the report then shows
  // gaps instead of images.
  const dataset =
    typeof settings.data === 'string' ? await dataOf(settings.data, settings.unlabelled) : await openDigits();
  return writeReport(folder, { readImage: dataset && imageReader(dataset) });
}

/** What a run learned from, as far as it is still there. */
async function dataOf(data: string, unlabelled: unknown): Promise<Dataset | undefined> {
  const { openDataset } = await import('../../data/dataset.js');
  const more = Array.isArray(unlabelled) ? unlabelled.filter((path) => typeof path === 'string') : [];
  return openDataset(data, { unlabelled: more })
    .catch(() => openDataset(data))
    .catch(() => undefined);
}
