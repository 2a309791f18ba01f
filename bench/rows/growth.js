// How time and memory grow: a training step with batch, image, width and depth, and the index of a
// folder with its files. Drawn as curves.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from '../harness/child.js';
import { drawCurves } from '../harness/curves.js';
import { median, round } from '../harness/statistics.js';

const script = fileURLToPath(new URL('../ours/index-files.js', import.meta.url));
const engines = {
  'pupil ort': { engine: 'ort' },
  'pupil onednn': { engine: 'onednn' },
  'pupil onednn bf16': { engine: 'onednn', precision: 'bf16' },
  'torch f32 channels_last': { peer: 'torch', precision: 'f32', layout: 'channels_last' },
  'torch bf16 channels_last': { peer: 'torch', precision: 'bf16', layout: 'channels_last' },
};

/** name: what grows along x, and the job at a point. */
const curves = {
  batch: {
    title: 'ResNet-18 at 32x32: batch',
    xs: [1, 4, 16, 64, 256],
    job: (x) => ({ network: 'resnet18-small', size: 32, batch: x }),
  },
  image: {
    title: 'ResNet-18, batch 8: side of the image, pixels',
    xs: [32, 96, 160, 224, 320, 384],
    job: (x) => ({ network: 'resnet18', size: x, batch: 8 }),
  },
  width: {
    title: 'WRN-16-k at 32x32, batch 32: width k',
    xs: [1, 2, 4, 8],
    job: (x) => ({ network: `wrn-16-${x}`, size: 32, batch: 32 }),
  },
  depth: {
    title: 'WRN-d-2 at 32x32, batch 32: depth d',
    xs: [10, 16, 28, 52, 100],
    job: (x) => ({ network: `wrn-${x}-2`, size: 32, batch: 32 }),
  },
};

/**
 * Milliseconds of a warm step (least of a few: growth is about the curve, not the weather) and peak
 * memory in a process of its own.
 */
async function point(job) {
  const child = await start(job);
  if (child.error !== undefined) return { error: child.error };
  try {
    const [first] = (await child.ask({ steps: 1 })).wall;
    const { wall, processor } = await child.ask({ steps: first > 4000 ? 2 : 4 });
    const { peakMegabytes } = await child.ask({ memory: true });
    return {
      wall: round(Math.min(...wall)),
      processor: round(Math.min(...processor)),
      peakMegabytes: Math.round(peakMegabytes),
    };
  } catch (error) {
    return { error: error.message };
  } finally {
    await child.close();
  }
}

const stepCurves = Object.entries(curves).map(([key, { title, xs, job }]) => ({
  name: `growth-${key}`,
  group: 'growth',
  long: true,
  title,
  async measure({ threads, log, folder }) {
    const series = {};
    for (const x of xs) {
      for (const [name, options] of Object.entries(engines)) {
        if (series[name]?.error) continue;
        const { network, ...rest } = job(x);
        const result = await point({
          work: 'step',
          classes: 10,
          threads,
          ...rest,
          ...options,
          ...(options.peer ? { network } : { model: network }),
        });
        log(`  ${x}, ${name}: ${result.error ?? `${result.wall} ms, ${result.peakMegabytes} MiB`}`);
        if (result.error) series[name] = { ...series[name], error: result.error };
        else (series[name] ??= { points: [] }).points.push({ x, ...result });
      }
    }
    const pictures = await drawCurves(folder, `growth-${key}`, title, series, {
      wall: 'milliseconds a step',
      peakMegabytes: 'peak resident memory, MiB',
    });
    return { title, series, pictures };
  },
}));

/**
 * A tiny valid JPEG of one grey pixel column, with a number behind its end so that no two files are
 * the same.
 */
async function tinyFile() {
  const { default: sharp } = await import('sharp');
  return sharp({ create: { width: 8, height: 8, channels: 3, background: '#888' } })
    .jpeg({ quality: 50 })
    .toBuffer();
}

const files = {
  name: 'growth-files',
  group: 'growth',
  long: true,
  title: 'the index of a folder of files',
  async measure({ rounds, log, folder }) {
    const { runCommand } = await import('../harness/command.js');
    const bytes = await tinyFile();
    const place = mkdtempSync(join(tmpdir(), 'pupil-bench-files-'));
    const series = { 'pupil, every file read and hashed': { points: [] } };
    try {
      let made = 0;
      for (const x of [1_000, 10_000, 100_000]) {
        for (; made < x; made++) {
          const into = join(place, `class-${made % 10}`);
          if (made < 10) mkdirSync(into, { recursive: true });
          writeFileSync(join(into, `${made}.jpg`), Buffer.concat([bytes, Buffer.from(String(made))]));
        }
        const turns = [];
        for (let i = 0; i < Math.min(rounds, 3); i++)
          turns.push(JSON.parse((await runCommand(process.execPath, [script, place])).output));
        const entry = {
          x,
          wall: round(median(turns.map(({ wall }) => wall))),
          peakMegabytes: Math.round(median(turns.map(({ peakMegabytes }) => peakMegabytes))),
        };
        log(`  ${x} files: ${entry.wall} ms, ${entry.peakMegabytes} MiB`);
        series['pupil, every file read and hashed'].points.push(entry);
      }
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
    const title = 'Opening a folder: files';
    return {
      title,
      series,
      pictures: await drawCurves(folder, 'growth-files', title, series, {
        wall: 'milliseconds',
        peakMegabytes: 'peak resident memory, MiB',
      }),
    };
  },
};

export const growthRows = [...stepCurves, files];
