import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { blank } from '../image/image.js';
import { Random } from '../random.js';
import { temporaryFolder } from '../testing/image-files.js';
import { writeTechniqueRun } from '../testing/technique-runs.js';
import { writeReport } from './report.js';

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

test(
  'a report fits a phone, prints its colours on white, and opens the images of a cell',
  { skip: chromium ? false : 'needs Chromium' },
  async (t) => {
    const run = join(await temporaryFolder(t), 'a-run-with-a-name-that-is-too-long-for-one-line-of-a-telephone');
    const classes = Array.from({ length: 12 }, (_, i) => `a-class-with-a-very-long-name-without-any-space-${i}`);
    await writeTechniqueRun(run, { classes, epochs: 4, rounds: 1 });
    const random = new Random(1, 'report');
    const predictions = Array.from({ length: 400 }, (_, i) => ({
      path: `folder/${'long'.repeat(20)}-${i}.png`,
      label: random.integer(12),
      predicted: random.integer(12),
      confidence: random.uniform(),
    }));
    const confusion = classes.map((_, label) =>
      classes.map((_, said) => predictions.filter((one) => one.label === label && one.predicted === said).length),
    );
    const perClass = Object.fromEntries(classes.map((name) => [name, { recall: 0.1, precision: 0.1, count: 33 }]));
    await writeFile(
      join(run, 'evaluation.json'),
      JSON.stringify({
        ...{ top1: 0.1, top5: 0.4, balanced: 0.1, count: 400, loss: 3, ece: 0.4, split: 'test', classes },
        ...{ perClass, confusion },
        predictions: predictions.map((one) => ({
          ...one,
          label: classes[one.label]!,
          predicted: classes[one.predicted]!,
        })),
      }),
    );
    const page = await writeReport(run, { readImage: () => Promise.resolve(blank(200, 150, [90, 120, 30])) });
    const { chromium: browserType } = await import('playwright-core');
    const browser = await browserType.launch({
      executablePath: chromium!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
    try {
      const tab = await browser.newPage({ viewport: { width: 390, height: 800 }, colorScheme: 'dark' });
      await tab.setContent(await readFile(page, 'utf8'));
      assert.equal(await tab.evaluate(() => globalThis.document.documentElement.scrollWidth), 390);
      // The last link of the matrix whose images are not shown before.
      const opened = await tab.evaluate(() => {
        const isHidden = (link: HTMLAnchorElement): boolean =>
          getComputedStyle(globalThis.document.querySelector(link.hash)!).display === 'none';
        const link = [...globalThis.document.querySelectorAll<HTMLAnchorElement>('table.matrix a')].find(isHidden)!;
        link.click();
        return new Promise<boolean>((resolve) => requestAnimationFrame(() => resolve(!isHidden(link))));
      });
      assert.ok(opened);
      await tab.emulateMedia({ media: 'print', colorScheme: 'dark' });
      const printed = await tab.evaluate(() => ({
        paper: getComputedStyle(globalThis.document.body).backgroundColor,
        ink: getComputedStyle(globalThis.document.body).color,
        colours: getComputedStyle(globalThis.document.querySelector('.matrix td')!).printColorAdjust,
      }));
      assert.deepEqual(printed, { paper: 'rgb(255, 255, 255)', ink: 'rgb(29, 31, 34)', colours: 'exact' });
    } finally {
      await browser.close();
    }
  },
);
