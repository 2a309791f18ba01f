import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Page } from 'playwright-core';
import { noisePng, temporaryFolder } from '../testing/image-files.js';
import { goTo, openPage, skipped } from '../testing/studio-page.js';
import { model as backbone, skip as withoutBackbone, until } from '../testing/studio-photos.js';
import type { Labels } from './protocol.js';

/** What a person waits for, in milliseconds. */
const firstPaint = 1000,
  answer = 100;
/** A machine with other work is late now and then: the best of so many rounds counts. */
const most = 4;

/** Measures rounds until one is quick enough. Skips where none was because the machine has other work. */
async function quickEnough(
  t: TestContext,
  { what, limit }: { readonly what: string; readonly limit: number },
  round: () => Promise<readonly number[]>,
): Promise<void> {
  const worst: number[] = [],
    said: string[] = [];
  while (worst.length < most && !worst.some((time) => time < limit)) {
    const times = (await round()).toSorted((a, b) => a - b);
    worst.push(times.at(-1)!);
    said.push(`${Math.round(times[times.length >> 1]!)} ms, ${Math.round(times.at(-1)!)} at most`);
  }
  t.diagnostic(`${what}: ${said.join('; ')}`);
  if (worst.some((time) => time < limit)) return;
  const [load] = loadavg() as [number, number, number];
  assert.ok(load > 1.5 * availableParallelism(), `${what}: ${said.join('; ')}`);
  t.skip(`hardware: ${what} within ${limit} ms cannot be measured under a load of ${load.toFixed(1)}`);
}

/** Milliseconds until `key` is answered on the screen: to the first frame after which another image has the focus. */
async function press(page: Page, key: string): Promise<number> {
  await page.evaluate(() => {
    const focused = (): string | null | undefined =>
      globalThis.document.querySelector('.grid')?.getAttribute('aria-activedescendant');
    const before = focused();
    const answered = new Promise<number>((resolve, reject) => {
      setTimeout(() => reject(new Error(`nothing has answered a key at ${before}`)), 30_000);
      globalThis.document.addEventListener(
        'keydown',
        ({ timeStamp }) => {
          const look = (): void => {
            if (focused() === before) return void requestAnimationFrame(look);
            // What was drawn is on the screen once the frame has ended.
            setTimeout(() => resolve(performance.now() - timeStamp));
          };
          requestAnimationFrame(look);
        },
        { capture: true, once: true },
      );
    });
    Object.assign(globalThis, { answered });
  });
  await page.keyboard.press(key);
  return page.evaluate(() => (globalThis as unknown as { answered: Promise<number> }).answered);
}

test(
  'with 2,000 images the first paint comes within a second, and keys are answered within 100 ms',
  { skip: skipped, timeout: 600_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'many');
    await mkdir(folder);
    for (let i = 0; i < 2000; i++) await writeFile(join(folder, `${i}.png`), await noisePng(i));
    // With a backbone the model learns beside the labelling.
    const model = withoutBackbone === false ? backbone : 'hf:pupil-tests/no-such-model';
    const { page, window } = await openPage(t, { folder, model });
    if (withoutBackbone === false)
      await until(
        () => window.get<{ waiting: string | null }>('/api/assistant'),
        ({ waiting }) => waiting?.startsWith('Label') === true,
        300,
      );

    await quickEnough(t, { what: 'first paint', limit: firstPaint }, async () => {
      await page.reload();
      await page.locator('main').waitFor();
      const paint = await page.waitForFunction(
        () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
      );
      return [(await paint.jsonValue())!];
    });

    await goTo(page, 'Label');
    await page.locator('.cell.focused').waitFor();
    for (const name of ['light', 'dark']) {
      await page.keyboard.press('c');
      await page.getByLabel('Class', { exact: true }).fill(name);
      await page.keyboard.press('Enter');
    }
    let given = 2;
    const kinds = { labels: ['1', '2'], moves: ['ArrowRight', 'ArrowDown', 'ArrowLeft', 'End', 'Home'] };
    for (const [what, keys] of Object.entries(kinds)) {
      // From the first image each of the moves goes to another one.
      if (what === 'moves') await page.keyboard.press('Home');
      await quickEnough(t, { what, limit: answer }, async () => {
        const times: number[] = [];
        for (let i = 0; i < 20; i++) times.push(await press(page, keys[i % keys.length]!));
        if (what === 'labels') given += times.length;
        return times;
      });
    }
    await until(
      () => window.get<Labels>('/api/labels'),
      ({ labels }) => labels.length === given,
    );
  },
);
