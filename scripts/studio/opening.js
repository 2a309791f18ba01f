// Measures how long the studio's server is held up in one piece while it opens a folder of many images, and
// while some of them are labelled: node scripts/studio/opening.js [--images 10000] [--model FILE]. Processor time
// of its thread, so that other programs do not count (Linux).
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { startStudio } from '../../dist/studio/server.js';
import { openWindow } from '../../dist/testing/studio-client.js';

const { values } = parseArgs({ options: { images: { type: 'string', default: '10000' }, model: { type: 'string' } } });
const folder = mkdtempSync(join(tmpdir(), 'pupil-opening-'));
const side = 24;
for (let i = 0; i < Number(values.images); i++) {
  const below = join(folder, `class ${i % 10}`);
  mkdirSync(below, { recursive: true });
  const pixels = Uint8Array.from(
    { length: side * side * 3 },
    (_, at) => 255 * Math.abs(Math.sin(at * (1 + (i % 977)))),
  );
  const raw = { width: side, height: side, channels: 3 };
  writeFileSync(join(below, `${i}.png`), await sharp(pixels, { raw }).png().toBuffer());
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
await studio.ready;
tell('thumbnails');
if (values.model !== undefined)
  while (/opened|looks/.test((await window.get('/api/assistant')).waiting ?? '')) await sleep(300);
tell('features');
for (let id = 0; id < 20; id++) {
  const was = labels.find((one) => one.id === id)?.label ?? null;
  await window.post('/api/labels', [{ id, was, to: 'other', source: 'person' }]);
  await window.get('/api/next?count=60');
  await window.get('/api/assistant');
}
tell('20 labels');
await window.post('/api/rescan', {});
tell('looked for new images');
await studio.close();
rmSync(folder, { recursive: true });
process.exit();
