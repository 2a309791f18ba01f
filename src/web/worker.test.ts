import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { skipWithoutChromium } from '../testing/browser.js';
import { openEmptyPage } from '../testing/web-page.js';
import { backbone, bundle, distance, draw, forPage, inNode, settings, smallBackbone } from '../testing/web-training.js';

const images = draw(16);

/** What ten steps change, and what comes out in Node. */
async function expectation(from = backbone): Promise<{ readonly change: number; readonly expected: Uint8Array }> {
  const before = await inNode(images, { ...settings, mode: 'probe' }, from),
    expected = await inNode(images, settings, from);
  return { change: distance(expected, before), expected };
}

/** Puts `start(options)` into the page: the training in a worker, whose steps are in `steps`. */
const prepare = (tab: Page): Promise<void> =>
  tab.evaluate(
    ({ pictures, wanted }) => {
      const page = globalThis as unknown as TrainingPage;
      page.steps = [];
      page.start = async ({ script, stopAt = Infinity, ...options }) => {
        const { train } = (await import(page.bundle)) as typeof import('../web.js');
        const job = train(
          pictures.map(({ data, width, height, label }) => ({
            picture: { width, height, data: Uint8Array.from(data) },
            label,
          })),
          {
            model: '/backbone.onnx',
            ...wanted,
            ...options,
            worker: () => new globalThis.Worker(script, { type: 'module' }),
          },
        );
        for await (const event of job) {
          if (event.type === 'start') page.began = event.step;
          if (event.type !== 'step') continue;
          page.steps.push(event.step);
          if (event.step >= stopAt) break;
        }
        return [...(await job).model];
      };
      page.bundle = '/bundle.js';
    },
    { pictures: forPage(images), wanted: settings },
  );

interface TrainingPage {
  bundle: string;
  /** Steps done since the page was loaded. */
  steps: number[];
  /** Steps that were done before, of a training that goes on. */
  began: number;
  start(options: {
    readonly script: string;
    readonly stopAt?: number;
    readonly state?: string;
    readonly saveEvery?: number;
    readonly threads?: number;
    readonly provider?: 'wasm' | 'webgpu';
  }): Promise<number[]>;
}

test(
  'in a worker with threads: as Node, and on from where it was after a reload',
  { skip: skipWithoutChromium },
  async (t) => {
    const { change, expected } = await expectation();
    const { tab } = await openEmptyPage(t, { ...(await bundle()), '/backbone.onnx': backbone }, { isolated: true });
    await prepare(tab);
    assert.equal(await tab.evaluate(() => globalThis.crossOriginIsolated), true);
    const keeping = { script: '/worker.js', state: 'a', saveEvery: 0, threads: 2 };
    await tab.evaluate((options) => {
      // The page is loaded again before it ends.
      void (globalThis as unknown as TrainingPage).start(options).catch(() => undefined);
    }, keeping);
    await tab.waitForFunction(() => (globalThis as unknown as TrainingPage).steps.length >= 4, undefined, {
      timeout: 120_000,
    });
    await tab.reload();
    await prepare(tab);
    const model = await tab.evaluate((options) => (globalThis as unknown as TrainingPage).start(options), keeping);
    const { began, steps } = await tab.evaluate(() => {
      const page = globalThis as unknown as TrainingPage;
      return { began: page.began, steps: page.steps };
    });
    assert.ok(began >= 3, `went on from step ${began}`);
    assert.deepEqual(
      steps,
      Array.from({ length: 10 - began }, (_, i) => began + i + 1),
    );
    const apart = distance(Uint8Array.from(model), expected);
    assert.ok(apart <= 1e-3 * change, `weights differ by ${apart}, of a change of ${change}`);

    // Left early: interrupted, and what was done is kept until another training has its name.
    const stopped = await tab.evaluate(
      async (options) =>
        (globalThis as unknown as TrainingPage).start({ ...options, stopAt: 2 }).then(
          () => 'none',
          (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
        ),
      keeping,
    );
    assert.match(stopped, /^interrupted: .*call it again with the same examples to go on/);
    const kept = await tab.evaluate(async () => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('pupil');
      const names: string[] = [];
      for await (const name of folder.keys()) names.push(name);
      return names;
    });
    assert.deepEqual(kept, ['a']);
    const missing = await tab.evaluate(
      async (options) =>
        (globalThis as unknown as TrainingPage).start({ ...options, script: '/nothing.js' }).then(
          () => 'none',
          (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
        ),
      keeping,
    );
    assert.match(missing, /^unsupported: the worker cannot run/);
  },
);

test('ten steps on WebGPU are those of Node', { skip: skipWithoutChromium }, async (t) => {
  const { change, expected } = await expectation(smallBackbone);
  const { tab } = await openEmptyPage(t, { ...(await bundle()), '/backbone.onnx': smallBackbone }, { gpu: true });
  await prepare(tab);
  const model = await tab.evaluate((options) => (globalThis as unknown as TrainingPage).start(options), {
    script: '/gpu-worker.js',
    provider: 'webgpu' as const,
  });
  const apart = distance(Uint8Array.from(model), expected);
  t.diagnostic(`weights differ by ${apart}, of a change of ${change}`);
  assert.ok(apart <= 1e-3 * change, `weights differ by ${apart}, of a change of ${change}`);
});
