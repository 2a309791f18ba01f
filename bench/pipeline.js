// Speed of the input pipeline, against torchvision on Pillow and albumentations on the same files in
// the same run, taking turns:
//   node bench/pipeline.js [--data FOLDER] [--count 400] [--rounds 7] [--python python3] [--json] [--out FOLDER]
//   node bench/pipeline.js --workers          how the rate grows with worker threads
//   node bench/pipeline.js --memory 100000 [--cold]    memory over that many images
// --out FOLDER keeps each of the four in FOLDER/pipeline.json and writes all that are there to FOLDER/pipeline.md.
// A photo is decoded, a random box of it resized to 224 x 224, half are mirrored, RandAugment(2, 9),
// batches of 32. The peers make float tensors and normalise; here batches stay bytes, and the
// network's graph normalises. Rates are images per second of processor time (user and system, all
// threads), which other work on the machine disturbs least; the wall clock is given beside it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release as kernel } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: fileURLToPath(new URL('../../shared/data/flowers/', import.meta.url)) },
    count: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '7' },
    python: { type: 'string', default: process.env.PYTHON ?? 'python3' },
    dist: { type: 'string', default: '../dist' },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    workers: { type: 'boolean', default: false },
    memory: { type: 'string' },
    cold: { type: 'boolean', default: false },
    size: { type: 'string', default: '224' },
  },
});
const part = (path) => import(new URL(`${values.dist}/${path}`, import.meta.url));
const { buildPipeline, trainPipeline } = await part('augment/pipeline.js');
const { parseAugment } = await part('augment/policy.js');
const { openDataset } = await part('data/dataset.js');
const { createLoader } = await part('data/loader.js');
const { createPool } = await part('data/pool.js');
const { prepareImages } = await part('data/prepare.js');
const { makePreprocessing } = await part('data/preprocessing.js');
const { workingTarget } = await part('data/target.js');
const { readSource } = await part('data/read.js');
const { decode, loadCodec } = await part('image/decode.js');
const { release } = await part('image/buffers.js');
const { Random } = await part('random.js');
const { version } = await part('version.js');

const size = Number(values.size);
const batchSize = 32;
const input = makePreprocessing(size);
const policy = parseAugment('randaugment:n=2,m=9');
const pipelines = { true: trainPipeline(policy, input), false: trainPipeline('basic', input) };
const dataset = await openDataset(values.data);
// Spread over the classes.
const count = Math.min(Number(values.count), dataset.samples.length);
const samples = new Random(0, 'bench').shuffle(dataset.samples).slice(0, count);
const targets = workingTarget(input);

/** Images in memory, or only as files: the limits leave no room. */
async function prepared(workers, cached) {
  const pool = createPool({ workers, ...(!cached && { memory: 0, disk: 0 }) });
  const images = await prepareImages(samples, { pool, target: targets });
  return {
    pool,
    images,
    loader: (augment) =>
      createLoader({
        images,
        classes: dataset.classes.length,
        pipeline: pipelines[augment],
        size: input.size,
        batchSize,
      }),
  };
}

async function measured(work) {
  const wall = performance.now(),
    processor = process.cpuUsage();
  await work();
  const used = process.cpuUsage(processor);
  return { wall: (performance.now() - wall) / 1000, processor: (used.user + used.system) / 1e6 };
}

let epoch = 0;
async function runEpoch(loader) {
  let images = 0;
  for await (const batch of loader.batches(epoch++)) images += batch.count;
  if (images !== count) throw new Error(`${images} images instead of ${count}`);
}

/**
 * Seconds of processor time in each stage for all files, as the loader does them one after another.
 */
