import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { createEngine } from '../engine/index.js';
import type { Image } from '../image/image.js';
import { buildModel } from '../models/index.js';
import { decodeOnnx } from '../onnx/index.js';
import { Random } from '../random.js';
import { skipWithoutChromium } from '../testing/browser.js';
import { openEmptyPage } from '../testing/web-page.js';
import { learn, usualSettings, type LearnSettings } from './learn.js';
import { trainable } from './train.js';

const side = 40,
  classes = ['dark', 'light'];

/** Images of two classes that differ in brightness. */
function draw(count: number): { readonly image: Image; readonly label: number }[] {
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
function distance(one: Uint8Array, other: Uint8Array): number {
  const others = weightsIn(other);
  let sum = 0;
  for (const [name, values] of weightsIn(one)) values.forEach((v, i) => (sum += (v - others.get(name)![i]!) ** 2));
  return Math.sqrt(sum);
}

/** `pupil/web` in one file, what it depends on but for onnxruntime-web in it. */
async function bundle(): Promise<Record<string, string>> {
  const { build } = await import('vite');
  const outDir = await mkdtemp(join(tmpdir(), 'pupil-web-'));
  try {
    await build({
      configFile: false,
      logLevel: 'error',
      build: {
        outDir,
        lib: { entry: new URL('../web.js', import.meta.url).pathname, formats: ['es'], fileName: 'web' },
        rolldownOptions: { external: ['onnxruntime-web/wasm'], output: { codeSplitting: false } },
      },
    });
    return { '/bundle.js': await readFile(join(outDir, 'web.js'), 'utf8') };
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

const backbone = exportModel(buildModel('resnet8', { labels: ['a', 'b', 'c'], seed: 3 }), {});
const settings: LearnSettings = { ...usualSettings, mode: 'finetune', epochs: 5, batchSize: 8, seed: 1 };

/** What Node makes of the same images. */
async function inNode(images: ReturnType<typeof draw>, wanted: LearnSettings): Promise<Uint8Array> {
  const engine = await createEngine('ort', { threads: 1 });
  try {
    const model = trainable({ name: 'model.onnx', bytes: backbone }, classes, wanted, () => undefined);
    const work = learn(engine, model, images, wanted);
    for (;;) {
      const { done, value } = await work.next();
      if (done) return exportModel({ ...value.model, labels: classes }, {});
    }
  } finally {
    await engine.close();
  }
}

test('ten steps of fine-tuning in a browser are those of Node', { skip: skipWithoutChromium }, async (t) => {
  const images = draw(16);
  const before = await inNode(images, { ...settings, mode: 'probe' }),
    expected = await inNode(images, settings);
  const change = distance(expected, before);
  assert.ok(change > 0.01, `ten steps changed the weights by ${change}`);
  const { tab } = await openEmptyPage(t, { ...(await bundle()), '/backbone.onnx': backbone });
  const got = await tab.evaluate(
    async ({ pictures, wanted, path }) => {
      const { loadModel, train } = (await import(path)) as typeof import('../web.js');
      const examples = pictures.map(({ data, width, height, label }) => ({
        picture: { width, height, data: Uint8Array.from(data) },
        label,
      }));
      const steps: number[] = [];
      const job = train(examples, { model: '/backbone.onnx', ...wanted });
      for await (const event of job) if (event.type === 'step') steps.push(event.step);
      const { model, heldOut } = await job;
      const consensus = await train(
        examples.map((example, i) => (i < 8 ? example : { picture: example.picture })),
        { model: '/backbone.onnx' },
      );
      const classifier = await loadModel(consensus.model);
      const predicted = await classifier.predict(examples.map(({ picture }) => picture));
      const one = await train(examples.slice(0, 1), { model: '/backbone.onnx' }).catch(
        (error: unknown) => `${(error as { code: string }).code}: ${(error as Error).message}`,
      );
      return {
        model: [...model],
        heldOut,
        steps,
        predicted: predicted.map(({ label }) => label),
        consensus: [...consensus.model],
        consensusHeldOut: consensus.heldOut,
        one: String(one),
      };
    },
    {
      pictures: images.map(({ image: { width, height, data }, label }) => ({
        width,
        height,
        data: [...data],
        label: classes[label]!,
      })),
      wanted: settings,
      path: '/bundle.js',
    },
  );
  assert.deepEqual(got.steps, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const apart = distance(Uint8Array.from(got.model), expected);
  assert.ok(apart <= 1e-3 * change, `weights differ by ${apart}, of a change of ${change}`);
  assert.equal(got.heldOut?.count, 16);
  assert.ok(got.heldOut.top1 >= 0.75, `${got.heldOut.top1} of labels held out`);
  assert.equal(got.consensusHeldOut?.count, 8);
  const right = got.predicted.filter((label, i) => label === classes[images[i]!.label]).length;
  assert.ok(right >= 14, `${right} of 16 are right, 8 of which had labels`);
  assert.deepEqual(
    JSON.parse(decodeOnnx(Uint8Array.from(got.consensus), { name: 'model' }).metadata.get('labels')!),
    classes,
  );
  assert.match(got.one, /^bad-data: all labels are "dark"/);
});
