import { pathToFileURL } from 'node:url';
import type { ReportOptions } from '../../report/report.js';
import { PupilError } from '../../errors.js';
import { reportOptions } from '../../options/tools.js';
import { command } from '../command.js';
import { conclude, warningsTo } from '../result.js';

export const report = command('report', "Rebuild a run's report.", {
  arguments: { '<run>': 'the run folder' },
  options: reportOptions,
  examples: ['pupil report runs/photos', 'pupil report runs/photos --heat-maps'],
  async run({ run }, { json, heatMaps = false }, terminal) {
    const edited = await (await import('../../artifact/run.js')).editedSince(run);
    if (edited !== undefined) warningsTo(terminal)(edited);
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
  const [{ pastImages }, { writeReport }] = await Promise.all([
    import('../../jobs/past-images.js'),
    import('../../report/report.js'),
  ]);
  const explain = heatMaps ? await explainer(folder) : undefined;
  return writeReport(folder, { readImage: await pastImages(run), explain });
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
