import { basename } from 'node:path';
import { csvField } from '../../artifact/csv.js';
import type { Run } from '../../artifact/run.js';
import { openImages } from '../../data/dataset.js';
import type { Sample } from '../../data/sample.js';
import type { PolicyGap } from '../../evaluate/distribution.js';
import { decodeSample } from '../../evaluate/evaluate.js';
import { gapPage, gapPicture, type GapMap } from '../../report/gap.js';
import type { Picture } from '../../report/photo.js';
import { rasterise } from '../../report/raster.js';
import { pictureOf } from '../../report/report.js';

/** What `gap --json` prints. */
export interface GapResult {
  readonly run: string;
  readonly model: string;
  readonly train: { readonly path: string; readonly count: number; readonly found: number };
  readonly real: { readonly path: string; readonly count: number; readonly found: number };
  readonly neighbours: number;
  readonly draws: number;
  /** None first, then as they were asked for. */
  readonly policies: readonly PolicyGap[];
  /** What images of the real distribution would show. */
  readonly expected: { readonly coverage: number; readonly density: 1; readonly mmd: 0 };
  /** Half of the training images against the other; null when they are too few. */
  readonly halves: {
    readonly coverage: number;
    readonly density: number;
    readonly mmd: number;
    readonly interval: number;
  } | null;
  /**
   * Real images, the least covered first, with the distance to the nearest training image over that
   * to the k-th nearest real one.
   */
  readonly least: readonly { readonly path: string; readonly score: number }[];
  /** The picture of the map, in the run folder. */
  readonly map: 'gap.png';
  readonly seconds: number;
}

/**
 * `gap.json`: the result and the places on the map, from which pictures and page can be made again.
 */
interface GapFile extends GapResult {
  readonly points: GapMap;
}

/**
 * Writes `gap.json`, `least-covered.csv` (every real image), `gap.png` and `report.html`.
 * `samples`: at least the least covered.
 */
export async function writeOutcome(
  run: Run,
  result: GapResult,
  points: GapMap,
  scores: readonly { readonly path: string; readonly score: number }[],
  samples: readonly Sample[],
): Promise<void> {
  await run.write('gap.json', `${JSON.stringify({ ...result, points } satisfies GapFile)}\n`);
  await run.write(
    'least-covered.csv',
    ['path,score', ...scores.map(({ path, score }) => `${csvField(path)},${score}`), ''].join('\n'),
  );
  await writePages(run, { ...result, points }, samples);
}

async function writePages(run: Run, file: GapFile, samples: readonly Sample[]): Promise<void> {
  const view = {
    ...file,
    title: basename(run.path),
    expectedCoverage: file.expected.coverage,
    halves: file.halves ?? undefined,
    map: file.points,
    config: run.config,
    pictures: await picturesOf(
      file.least.map(({ path }) => path),
      samples,
    ),
  };
  await run.write('gap.png', await rasterise(gapPicture(view), { zoom: 2 }));
  await run.write('report.html', gapPage(view).html);
}

/**
 * The same from the run folder alone; returns the page's path. Images that are gone show as gaps.
 */
export async function writeGapReport(run: Run): Promise<string> {
  const file = await run.readJson<GapFile>('gap.json');
  if (file) {
    const { real = [] } = (run.config['settings'] ?? {}) as { readonly real?: readonly string[] };
    const samples = await openImages(real).then(
      (dataset) => dataset.samples,
      () => [],
    );
    await writePages(run, file, samples);
  }
  return run.file('report.html');
}

async function picturesOf(paths: readonly string[], samples: readonly Sample[]): Promise<Map<string, Picture>> {
  const byPath = new Map(samples.map((sample) => [sample.path, sample]));
  const pictures = new Map<string, Picture>();
  for (const path of paths) {
    const sample = byPath.get(path);
    if (sample === undefined) continue;
    try {
      pictures.set(path, await pictureOf(await decodeSample(sample)));
    } catch {
      // Moved or deleted since: the page says so.
    }
  }
  return pictures;
}
