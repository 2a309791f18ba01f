import { pathToFileURL } from 'node:url';
import { openDigits } from '../../data/digits.js';
import { openDataset } from '../../data/dataset.js';
import { openRun } from '../../artifact/run.js';
import { decodeSample } from '../../evaluate/evaluate.js';
import type { Image } from '../../image/image.js';
import { writeReport } from '../../report/report.js';
import type { Dataset } from '../../data/sample.js';
import { writeGapReport } from '../../jobs/gap/outcome.js';
import { writeSearchReport } from '../../jobs/search/outcome.js';
import type { CommonOptions } from '../options.js';
import { present, refuseExisting } from '../result.js';
import type { Terminal } from '../terminal.js';

/** Finds images by the path that an evaluation states: undefined when one is gone. */
export function imageReader(dataset: Dataset): (path: string) => Promise<Image | undefined> {
  const samples = new Map(dataset.samples.map((sample) => [sample.path, sample]));
  return async (path) => {
    const sample = samples.get(path);
    return sample && decodeSample(sample).catch(() => undefined);
  };
}

/** What a run learned from, as far as it is still there. */
async function dataOf(data: string, unlabelled: unknown): Promise<Dataset | undefined> {
  const more = Array.isArray(unlabelled) ? unlabelled.filter((path) => typeof path === 'string') : [];
  return openDataset(data, { unlabelled: more })
    .catch(() => openDataset(data))
    .catch(() => undefined);
}

/** `pupil report RUN`. */
export async function report(folder: string, options: CommonOptions, terminal: Terminal): Promise<void> {
  await refuseExisting(options.out, 'report');
  const run = await openRun(folder);
  const { config } = run;
  if (config['command'] === 'search' || config['command'] === 'gap') {
    const path = await (config['command'] === 'gap' ? writeGapReport(run) : writeSearchReport(run));
    await present({ report: path }, `${path}\n${pathToFileURL(path).href}\n`, options, 'report', terminal);
    return;
  }
  const settings = (config['settings'] ?? {}) as { readonly data?: unknown; readonly unlabelled?: unknown };
  // Without a path it was the demo. The data may be gone or changed by now; the report then shows
  // gaps instead of images.
  const dataset =
    typeof settings.data === 'string' ? await dataOf(settings.data, settings.unlabelled) : await openDigits();
  const path = await writeReport(folder, dataset === undefined ? {} : { readImage: imageReader(dataset) });
  await present({ report: path }, `${path}\n${pathToFileURL(path).href}\n`, options, 'report', terminal);
}
