import { basename } from 'node:path';
import { csvField } from '../../artifact/csv.js';
import type { GapFile, GapMap, GapResult } from '../../artifact/gap-formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import { openImages } from '../../data/dataset.js';
import type { Pool } from '../../data/pool.js';
import type { Sample } from '../../data/sample.js';
import { imageReader } from '../../evaluate/readers.js';
import { gapDrawing, gapPage } from '../../report/gap.js';
import type { Picture } from '../../report/photo.js';
import { objectOf, textsOf } from '../../report/json.js';
import { placeOf, withoutPlaces } from '../../report/places.js';
import { rasterise } from '../../report/raster.js';
import { pictureOf } from '../../report/report.js';

/**
 * Writes `gap.json`, `least-covered.csv` (every real image), `gap.png` and `report.html`.
 * `samples`: at least the least covered; `pool`: that of the job.
 */
export async function writeOutcome(
  run: Run,
  result: GapResult,
  points: GapMap,
  scores: readonly { readonly path: string; readonly score: number }[],
  { samples, pool }: { readonly samples: readonly Sample[]; readonly pool: Pool },
): Promise<void> {
  await runFiles.gap.write(run.path, { ...result, points });
  await runFiles.leastCovered.write(
    run.path,
    ['path,score', ...scores.map(({ path, score }) => `${csvField(path)},${score}`), ''].join('\n'),
  );
  await writePages(run, { ...result, points }, samples, pool);
}

async function writePages(run: Run, file: GapFile, samples: readonly Sample[], pool?: Pool): Promise<void> {
  const view = {
    ...file,
    title: basename(run.path),
    expectedCoverage: file.expected.coverage,
    halves: file.halves ?? undefined,
    map: file.points,
    config: withoutPlaces(run.config),
    train: { ...file.train, path: placeOf(file.train.path) },
    real: { ...file.real, path: placeOf(file.real.path) },
    model: placeOf(file.model),
  };
  const pictures = await picturesOf(
    file.least.map(({ path }) => path),
    samples,
    pool,
  );
  const { renderPage, svgOf } = await import('../../report/render.js');
  await runFiles.gapMap.write(run.path, await rasterise(svgOf(gapDrawing(view)), { zoom: 2 }));
  await runFiles.report.write(run.path, renderPage(gapPage(view), pictures).html);
}

/**
 * The same from the run folder alone; returns the page's path. Images that are gone show as gaps.
 */
export async function writeGapReport(run: Run): Promise<string> {
  const file = await runFiles.gap.read(run.path);
  if (file) {
    const samples = await openImages(textsOf(objectOf(run.config.settings)['real'])).then(
      (dataset) => dataset.samples,
      () => [],
    );
    await writePages(run, file, samples);
  }
  return runFiles.report.in(run.path);
}

/** Images that were moved or deleted since have none: the page says so. */
async function picturesOf(
  paths: readonly string[],
  samples: readonly Sample[],
  pool: Pool | undefined,
): Promise<Map<string, Picture>> {
  const read = imageReader({ samples }, pool);
  const pictures = new Map<string, Picture>();
  for (const path of paths) {
    const image = await read(path);
    if (image) pictures.set(path, await pictureOf(image));
  }
  return pictures;
}
