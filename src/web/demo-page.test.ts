import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { openBrowser, skipWithoutChromium } from '../testing/browser.js';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder } from '../testing/image-files.js';
import { serveFiles } from '../testing/web-page.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));
const backbone = join(shared, 'models/mobilenetv1-0.25-128.onnx');
const insects = join(shared, 'data/hymenoptera');
const skipped = existsSync(backbone) && existsSync(insects) ? skipWithoutChromium : 'needs ../shared';

const photos = (kind: string, from: number, to: number): string[] =>
  readdirSync(join(insects, 'train', kind))
    .sort()
    .slice(from, to)
    .map((name) => join(insects, 'train', kind, name));

/** Serious faults that axe finds, by name. */
async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8'));
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
}

test(
  'the demo page: label, train, try and download from any web host, also after a reload and without a network',
  { skip: skipped },
  async (t) => {
    const folder = await temporaryFolder(t);
    const built = join(folder, 'web');
    await promisify(execFile)(process.execPath, [join(root, 'scripts/build-web.js'), '--out', built]);
    const server = await serveFiles(t, (path) => readFile(path === '/backbone.onnx' ? backbone : join(built, path)));
    const browser = await openBrowser(t);
    const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
    page.setDefaultTimeout(120_000);
    const outside: string[] = [],
      faults: string[] = [];
    page.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(server.address))
        outside.push(request.url());
    });
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));

    await page.goto(`${server.address}?backbone=./backbone.onnx`);
    await page.getByText('Give photos of two classes.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Train' }).isDisabled(), true);
    for (const [i, kind] of ['ants', 'bees'].entries()) {
      const card = page.locator('.classes .card').nth(i);
      await card.getByLabel('Name of the class').fill(kind);
      await card.locator('input[type=file]').setInputFiles(photos(kind, 0, 10));
      await card.getByText('10 photos').waitFor();
    }
    // What the browser cannot open is told, not kept.
    const broken = { name: 'broken.heic', mimeType: 'image/heic', buffer: Buffer.from('ftypheic') };
    await page.locator('.classes .card').first().locator('input[type=file]').setInputFiles(broken);
    await page.getByText('This browser cannot open broken.heic').waitFor();
    await page.locator('.classes .card').first().getByText('10 photos').waitFor();
    await page.getByRole('button', { name: 'Dismiss' }).click();
    // Photos without a label; one of them gets its label by keyboard.
    await page.getByText('Photos without a label', { exact: true }).click();
    const pool = page.locator('.others');
    await pool.locator('input[type=file]').setInputFiles([...photos('ants', 10, 13), ...photos('bees', 10, 12)]);
    await pool.getByText('5 photos').waitFor();
    await pool.getByRole('button', { name: 'Label photo 1' }).focus();
    await page.keyboard.press('1');
    await pool.getByText('4 photos').waitFor();
    await page.locator('.classes .card').first().getByText('11 photos').waitFor();
    assert.deepEqual(await faultsOf(page), []);
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await faultsOf(page), []);
    assert.ok(await page.evaluate(() => globalThis.document.documentElement.scrollWidth <= 390), 'wider than a phone');

    // By keyboard alone.
    await page.getByRole('button', { name: 'Train' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('progressbar').waitFor();
    // The page is loaded again while it trains: all is there, and it goes on by itself.
    const isKept = page.getByText('Photos, labels and the model are kept in this browser');
    await isKept.waitFor();
    await page.reload();
    await page.locator('.classes .card').first().getByText('11 photos').waitFor();
    await pool.getByText('4 photos').waitFor();
    assert.equal(await page.getByLabel('Name of the class').nth(1).inputValue(), 'bees');
    await page
      .getByText(/photos are recognised when the model has not seen them \(95% interval \d+ to \d+%\)/)
      .waitFor();
    const download = page.waitForEvent('download');
    await page.getByText('Download model.onnx').focus();
    await page.keyboard.press('Enter');
    const model = join(folder, 'model.onnx');
    await (await download).saveAs(model);

    const [unseen] = photos('ants', 20, 21) as [string];
    await page.locator('h2:text("3. Try") ~ .drop input[type=file]').setInputFiles(unseen);
    const share = await page.locator('.tried .answer li').first().innerText();
    const { out } = await pupil('predict', model, unseen, '--json', '--no-rejection');
    const [{ label, confidence }] = (JSON.parse(out) as { predictions: [{ label: string; confidence: number }] })
      .predictions;
    assert.match(share, new RegExp(`^${label}\\s+\\d+%$`));
    // The browser decodes the JPEG in its own way.
    assert.ok(Math.abs(Number(/(\d+)%/.exec(share)![1]) / 100 - confidence) < 0.03, `${share}, in Node ${confidence}`);
    const evaluated = await pupil('evaluate', model, insects, '--split', 'val', '--json');
    const { top1, count } = JSON.parse(evaluated.out) as { top1: number; count: number };
    assert.ok(count > 100 && top1 > 0.7, `${top1} of ${count}`);
    assert.deepEqual(await faultsOf(page), []);
    assert.deepEqual([outside, faults], [[], []]);

    // Without a network: the page, the photos and the model are there, and it trains again.
    await page.evaluate(() => globalThis.navigator.serviceWorker.ready);
    await isKept.waitFor();
    await server.close();
    await page.reload();
    await page.locator('.classes .card').first().getByText('11 photos').waitFor();
    await page.locator('h2:text("3. Try") ~ .drop input[type=file]').setInputFiles(unseen);
    assert.equal(await page.locator('.tried .answer li').first().innerText(), share);
    await page.getByRole('button', { name: 'Train' }).click();
    await page.getByRole('progressbar').waitFor();
    await page.getByRole('progressbar').waitFor({ state: 'detached' });
    assert.equal(await page.getByRole('alert').count(), 0);
    await page.getByRole('button', { name: 'Start over' }).click();
    await page.getByText('Give photos of two classes.').waitFor();
    await isKept.waitFor();
    await page.reload();
    assert.equal(await page.locator('.photos img').count(), 0);
  },
);
