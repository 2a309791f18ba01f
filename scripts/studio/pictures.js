// Pictures of the studio's sections for the documentation: node scripts/studio/pictures.js [SECTION...], on a quiet
// machine: what is trained in a minute is shown. Opens five kinds of flowers from ../shared in Chromium, labels some,
// plants two errors, trains and tries where a section shows runs, and writes docs/studio/. Phones are used by touch.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { startStudio } from '../../dist/studio/server.js';
import { root, shared, unlabelled, withoutLabels } from './folder.js';

const all = ['start', 'label', 'check', 'augment', 'train', 'try', 'look'],
  wanted = process.argv.length > 2 ? process.argv.slice(2) : all;
const work = mkdtempSync(join(tmpdir(), 'pupil-pictures-')),
  folder = join(work, 'flowers');
const { folder: photos, truth } = unlabelled('flowers', 300);
withoutLabels(photos);
cpSync(photos, folder, { recursive: true });
const kinds = [...new Set(Object.values(truth))].sort();

const foreign = { normalize: 'symmetric' };
const studio = await startStudio({ folder, model: join(shared, 'models/mobilenetv2-1.0-224.onnx'), foreign });
const camera = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
/** Milliseconds that a training is waited for. */
const timeout = 900_000;
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', ...camera],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
await page.goto(studio.address);
const get = (path) => page.evaluate(async (address) => (await fetch(address)).json(), `/api${path}`);
const post = (path, body) =>
  page.evaluate(
    async ([address, text]) =>
      (await fetch(address, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text })).json(),
    [`/api${path}`, JSON.stringify(body)],
  );
const until = async (path, isThere) => {
  while (!isThere(await get(path))) await page.waitForTimeout(300);
};
await studio.ready;
await until('/assistant', ({ waiting }) => waiting?.startsWith('Label'));
const images = await get('/images');
const kindOf = (id) => truth[images[id].path];

// Labels as they were proposed, in four rounds.
for (let round = 0; round < 4; round++) {
  const next = await get('/next?count=20');
  const { version } = await post(
    '/labels',
    next.map(({ id }, i) => ({
      ...{ id, was: null, source: 'person' },
      to: i === 7 && round > 1 ? kinds.find((kind) => kind !== kindOf(id)) : kindOf(id),
    })),
  );
  await until('/assistant', (said) => said.version >= version);
}

const open = async (section) => {
  await page.evaluate((to) => (location.hash = `#/${to}`), section);
  await page.waitForTimeout(1200);
};
if (wanted.some((section) => !['label', 'check', 'augment'].includes(section))) {
  await open('train');
  await page.getByLabel('Train once').check();
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.locator('.run .result').waitFor({ timeout });
  await page.getByLabel('Find the best').check();
  await page.getByLabel('Minutes').fill('1');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.locator('.ladder li').first().waitFor({ timeout });
  await page.locator('.state.running').waitFor({ state: 'detached', timeout });
  await open('try');
  const unseen = kinds.slice(0, 4).map((kind) => {
    const below = join(shared, 'data/flowers/val', kind);
    return join(below, readdirSync(below)[2]);
  });
  await page.locator('input[type=file]').setInputFiles(unseen);
  await page.waitForTimeout(4000);
}
await open('label');
await page.getByRole('button', { name: /^All/ }).click();

const devices = await page.context().newCDPSession(page);
const views = [
  { name: 'light', width: 1280, height: 800, colorScheme: 'light' },
  { name: 'dark', width: 1280, height: 800, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
];
const to = join(root, 'docs/studio');
mkdirSync(to, { recursive: true });
for (const { name, width, height, colorScheme } of views) {
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme });
  await devices.send('Emulation.setTouchEmulationEnabled', { enabled: name === 'phone' });
  for (const section of wanted) {
    await open(section);
    if (section === 'train') await page.getByText('Expected to take').waitFor({ timeout });
    await sharp(await page.screenshot())
      .webp({ quality: 72 })
      .toFile(join(to, `${section}-${name}.webp`));
  }
}
await browser.close();
await studio.close();
rmSync(work, { recursive: true });
