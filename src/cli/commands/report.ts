import { pathToFileURL } from 'node:url';
import type { Dataset } from '../../data/sample.js';
import type { ReportOptions } from '../../report/report.js';
import { PupilError } from '../../errors.js';
import { reportOptions } from '../../options/tools.js';
import { command } from '../command.js';
import { conclude } from '../result.js';

export const report = command('report', "Rebuild a run's report.", {
  arguments: { '<run>': 'the run folder' },
  options: reportOptions,
  examples: ['pupil report runs/photos', 'pupil report runs/photos --heat-maps'],
  async run({ run }, { json, heatMaps = false }, terminal) {
    const path = await rebuild(run, heatMaps);
    conclude({ report: path }, `${path}\n${pathToFileURL(path).href}\n`, json, terminal);
  },
});

async function rebuild(folder: string, heatMaps: boolean): Promise<string> {
  const { openRun } = await import('../../artifact/run.js');
  const run = await openRun(folder);
  const { config } = run;
  if (heatMaps && (config.command === 'gap' || config.command === 'search'))
    throw new PupilError('usage', `\`heatMaps\` has no use for a run of ${config.command}: it has no model`, {
      option: 'heatMaps',
    });
  if (config.command === 'gap') return (await import('../../jobs/gap/outcome.js')).writeGapReport(run);
  if (config.command === 'search') return (await import('../../jobs/search/outcome.js')).writeSearchReport(run);
  const settings = (config.settings ?? {}) as { readonly data?: unknown; readonly unlabelled?: unknown };
  const [{ openDigits }, { imageReader }, { writeReport }, { asNamedBefore, placeNow }] = await Promise.all([
    import('../../data/digits.js'),
    import('../../evaluate/readers.js'),
    import('../../report/report.js'),
    import('../../runs/moved.js'),
  ]);
  const explain = heatMaps ? await explainer(folder) : undefined;
  // Without a path it was the demo. The data may be gone or changed by now; the report then shows
  // gaps instead of images.
  if (typeof settings.data !== 'string')
    return writeReport(folder, { readImage: imageReader(await openDigits()), explain });
  const more = Array.isArray(settings.unlabelled) ? settings.unlabelled.filter((path) => typeof path === 'string') : [];
  const places = [settings.data, ...more].map((path) => [placeNow(path, config.begun, run.path), path] as const);
  const [data, ...unlabelled] = places.map(([now]) => now) as [string, ...string[]];
  const dataset = await dataOf(data, unlabelled);
  return writeReport(folder, { readImage: dataset && imageReader(asNamedBefore(dataset, places)), explain });
}

/** Draws what spoke for a class in images, by the model of a run. */
async function explainer(folder: string): Promise<ReportOptions['explain']> {
  const [{ explain }, { resolveModel }] = await Promise.all([
    import('../../evaluate/activation.js'),
    import('../../models/index.js'),
  ]);
  const model = await resolveModel(folder);
  return (images) => explain(model, images);
}

/** What a run learned from, as far as it is still there. */
async function dataOf(data: string, unlabelled: readonly string[]): Promise<Dataset | undefined> {
  const { openDataset } = await import('../../data/dataset.js');
  return openDataset(data, { unlabelled })
    .catch(() => openDataset(data))
    .catch(() => undefined);
}
