/** Images of a run that is finished, for its report. */
import type { Run } from '../artifact/run.js';
import { openDataset } from '../data/dataset.js';
import { openDigits } from '../data/digits.js';
import type { Dataset } from '../data/sample.js';
import { imageReader } from '../evaluate/readers.js';
import type { ReportOptions } from '../report/report.js';
import { asNamedBefore, placeNow } from '../runs/moved.js';

/**
 * Finds images by the paths that a run states, from the data that its settings name; undefined where that is gone or
 * changed: a report then shows gaps instead of images.
 */
export async function pastImages({ config, path: folder }: Run): Promise<ReportOptions['readImage']> {
  const settings = (config.settings ?? {}) as { readonly data?: unknown; readonly unlabelled?: unknown };
  // Without a path it was the demo.
  if (typeof settings.data !== 'string') return imageReader(await openDigits());
  const more = Array.isArray(settings.unlabelled) ? settings.unlabelled.filter((path) => typeof path === 'string') : [];
  const places = [settings.data, ...more].map((path) => [placeNow(path, config.begun, folder), path] as const);
  const [data, ...unlabelled] = places.map(([now]) => now) as [string, ...string[]];
  const dataset = await dataOf(data, unlabelled);
  return dataset && imageReader(asNamedBefore(dataset, places));
}

/** What a run learned from, as far as it is still there. */
const dataOf = (data: string, unlabelled: readonly string[]): Promise<Dataset | undefined> =>
  openDataset(data, { unlabelled })
    .catch(() => openDataset(data))
    .catch(() => undefined);
