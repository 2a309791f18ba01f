// Measures Pupil's WebGPU engine on this machine against its CPU engine and PyTorch, within four minutes:
//
//   node scripts/gpu.js [--parts check,training,inference,profile,pytorch] [--networks resnet18,...] [--seconds 225]
//                       [--python FILE] [--driver FILE] [--out results] [--tiny]
//
// Writes gpu.json and gpu.md below --out after every number. A later run fills in what an earlier one left, if the
// device is the same; so parts may be measured one by one. Nothing is fetched: on a machine without Node or a network
// it runs from the archive of `npm run gpu:pack`, as `bin/node scripts/gpu.js`. PyTorch is that of --python (default
// python3). --driver names a description of a Vulkan driver; by default it is looked for. --tiny takes narrow networks
// and small images, to try everything on a software GPU. Ends with 1 where the device's numbers are not those of the
// processor or there is no device, and with 2 for options that it does not understand.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureNetwork, measurePeer, startPeer } from './gpu/measure.js';
import { networks } from './gpu/networks.js';
import { agrees, page } from './gpu/page.js';
import { choose, parts, sizes } from './gpu/plan.js';
import { findVulkan } from './gpu/vulkan.js';

const began = performance.now();

/** The command line's values. Throws for what is not understood. */
function settings() {
  const names = networks.map(({ name }) => name);
  const { values } = parseArgs({
    options: {
      parts: { type: 'string', default: parts.join(',') },
      networks: { type: 'string', default: names.join(',') },
      seconds: { type: 'string', default: '225' },
      python: { type: 'string', default: process.env.PUPIL_PEERS ?? 'python3' },
      driver: { type: 'string' },
      out: { type: 'string', default: 'results' },
      tiny: { type: 'boolean', default: false },
    },
  });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error(`--seconds: a number of seconds, got ${values.seconds}`);
  if (values.driver !== undefined && !existsSync(values.driver)) throw new Error(`--driver: no file ${values.driver}`);
  return {
    ...values,
    seconds,
    parts: choose(values.parts, parts, 'parts'),
    networks: choose(values.networks, names, 'networks'),
  };
}

const versionOf = (folder) => JSON.parse(readFileSync(new URL(`../${folder}package.json`, import.meta.url))).version;

/** What is known before anything is measured. */
const beginning = ({ tiny }, vulkan) => ({
  schema: 1,
  date: new Date().toISOString().slice(0, 10),
  tiny,
  machine: `${cpus()[0].model.trim()}, ${availableParallelism()} threads, ${process.platform} ${release()}`,
  versions: { pupil: versionOf(''), node: process.version, onnxruntime: versionOf('node_modules/pupil-onnxruntime/') },
  vulkan,
  networks: {},
});

/** The earlier record of the file, brought up to date, where it is about the same device and sizes; else `fresh`. */
function continued(file, fresh) {
  if (!existsSync(file)) return fresh;
  const earlier = JSON.parse(readFileSync(file, 'utf8'));
  const device = ({ vulkan }) => vulkan?.devices?.[0]?.name;
  const isSame = earlier.tiny === fresh.tiny && device(earlier) === device(fresh);
  return isSame ? { ...earlier, ...fresh, networks: earlier.networks } : fresh;
}

async function main(options) {
  const folder = mkdtempSync(join(tmpdir(), 'pupil-gpu-'));
  const left = () => options.seconds - (performance.now() - began) / 1000;
  const file = join(options.out, 'gpu.json'),
    size = sizes[options.tiny ? 'tiny' : 'full'];
  mkdirSync(options.out, { recursive: true });
  const record = continued(file, beginning(options, findVulkan(folder, options.driver)));
  const run = {
    options,
    folder,
    left,
    size,
    record,
    log: (line) => console.error(`${(options.seconds - left()).toFixed(0).padStart(4)} s  ${line}`),
    save() {
      record.seconds = Math.round(options.seconds - left());
      writeFileSync(`${file}.part`, `${JSON.stringify(record, null, 1)}\n`);
      renameSync(`${file}.part`, file);
      writeFileSync(join(options.out, 'gpu.md'), page(record, networks));
    },
  };
  const { vulkan } = record;
  run.log(vulkan.reason ?? vulkan.devices.map(({ name, type }) => `${name} (${type})`).join(', '));
  const peer = options.parts.includes('pytorch') ? startPeer(run) : undefined;
  // PyTorch's share of the time, until it is known to be missing
  let reserve = peer ? 0.3 * options.seconds : 0;
  void peer?.ready.then(({ error }) => {
    if (error !== undefined) reserve = 0;
  });
  try {
    if (options.parts.some((part) => part !== 'pytorch'))
      for (const [i, name] of options.networks.entries())
        await measureNetwork(run, name, left() - Math.max(0, left() - reserve) / (options.networks.length - i));
    if (peer) await measurePeer(run, peer);
  } finally {
    await peer?.close();
    run.save();
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(readFileSync(join(options.out, 'gpu.md'), 'utf8'));
  const checks = Object.values(record.networks).flatMap(({ check }) => (check ? [check] : []));
  return vulkan.reason === undefined && checks.every(agrees);
}

let options;
try {
  options = settings();
} catch (error) {
  console.error(`gpu: ${error.message}`);
  process.exit(2);
}
if (!(await main(options))) process.exitCode = 1;
