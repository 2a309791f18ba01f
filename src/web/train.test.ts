import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeOnnx } from '../onnx/index.js';
import { skipWithoutChromium } from '../testing/browser.js';
import { openEmptyPage } from '../testing/web-page.js';
import { backbone, bundle, classes, distance, draw, forPage, inNode, settings } from '../testing/web-training.js';

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
      const refusal = (of: typeof examples | { picture: File; label: string }[]): Promise<string> =>
        train(of, { model: '/backbone.onnx' }).then(
          () => 'none',
          (error: unknown) => `${(error as { code: string }).code}: ${(error as Error).message}`,
        );
      const broken = { picture: new File(['no image'], 'broken.jpg'), label: 'light' };
      return {
        model: [...model],
        heldOut,
        steps,
        predicted: predicted.map(({ label }) => label),
        consensus: [...consensus.model],
        consensusHeldOut: consensus.heldOut,
        one: await refusal(examples.slice(0, 1)),
        broken: await refusal([broken, { ...broken, label: 'dark' }]),
      };
    },
    {
      pictures: forPage(images),
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
  assert.match(got.broken, /^bad-data: example 1 \(broken\.jpg\): the image cannot be decoded/);
});
