// Pictures of the demo page for the documentation: npm run web && node scripts/demo-pictures.js. Labels flowers
// from ../shared in Chromium, trains, tries, and writes docs/images/.
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import sharp from 'sharp';

const root = fileURLToPath(new URL('../', import.meta.url));
const built = join(root, 'build/web'),
  shared = join(root, '../shared');
if (!existsSync(built)) throw new Error('no build/web; run: npm run web');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css' };
const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  const file = path === '/backbone.onnx' ? join(shared, 'models/mobilenetv2-1.0-224.onnx') : join(built, path);
  const whole = path === '/' ? join(built, 'index.html') : file;
  response.setHeader('content-type', types[extname(whole)] ?? 'application/wasm');
  response.end(await readFile(whole).catch(() => undefined));
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const flowers = join(shared, 'data/flowers/train');
const photos = (kind, from, to) =>
  readdirSync(join(flowers, kind))
    .sort()
    .slice(from, to)
    .map((name) => join(flowers, kind, name));
const kinds = readdirSync(flowers).sort().slice(0, 3);
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
page.setDefaultTimeout(0);
await page.goto(`http://127.0.0.1:${server.address().port}/?backbone=./backbone.onnx`);
await page.getByRole('button', { name: 'Add a class' }).click();
for (const [i, kind] of kinds.entries()) {
  const card = page.locator('.classes .card').nth(i);
  await card.getByLabel('Name of the class').fill(kind);
  await card.locator('input[type=file]').setInputFiles(photos(kind, 0, 20));
}
await page.getByText('Photos without a label', { exact: true }).click();
await page.locator('.others input[type=file]').setInputFiles(kinds.flatMap((kind) => photos(kind, 20, 30)));
await page.getByRole('button', { name: 'Train' }).click();
await page.getByText('photos are recognised when').waitFor();
const chosen = kinds.flatMap((kind) => photos(kind, 40, 41)).slice(0, 2);
await page.locator('h2:text("3. Try") ~ .drop input[type=file]').setInputFiles(chosen);
await page.locator('.tried .verdict').nth(1).waitFor();
await page.locator('.backbone summary').click();
const shoot = async (name, colorScheme, width) => {
  await page.setViewportSize({ width, height: 800 });
  await page.emulateMedia({ colorScheme });
  const picture = await page.screenshot({ fullPage: true });
  await sharp(picture)
    .webp({ quality: 74 })
    .toFile(join(root, `docs/images/demo-${name}.webp`));
};
await shoot('light', 'light', 1100);
await shoot('dark', 'dark', 1100);
await shoot('phone', 'light', 390);
await browser.close();
server.close();