async function stages() {
  const seconds = { read: 0, decode: 0, crop: 0, flip: 0, augment: 0, batch: 0 };
  const [crop, flip, augment] = buildPipeline(pipelines.true);
  const batch = new Uint8Array(batchSize * size * size * 3);
  const random = new Random(epoch++, 'stages');
  for (const [i, { source, path }] of samples.entries()) {
    let before = process.cpuUsage();
    const lap = (name) => {
      const now = process.cpuUsage();
      seconds[name] += (now.user + now.system - before.user - before.system) / 1e6;
      before = now;
    };
    const bytes = readSource(source, path);
    lap('read');
    let image = await decode(bytes, path);
    lap('decode');
    for (const [name, transform] of [
      ['crop', crop],
      ['flip', flip],
      ['augment', augment],
    ]) {
      const next = transform.apply(image, transform.sample(random, image));
      if (next.data !== image.data) release(image.data);
      image = next;
      lap(name);
    }
    batch.set(image.data, (i % batchSize) * size * size * 3);
    release(image.data);
    lap('batch');
  }
  return seconds;
}

/** The Python process, or why there is none. */
async function startPeers() {
  const child = spawn(values.python, [fileURLToPath(new URL('peers/pipeline.py', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (text) => {
    complaint += text;
  });
  const failed = new Promise((resolve) => {
    child.on('error', (error) => resolve(`${values.python}: ${error.message}`));
    child.on('exit', (code) => resolve(`${values.python} ended with ${code}: ${complaint.trim().split('\n').at(-1)}`));
  });
  child.stdin.on('error', () => undefined);
  child.stdin.write(`${samples.map(({ source }) => source.path).join('\n')}\n\n`);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const first = await Promise.race([lines.next(), failed]);
    return typeof first === 'string' || first.done
      ? { error: typeof first === 'string' ? first : await failed }
      : JSON.parse(first.value);
  };
  const hello = await line();
  if (hello.error !== undefined) return hello;
  return {
    ...hello,
    ask: async (request) => {
      child.stdin.write(`${JSON.stringify({ ...request, batch: batchSize })}\n`);
      const answer = await line();
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    },
    close: async () => {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

const sorted = (list) => [...list].sort((a, b) => a - b);
const median = (list) => {
  const s = sorted(list);
  return (s[(s.length - 1) >> 1] + s[s.length >> 1]) / 2;
};
const spread = (list) => {
  const s = sorted(list);
  return [s[0], s.at(-1)];
};
const fixed = (x, digits = 2) => x.toFixed(digits);
const header = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus()[0].model}, ${availableParallelism()} threads, ${process.platform} ${kernel()}`,
  node: process.version,
  pupil: version,
  load: loadavg().map((x) => Number(x.toFixed(2))),
  files: `${count} of ${values.data.split('/').filter(Boolean).at(-1)}`,
};

async function compare() {
  const peers = await startPeers();
  const cold = await prepared(0, false),
    cached = await prepared(0, true);
  const rows = [
    ...[true, false].flatMap((augment) => [
      { name: 'pupil, cold', augment, run: () => measured(() => runEpoch(cold.loader(augment))) },
      ...(peers.peers ?? [])
        .filter((name) => name !== 'albumentations' || !augment)
        .map((name) => ({ name, augment, run: () => peers.ask({ peer: name, augment }) })),
      { name: 'pupil, cached', augment, run: () => measured(() => runEpoch(cached.loader(augment))) },
    ]),
  ].map((row) => ({ ...row, rounds: [] }));
  const ours = [];
  for (let round = -1; round < Number(values.rounds); round++) {
    for (const row of rows) {
      const result = await row.run();
      if (round >= 0) row.rounds.push(result); // the first one warms up
    }
    const own = await stages();
    if (round >= 0) ours.push(own);
  }
  await peers.close?.();
  await cold.pool.close();
  await cached.pool.close();

  const base = (augment) =>
    rows
      .filter((row) => row.augment === augment && row.name.startsWith('torchvision'))
      .map((row) => ({ row, time: median(row.rounds.map(({ processor }) => processor)) }))
      .sort((a, b) => a.time - b.time)[0]?.row;
  const rates = rows.map((row) => {
    const processor = row.rounds.map((round) => count / round.processor),
      wall = row.rounds.map((round) => count / round.wall);
    const fastest = base(row.augment);
    // Round by round, so that a slow moment weighs on both sides.
    const ratios =
      fastest === undefined ? undefined : row.rounds.map((round, i) => fastest.rounds[i].processor / round.processor);
    return {
      name: row.name,
      randAugment: row.augment,
      imagesPerSecond: median(processor),
      spread: spread(processor),
      wallImagesPerSecond: median(wall),
      ...(ratios && { ratio: median(ratios), ratioSpread: spread(ratios) }),
    };
  });
  const stageTable = {};
  const perImage = (list, name) => (1e6 * median(list.map((one) => one[name]))) / count;
  for (const name of Object.keys(ours[0])) stageTable[name] = { pupil: perImage(ours, name) };
  for (const row of rows.filter(
    ({ augment, name, rounds }) => rounds[0].stages !== undefined && (augment || name === 'albumentations'),
  )) {
    for (const name of Object.keys(row.rounds[0].stages))
      (stageTable[name] ??= {})[row.name] = perImage(
        row.rounds.map((round) => round.stages),
        name,
      );
  }
  return {
    rounds: Number(values.rounds),
    ...(peers.error ? { peers: `not measured: ${peers.error}` } : { peers: peers.versions }),
    rates,
    microsecondsPerStage: stageTable,
  };
}

/** Rates of the wall clock with 0, 1, 2... workers up to the cores, taking turns. */
async function scaling() {
  const numbers = Array.from({ length: availableParallelism() + 1 }, (_, i) => i);
  const modes = [];
  for (const cached of [true, false])
    for (const workers of numbers) modes.push({ cached, workers, ...(await prepared(workers, cached)), rounds: [] });
  for (let round = -1; round < Number(values.rounds); round++) {
    for (const mode of modes) {
      const result = await measured(async () => {
        for (let i = 0; i < (mode.cached ? 3 : 1); i++) await runEpoch(mode.loader(true));
      });
      if (round >= 0)
        mode.rounds.push({
          wall: result.wall / (mode.cached ? 3 : 1),
          processor: result.processor / (mode.cached ? 3 : 1),
        });
    }
  }
  const rows = modes.map(({ cached, workers, rounds }) => ({
    cached,
    workers,
    imagesPerSecond: median(rounds.map(({ wall }) => count / wall)),
    spread: spread(rounds.map(({ wall }) => count / wall)),
    processorMilliseconds: (1000 * median(rounds.map(({ processor }) => processor))) / count,
  }));
  for (const { pool } of modes) await pool.close();
  return { scaling: rows };
}

/** Memory at ten points over `total` images. */
async function memory(total) {
  const { pool, loader, images } = await prepared(0, !values.cold);
  const points = [];
  let done = 0;
  const all = loader(true);
  const started = performance.now();
  while (done < total) {
    for await (const batch of all.batches(epoch++)) done += batch.count;
    if (done >= ((points.length + 1) * total) / 10) {
      const { rss, heapUsed, arrayBuffers, external } = process.memoryUsage();
      const mebibytes = (x) => Math.round(x / 2 ** 20);
      points.push({
        images: done,
        resident: mebibytes(rss),
        heap: mebibytes(heapUsed),
        arrays: mebibytes(arrayBuffers),
        external: mebibytes(external),
      });
    }
  }
  images.close();
  await pool.close();
  return {
    memory: {
      total: done,
      cached: !values.cold,
      size,
      seconds: Math.round((performance.now() - started) / 1000),
      points,
    },
  };
}

const table = (head, rows) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

function asText(result) {
  const blocks = [
    `${result.machine}; Node ${result.node}, pupil ${result.pupil}; load ${result.load.join(' ')}; ` +
      `${result.files}; ${result.date}`,
  ];
  if (result.rates) {
    blocks.push(
      typeof result.peers === 'string'
        ? `Peers ${result.peers}`
        : `Peers: ${Object.entries(result.peers)
            .map((pair) => pair.join(' '))
            .join(', ')}`,
    );
    for (const augment of [true, false]) {
      blocks.push(
        table(
          [
            augment ? 'with RandAugment(2, 9)' : 'without',
            'images/s a core',
            'least to most',
            'by the clock',
            'to torchvision',
            'least to most',
          ],
          result.rates
            .filter((row) => row.randAugment === augment)
            .map((row) => [
              row.name,
              fixed(row.imagesPerSecond, 0),
              row.spread.map((x) => fixed(x, 0)).join(' to '),
              fixed(row.wallImagesPerSecond, 0),
              row.ratio === undefined ? '' : `${fixed(row.ratio)}x`,
              row.ratioSpread === undefined ? '' : row.ratioSpread.map((x) => fixed(x)).join(' to '),
            ]),
        ),
      );
    }
    const names = [...new Set(Object.values(result.microsecondsPerStage).flatMap(Object.keys))];
    blocks.push(
      table(
        ['microseconds an image', ...names],
        Object.entries(result.microsecondsPerStage).map(([stage, row]) => [
          stage,
          ...names.map((name) => (row[name] === undefined ? '' : fixed(row[name], 0))),
        ]),
      ),
    );
  }
  if (result.scaling) {
    blocks.push(
      table(
        ['workers', 'images/s by the clock', 'least to most', 'processor ms an image'],
        result.scaling.map((row) => [
          `${row.workers === 0 ? 'none, in the calling thread' : row.workers}, ${row.cached ? 'cached' : 'cold'}`,
          fixed(row.imagesPerSecond, 0),
          row.spread.map((x) => fixed(x, 0)).join(' to '),
          fixed(row.processorMilliseconds),
        ]),
      ),
    );
  }
  if (result.memory) {
    blocks.push(
      table(
        [
          `images, ${result.memory.cached ? 'cached' : 'cold'}, ${result.memory.size} px`,
          'resident MiB',
          'heap MiB',
          'arrays MiB',
        ],
        result.memory.points.map((point) => [point.images, point.resident, point.heap, point.arrays]),
      ),
    );
  }
  return `${blocks.join('\n\n')}\n`;
}

/** The section of a run, and the headings of all. */
const sections = {
  'compare': '## Against torchvision and albumentations',
  'workers': '## Workers',
  'memory-cached': '## Memory, images kept decoded',
  'memory-cold': '## Memory, images decoded every time',
};
const section = values.memory ? `memory-${values.cold ? 'cold' : 'cached'}` : values.workers ? 'workers' : 'compare';

const introduction = `# The input pipeline

Written by \`bench/pipeline.js --out results\`, which says what is measured. "Cold" decodes every file every time, \
as torchvision does; "cached"
takes decoded images from memory, as every epoch after the first does. Rates are images per second of processor \
time on one core, median of
the rounds; ratios are taken round by round, to the fastest torchvision. A load above the number of threads means \
that the machine was shared
with other work: then rates by the clock, the spread and the growth with workers say little, ratios of processor \
time much more.

JPEGs are decoded by libjpeg-turbo on both sides, to the same bytes: here compiled to WebAssembly, in Pillow as \
machine code.
`;

await loadCodec();
const result = {
  ...header,
  ...(values.memory ? await memory(Number(values.memory)) : values.workers ? await scaling() : await compare()),
};
process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : asText(result));
if (values.out !== undefined) {
  mkdirSync(values.out, { recursive: true });
  const file = `${values.out}/pipeline.json`;
  const all = { ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}), [section]: result };
  writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`);
  writeFileSync(
    `${values.out}/pipeline.md`,
    [
      introduction,
      ...Object.keys(sections)
        .filter((name) => all[name])
        .map((name) => `${sections[name]}\n\n${asText(all[name])}`),
    ].join('\n'),
  );
}
