// Measures how long the studio's estimate takes after a batch of labels, and whether the server answers
// meanwhile: `node scripts/studio/speed.js [SET] [--images 2000] [--labels 100] [--batch 10] [--batches 8]
// [--model FILE]` (sets of ../shared/data or $PUPIL_SHARED). The first batch has all of `--labels`.
import { parseArgs } from 'node:util';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startStudio } from '../../dist/studio/server.js';
import { openWindow } from '../../dist/testing/studio-client.js';
import { shared, unlabelled, withoutLabels } from './folder.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '2000' },
    labels: { type: 'string', default: '100' },
    batch: { type: 'string', default: '10' },
    batches: { type: 'string', default: '8' },
    model: { type: 'string', default: join(shared, 'models/mobilenetv2-1.0-224.onnx') },
  },
});
const [set = 'objects50'] = positionals;
const { folder, truth } = unlabelled(set, Number(values.images));
withoutLabels(folder);
const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();
const since = performance.now();
const seconds = (from) => ((performance.now() - from) / 1000).toFixed(2);
const studio = await startStudio({ folder, model: values.model });
const window = await openWindow(studio.address);
const images = await window.get('/api/images');
console.log(`${images.length} images listed after ${seconds(since)} s`);
const until = async (isThere) => {
  for (;;) {
    const says = await window.get('/api/assistant');
    if (isThere(says)) return says;
    await sleep(20);
  }
};
await studio.ready;
console.log(`thumbnails after ${seconds(since)} s`);
await until(({ waiting }) => waiting?.startsWith('Label') === true);
const worst = () => {
  const most = delay.max / 1e6;
  delay.reset();
  return `event loop held up ${most.toFixed(0)} ms at most; ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB`;
};
console.log(`features after ${seconds(since)} s; ${worst()}`);
const times = [];
for (let batch = 0; batch < Number(values.batches); batch++) {
  const proposals = await window.get(`/api/next?count=${batch === 0 ? values.labels : values.batch}`);
  const changes = proposals.map(({ id }) => ({ id, was: null, to: truth[images[id].path], source: 'person' }));
  const [from, before] = [performance.now(), process.cpuUsage()];
  const { value } = await window.post('/api/labels', changes);
  const { estimate } = await until(({ version }) => version >= value.version);
  const { user, system } = process.cpuUsage(before);
  times.push((performance.now() - from) / 1000);
  const accuracy = estimate === null ? 'no estimate' : `${(100 * estimate.accuracy).toFixed(1)}% of ${estimate.images}`;
  console.log(
    `batch ${batch}: ${changes.length} labels, estimate after ${times.at(-1).toFixed(2)} s (processor ` +
      `${((user + system) / 1e6).toFixed(2)} s): ${accuracy}`,
  );
}
times.sort((a, b) => a - b);
console.log(`median ${times[times.length >> 1].toFixed(2)} s, worst ${times.at(-1).toFixed(2)} s; ${worst()}`);
await studio.close();
