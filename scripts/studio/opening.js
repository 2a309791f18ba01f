// Measures how long the studio's server is held up in one piece while it opens a folder of many images, and
// while some of them are labelled: node scripts/studio/opening.js [--images 10000] [--model FILE] [--set SET].
// Processor time of its thread, so that other programs do not count (Linux). With a model: also how soon requests are
// answered while it looks at the images, how much memory that takes, and how long the first proposals take after that.
// Images are small patterns; with a set they are its training images, as often as needed, each with noise of its own.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { Random } from '../../dist/random.js';
import { startStudio } from '../../dist/studio/server.js';
import { openWindow } from '../../dist/testing/studio-client.js';
import { shared } from './folder.js';

const { values } = parseArgs({
  options: { images: { type: 'string', default: '10000' }, model: { type: 'string' }, set: { type: 'string' } },
});
const folder = mkdtempSync(join(tmpdir(), 'pupil-opening-'));

/** A pattern that no other image has. */
function pattern(i) {
  const side = 24;
  const pixels = Uint8Array.from(
    { length: side * side * 3 },
    (_, at) => 255 * Math.abs(Math.sin(at * (1 + (i % 977)))),
  );
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } }).png();
}

const from = values.set === undefined ? '' : join(shared, 'data', values.set, 'train');
const photos =
  from === '' ? [] : readdirSync(from).flatMap((name) => readdirSync(join(from, name)).map((file) => join(name, file)));

/** A photo, brighter or darker at random in every pixel. */
async function noisy(i) {
  const { data, info } = await sharp(join(from, photos[i % photos.length]))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const random = new Random(i, 'noise');
  for (let at = 0; at < data.length; at++)
    data[at] = Math.max(0, Math.min(255, data[at] + 16 * (random.uniform() - 0.5)));
  return sharp(data, { raw: info }).jpeg({ quality: 85 });
}

for (let i = 0; i < Number(values.images); i++) {
  const name = from === '' ? `class ${i % 10}/${i}.png` : `${i}.jpg`;
  if (from === '') mkdirSync(join(folder, `class ${i % 10}`), { recursive: true });
  writeFileSync(join(folder, name), await (from === '' ? pattern(i) : await noisy(i)).toBuffer());
}

const processorTime = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
const began = performance.now();
let last = processorTime(),
  worst = 0;
const tick = () => {
  worst = Math.max(worst, processorTime() - last);
  last = processorTime();
  setTimeout(tick, 0);
};
setTimeout(tick, 0);
const tell = (what) => {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${what} after ${seconds} s: held up ${worst.toFixed(0)} ms at most`);
  worst = 0;
};

const studio = await startStudio({ folder, model: values.model ?? 'hf:pupil-tests/no-such-model' });
tell('started');
const window = await openWindow(studio.address);
const { length } = await window.get('/api/images');
const { labels } = await window.get('/api/labels');
tell(`${length} images listed, ${labels.length} labels`);
const mebibytes = () => `${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`;
/** Milliseconds that a person waits for a label to be saved and for what to label next. */
async function answered(id, to) {
  const since = performance.now();
  const was = labels.find((one) => one.id === id)?.label ?? null;
  const { value } = await window.post('/api/labels', [{ id, was, to, source: 'person' }]);
  await window.get('/api/next?count=24');
  return { version: value.version, time: performance.now() - since };
}
const times = [];
const summed = () => {
  const sorted = times.splice(0).sort((a, b) => a - b);
  const [middle, worst] = [sorted[sorted.length >> 1], sorted.at(-1)].map((time) => `${(time ?? 0).toFixed(0)} ms`);
  return `${sorted.length} labels answered after ${middle}, ${worst} at most`;
};
let id = 0;
const label = async () => {
  const { time, version } = await answered(id, id++ % 2 ? 'other' : 'another');
  times.push(time);
  return version;
};
const isLooking = async () =>
  values.model !== undefined && /opened|looks/.test((await window.get('/api/assistant')).waiting ?? '');
/** From when the network has seen and compared all images to the first proposals that are not drawn at random. */
async function timeProposals() {
  const isLookedAt = async () =>
    (await window.get('/api/folder')).progress.some(({ task }) => task === 'features' || task === 'comparison');
  while (!(await isLookedAt())) await sleep(20);
  while (await isLookedAt()) await sleep(20);
  const before = process.cpuUsage(),
    since = performance.now();
  while ((await window.get('/api/next?count=24')).every(({ why }) => why === 'random')) await sleep(20);
  const { user, system } = process.cpuUsage(before);
  const [wall, processor] = [performance.now() - since, (user + system) / 1000].map((ms) => (ms / 1000).toFixed(1));
  console.log(`first proposals ${wall} s after the features, ${processor} s of processor time`);
}
const proposals = values.model === undefined ? undefined : timeProposals();
let hasThumbnails = false;
studio.ready.then(() => {
  hasThumbnails = true;
  tell('thumbnails');
});
while (!hasThumbnails || (await isLooking())) {
  // A person labels an image in two seconds.
  await label();
  await sleep(2000);
}
tell(`${values.model === undefined ? 'opened' : 'features'}; ${summed()}; ${mebibytes()}`);
await proposals;
let version;
for (let n = 0; n < 20; n++) version = await label();
if (values.model !== undefined) while ((await window.get('/api/assistant')).version < version) await sleep(20);
tell(`20 labels; ${summed()}; ${mebibytes()}`);
if (values.model !== undefined) {
  const { predictions, estimate } = await window.get('/api/assistant');
  console.log(
    `${predictions.length} suggestions, estimate ${estimate === null ? 'none' : `of ${estimate.images} images`}`,
  );
}
await window.post('/api/rescan', {});
tell('looked for new images');
await studio.close();
rmSync(folder, { recursive: true });
process.exit();
