import assert from 'node:assert/strict';
import { readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { encodePng } from '../image/decode.js';
import { imageOf } from '../image/image.js';
import { buildModel } from '../models/index.js';
import { Random } from '../random.js';
import { openBrowser, skipWithoutChromium } from '../testing/browser.js';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder } from '../testing/image-files.js';
import { serveFiles } from '../testing/web-page.js';

test(
  'export --web: a page that classifies as Node does, also without a network',
  { skip: skipWithoutChromium },
  async (t) => {
    const folder = await temporaryFolder(t);
    const at = (name: string): string => join(folder, name);
    const random = new Random(3, 'picture');
    await writeFile(
      at('photo.png'),
      await encodePng(
        imageOf(
          40,
          40,
          Uint8Array.from({ length: 4800 }, () => random.integer(256)),
        ),
      ),
    );
    await writeFile(
      at('model.onnx'),
      exportModel(buildModel('resnet8', { labels: ['cat', '<b>dog</b>'], seed: 3 }), {}),
    );
    const exported = await pupil('export', at('model.onnx'), '--web', at('page'));
    assert.match(exported.out, /put the folder on any web host/);
    // What a host has to hold is said beside what the model takes.
    const files = await readdir(at('page'));
    const sizes = await Promise.all(files.map(async (name) => (await stat(at(`page/${name}`))).size));
    const whole = sizes.reduce((sum, size) => sum + size, 0) / 1e6;
    const own = (await stat(at('page/model.onnx'))).size / 1e6;
    const said = `(model ${own.toPrecision(3)} MB, with the page and its runtime ${whole.toPrecision(3)} MB,`;
    assert.ok(exported.out.includes(said), `${exported.out}: not ${said}`);
    const again = await pupil('export', at('model.onnx'), '--web', at('page'));
    assert.equal(again.code, 2);
    assert.match(again.err, /page already exists; choose another --web/);
    const { out } = await pupil('predict', at('model.onnx'), at('photo.png'), '--json');
    const [{ label, confidence }] = (JSON.parse(out) as { predictions: [{ label: string; confidence: number }] })
      .predictions;

    const server = await serveFiles(t, (path) => readFile(at(`page${path}`)));
    const page = await (await openBrowser(t)).newPage();
    const outside: string[] = [];
    page.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(server.address))
        outside.push(request.url());
    });
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    const classify = async (): Promise<void> => {
      await page.getByText('It tells cat, <b>dog</b>.').waitFor();
      await page.locator('input[type=file]').setInputFiles(at('photo.png'));
      await page.locator('#results .verdict').waitFor();
      assert.equal(await page.locator('#results .verdict').textContent(), label);
      const share = Number(await page.locator('#results meter').first().getAttribute('value'));
      assert.ok(Math.abs(share - confidence) < 1e-3, `${share}, in Node ${confidence}`);
    };
    await page.goto(server.address);
    await classify();
    assert.match((await page.locator('#code').textContent())!, /loadModel\('\.\/model\.onnx'\)/);
    await page.evaluate(() => globalThis.navigator.serviceWorker.ready);
    assert.deepEqual([outside, faults], [[], []]);
    await server.close();
    await page.reload();
    await classify();
  },
);
