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
  const [{ openDigits }, { imageReader }, { writeReport }, { asNamedBefore, placeNow }] = await Promise.all([
    import('../../data/digits.js'),
    import('../../evaluate/readers.js'),
    import('../../report/report.js'),
    import('../../runs/moved.js'),
  ]);
  // Without a path it was the demo. The data may be gone or changed by now; the report then shows
  // gaps instead of images.
  if (typeof settings.data !== 'string') return writeReport(folder, { readImage: imageReader(await openDigits()) });
  const more = Array.isArray(settings.unlabelled) ? settings.unlabelled.filter((path) => typeof path === 'string') : [];
  const places = [settings.data, ...more].map((path) => [placeNow(path, config.begun, run.path), path] as const);
  const [data, ...unlabelled] = places.map(([now]) => now) as [string, ...string[]];
  const dataset = await dataOf(data, unlabelled);
  return writeReport(folder, { readImage: dataset && imageReader(asNamedBefore(dataset, places)) });
}

/** What a run learned from, as far as it is still there. */
async function dataOf(data: string, unlabelled: readonly string[]): Promise<Dataset | undefined> {
  const { openDataset } = await import('../../data/dataset.js');
  return openDataset(data, { unlabelled })
    .catch(() => openDataset(data))
    .catch(() => undefined);
}
