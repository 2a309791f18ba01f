/** A small training, in Node and for a page. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportModel } from '../artifact/export.js';
import { createEngine } from '../engine/index.js';
import type { Image } from '../image/image.js';
import { buildModel } from '../models/index.js';
import { decodeOnnx } from '../onnx/index.js';
import { Random } from '../random.js';
import { learn, usualSettings, type Learned, type LearnSettings } from '../web/learn.js';
import { trainable } from '../web/train.js';

const side = 40;
export const classes = ['dark', 'light'];

/** Images of two classes that differ in brightness. */
export function draw(count: number): { readonly image: Image; readonly label: number }[] {
  const random = new Random(7, 'pictures');
  return Array.from({ length: count }, (_, i) => {
    const data = Uint8Array.from({ length: side * side * 3 }, () => 90 * (i % 2) + random.integer(160));
    return { image: { width: side, height: side, data }, label: i % 2 };
  });
}

/** Weights by name, of a `model.onnx`. */
function weightsIn(bytes: Uint8Array): Map<string, Float32Array> {
  const { initializers } = decodeOnnx(bytes, { name: 'model' }).graph;
  return new Map(
    [...initializers].flatMap(([name, { dtype, data }]) =>
      dtype === 'float32' ? [[name, data as Float32Array] as const] : [],
    ),
  );
}

/** Euclidean length of the difference of all weights. */
export function distance(one: Uint8Array, other: Uint8Array): number {
  const others = weightsIn(other);
  let sum = 0;
  for (const [name, values] of weightsIn(one)) values.forEach((v, i) => (sum += (v - others.get(name)![i]!) ** 2));
  return Math.sqrt(sum);
}

const runtime = '/node_modules/onnxruntime-web/dist/';
let bundled: Promise<Record<string, string>> | undefined;

/**
 * `/bundle.js`: `pupil/web` in one file, what it depends on but for onnxruntime-web in it; `/worker.js`: a worker's
 * script with it, `/gpu-worker.js`: one on the build with WebGPU.
 */
export const bundle = (): Promise<Record<string, string>> => (bundled ??= makeBundle());

async function makeBundle(): Promise<Record<string, string>> {
  const { build } = await import('vite');
  const outDir = await mkdtemp(join(tmpdir(), 'pupil-web-'));
  try {
    await build({
      configFile: false,
      logLevel: 'error',
      build: {
        outDir,
        lib: { entry: new URL('../web.js', import.meta.url).pathname, formats: ['es'], fileName: 'web' },
        rolldownOptions: {
          external: ['onnxruntime-web/wasm'],
          output: { codeSplitting: false, paths: { 'onnxruntime-web/wasm': `${runtime}ort.wasm.min.mjs` } },
        },
      },
    });
    const serve = "import { serveTraining } from '/bundle.js';";
    return {
      '/bundle.js': await readFile(join(outDir, 'web.js'), 'utf8'),
      '/worker.js': `${serve} serveTraining();`,
      '/gpu-worker.js': `import * as runtime from '${runtime}ort.webgpu.min.mjs'; ${serve} serveTraining({ runtime });`,
    };
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

export const backbone = exportModel(buildModel('resnet8', { labels: ['a', 'b', 'c'], seed: 3 }), {});
/** For a software GPU, which takes long to compile what it runs. */
export const smallBackbone = exportModel(buildModel('convnet-small', { labels: ['a', 'b', 'c'], seed: 3 }), {});
export const settings: LearnSettings = { ...usualSettings, mode: 'finetune', epochs: 5, batchSize: 8, seed: 1 };

/** What Node makes of the same images. */
export async function inNode(
  images: ReturnType<typeof draw>,
  wanted: LearnSettings,
  from = backbone,
): Promise<Uint8Array> {
  const { model } = await learnInNode(images, wanted, from);
  return exportModel({ ...model, labels: classes }, {});
}

/** The same, before it is exported. */
export async function learnInNode(
  images: ReturnType<typeof draw>,
  wanted: LearnSettings,
  from = backbone,
): Promise<Learned> {
  const engine = await createEngine('ort', { threads: 1 });
  try {
    const model = trainable({ name: 'model.onnx', bytes: from }, classes, wanted, () => undefined);
    const work = learn(engine, model, images, wanted);
    for (;;) {
      const { done, value } = await work.next();
      if (done) return value;
    }
  } finally {
    await engine.close();
  }
}

/** Images as `tab.evaluate` can send them, with the names of their classes. */
export const forPage = (
  images: ReturnType<typeof draw>,
): { data: number[]; width: number; height: number; label: string }[] =>
  images.map(({ image: { width, height, data }, label }) => ({
    width,
    height,
    data: [...data],
    label: classes[label]!,
  }));
