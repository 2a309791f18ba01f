import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exportModel } from './artifact/export.js';
import { createEngine } from './engine/index.js';
import { classifierOf } from './evaluate/load.js';
import { buildModel } from './models/index.js';
import type { Image } from './image/image.js';
import { Random } from './random.js';
import { skipWithoutChromium } from './testing/browser.js';
import { openEmptyPage } from './testing/web-page.js';

test('pupil/web predicts in a browser what Node predicts', { skip: skipWithoutChromium }, async (t) => {
  const model = { ...buildModel('resnet8', { labels: ['cat', 'dog', 'a <b> & "c"'], seed: 3 }), temperature: 1.7 };
  const bytes = exportModel(model, {});
  const random = new Random(5, 'picture');
  const picture: Image = {
    width: 48,
    height: 40,
    data: Uint8Array.from({ length: 48 * 40 * 3 }, () => random.integer(256)),
  };
  const engine = await createEngine('ort', { threads: 1 });
  const classifier = await classifierOf(engine, model);
  const expected = await classifier.predict(picture);
  const manyViews = await classifier.predict([picture], { views: 10 });
  await classifier.close();
  await engine.close();

  const forHub = exportModel(model, {}, { input: 'pixel_values' });
  const { tab, script } = await openEmptyPage(t, { '/model.onnx': bytes, '/onnx/model.onnx': forHub });
  const got = await tab.evaluate(
    async ({ script, width, height, data }) => {
      const { loadModel } = (await import(script)) as typeof import('./web.js');
      const loaded = await loadModel('/model.onnx');
      const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
      for (let i = 0; i < width * height; i++) rgba.set(data.slice(i * 3, i * 3 + 3), i * 4);
      const raw = await loaded.predict({ width, height, data: Uint8Array.from(data) });
      const drawn = await loaded.predict(new ImageData(rgba, width, height));
      const canvas = Object.assign(globalThis.document.createElement('canvas'), { width, height });
      canvas.getContext('2d')!.putImageData(new ImageData(rgba, width, height), 0, 0);
      const blob = await new Promise<Blob>((resolve) => canvas.toBlob((made) => resolve(made!)));
      const element = new globalThis.Image();
      element.src = URL.createObjectURL(blob);
      await element.decode();
      const same = await loaded.predict([
        canvas,
        blob,
        new Uint8Array(await blob.arrayBuffer()),
        await blob.arrayBuffer(),
        await createImageBitmap(blob),
        element,
        element.src,
      ]);
      const manyViews = await loaded.predict([{ width, height, data: Uint8Array.from(data) }], { views: 10 });
      const broken = await loaded.predict(new Uint8Array(9)).catch((error: { code?: string }) => error.code);
      const missing = await loadModel('/missing.onnx').catch((error: Error) => error.message);
      const wrong = async (work: () => Promise<unknown>): Promise<string> =>
        work().then(
          () => 'none',
          (error: { code?: string; name: string; message: string }) => `${error.name} ${error.code}: ${error.message}`,
        );
      const refused: string[] = [];
      for (const picture of [null, undefined, 7, '', '/missing.jpg', 'http://nowhere.invalid/a.jpg', 'http://', {}, []])
        refused.push(await wrong(() => loaded.predict([picture as Blob])));
      refused.push(await wrong(() => loaded.predict(null as unknown as Blob)));
      refused.push(await wrong(() => loaded.predict(globalThis.document.createElement('img'))));
      for (const model of [null, 7, 'http://nowhere.invalid/a.onnx', new Uint8Array(9), new Blob(['<!doctype html>'])])
        refused.push(await wrong(() => loadModel(model as unknown as Blob)));
      refused.push(await wrong(() => loadModel('/model.onnx', { provider: 'webgpu' })));
      await loaded[Symbol.asyncDispose]();
      const hub = await loadModel('/onnx/model.onnx');
      const forHub = await hub.predict({ width, height, data: Uint8Array.from(data) });
      return { forHub, raw, drawn, same, manyViews, broken, missing, refused };
    },
    { script, width: picture.width, height: picture.height, data: [...picture.data] },
  );
  assert.equal(got.raw.label, expected.label);
  for (const [label, p] of Object.entries(expected.probabilities)) {
    assert.ok(Math.abs(got.raw.probabilities[label]! - p) < 1e-4, label);
    assert.ok(Math.abs(got.drawn.probabilities[label]! - p) < 1e-4, label);
    assert.ok(Math.abs(got.forHub.probabilities[label]! - p) < 1e-4, label);
    assert.ok(Math.abs(got.manyViews[0]!.probabilities[label]! - manyViews[0]!.probabilities[label]!) < 1e-4, label);
    // A canvas, a file, its bytes, a bitmap, an element, an address.
    for (const one of got.same) assert.ok(Math.abs(one.probabilities[label]! - p) < 1e-4, label);
  }
  assert.equal(got.same.length, 7);
  assert.equal(got.broken, 'bad-data');
  const codes = got.refused.map((said) => /^PupilError ([a-z-]+): /.exec(said)?.[1] ?? said);
  assert.deepEqual(codes, [
    ...['usage', 'usage', 'usage', 'usage', 'not-found', 'network', 'network', 'bad-data', 'bad-data'],
    ...['usage', 'bad-data', 'usage', 'usage', 'network', 'bad-model', 'bad-model', 'usage'],
  ]);
  assert.match(String(got.missing), /missing\.onnx: 404/);
});
