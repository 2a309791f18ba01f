import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { parametersOf } from './models/families/index.js';
import { temporaryFolder } from './testing/image-files.js';
import { withoutWebgpu } from './testing/webgpu.js';

/** The measurement of a GPU (scripts/gpu.js, scripts/gpu/) and its archive. */

/** What the tests use of the scripts, which are JavaScript. */
interface Plan {
  readonly parts: readonly string[];
  readonly sizes: Readonly<Record<'full' | 'tiny', Sizes>>;
  choose(list: string, known: readonly string[], option: string): string[];
  cellsOf(chosen: readonly string[], sizes: Sizes): Cell[];
  peerCellsOf(names: readonly string[], chosen: readonly string[], sizes: Sizes): Cell[];
  budgetOf(remaining: number, cells: readonly Cell[]): number;
}
interface Sizes {
  readonly size: number;
  readonly classes: number;
  readonly training: readonly number[];
  readonly inference: readonly number[];
}
interface Cell {
  readonly kind: string;
  readonly batch: number;
  readonly network?: string;
  readonly precision?: string;
}
interface Network {
  readonly name: string;
  readonly title: string;
  readonly builtIn: string;
  readonly form: object;
  readonly tiny: object;
}
interface Member {
  readonly name: string;
  readonly file: string;
}
const script = <T>(name: string): Promise<T> =>
  import(new URL(`../scripts/gpu/${name}.js`, import.meta.url).href) as Promise<T>;

const plan = await script<Plan>('plan');
const { networks, countOf } = await script<{
  networks: readonly Network[];
  countOf(network: Network, form: object, images: { size: number; classes: number }): number;
}>('networks');
const { page, agrees } = await script<{
  page(record: object, networks: readonly Network[]): string;
  agrees(check: object): boolean;
}>('page');
const { readProfile } = await script<{ readProfile(events: readonly object[]): Record<string, unknown> }>('profile');

test('parts are chosen by name, in the order in which they are measured', () => {
  assert.deepEqual(plan.choose('profile,check', plan.parts, 'parts'), ['check', 'profile']);
  assert.throws(() => plan.choose('check,speed', plan.parts, 'parts'), /--parts: no speed; choose from check,/);
  assert.throws(() => plan.choose('', plan.parts, 'parts'), /--parts: no name/);
  const kinds = plan.cellsOf(plan.parts, plan.sizes.full).map(({ kind, batch }) => `${kind} ${batch}`);
  assert.deepEqual(kinds.slice(0, 4), ['check 4', 'training 64', 'inference 64', 'profile 64']);
  assert.equal(kinds.length, 2 + plan.sizes.full.training.length + plan.sizes.full.inference.length);
  assert.deepEqual(
    plan.cellsOf(['inference', 'pytorch'], plan.sizes.full).map(({ batch }) => batch),
    plan.sizes.full.inference,
  );
});

test('PyTorch measures the first batch size of every network before any other', () => {
  const cells = plan.peerCellsOf(['a', 'b'], ['training', 'pytorch'], plan.sizes.full);
  assert.deepEqual(
    cells.slice(0, 6).map(({ network, batch, precision }) => [network, batch, precision]),
    ['a', 'b'].flatMap((name) => ['float32', 'tf32', 'amp'].map((precision) => [name, 64, precision])),
  );
  assert.equal(cells.length, 2 * 3 * plan.sizes.full.training.length);
  const alone = plan.peerCellsOf(['a'], ['pytorch'], plan.sizes.full);
  assert.deepEqual([...new Set(alone.map(({ kind }) => kind))], ['training', 'inference']);
});

test('cells that all use up their time end within the whole, and the first ones get most', () => {
  const cells = plan.cellsOf(plan.parts, plan.sizes.full),
    given: number[] = [];
  let left = 40;
  for (let i = 0; i < cells.length && left >= 2; i++) {
    given.push(plan.budgetOf(left, cells.slice(i)));
    left -= given.at(-1)!;
  }
  assert.ok(left >= 0, `${-left} s too long`);
  assert.equal(given[0], Math.max(...given));
  // Where each takes what is usual, a quarter of that, all of them come to their turn.
  left = 40;
  for (const i of cells.keys()) left -= plan.budgetOf(left, cells.slice(i)) / 4;
  assert.ok(left >= 2, `${left} s are left`);
});

test('the networks of PyTorch have the numbers of the built-in ones', () => {
  // of timm, at 1,000 classes
  const published = { 'resnet18': 11_689_512, 'resnet50': 25_557_032, 'mobilenetv2': 3_504_872, 'vit-tiny': 5_717_416 };
  for (const network of networks) {
    const counted = countOf(network, network.form, plan.sizes.full);
    assert.equal(counted, published[network.name as keyof typeof published], network.name);
    assert.equal(counted, parametersOf(network.builtIn, 1000), network.name);
    assert.ok(countOf(network, network.tiny, plan.sizes.tiny) < 500_000, network.name);
  }
});

const run = (ts: number, dur: number) => ({ cat: 'Session', name: 'model_run', ts, dur });
const node = (ts: number, dur: number, op: string, provider = 'WebGpuExecutionProvider') => ({
  ...{ cat: 'Node', name: `${op}_kernel_time`, ts, dur },
  args: { op_name: op, provider, output_size: '1000' },
});
const kernel = (ts: number, dur: number, name: string) => ({
  ...{ cat: 'Api', name: `${name}&x&${name}`, ts, dur },
  args: { cache_key: name },
});

test('a profile says what the device, submitting, waiting, copies and the CPU take', () => {
  const read = readProfile([
    { cat: 'Session', name: 'session_initialization', ts: 0, dur: 5000 },
    run(10_000, 9000),
    node(10_001, 8000, 'Conv'),
    kernel(10_002, 300, 'Conv2dMM'),
    run(20_000, 2000),
    { cat: 'Session', name: 'SequentialExecutor::Execute', ts: 20_010, dur: 800 },
    node(20_011, 400, 'Conv'),
    node(20_500, 100, 'MemcpyToHost'),
    node(20_700, 250, 'OneHot', 'CPUExecutionProvider'),
    kernel(20_002, 900, 'Conv2dMM'),
    kernel(20_950, 100, 'Add'),
  ]);
  assert.deepEqual(read, {
    ...{ runs: 2, session: 5, wall: 2, upload: 0.01, submit: 0.8, wait: 1.19, gpu: 1 },
    ...{ nodes: 3, kernels: 2, shaders: 2 },
    onCpu: { count: 1, milliseconds: 0.25, ops: [{ name: 'OneHot', count: 1, milliseconds: 0.25 }] },
    copies: { count: 1, milliseconds: 0.1, bytes: 1000 },
    top: [
      { name: 'Conv2dMM', count: 1, milliseconds: 0.9 },
      { name: 'Add', count: 1, milliseconds: 0.1 },
    ],
  });
  assert.throws(() => readProfile([]), /no run/);
});

const check = {
  batch: 4,
  logits: { largest: 1, ofLargest: 1e-6 },
  state: { largest: 1e-6, ofChange: 1e-5 },
  rounding: { largest: 1e-6, ofChange: 2e-5 },
};
const recordOf = (type: string) => ({
  ...{ date: '2026-01-01', machine: 'a machine', seconds: 9, tiny: false },
  versions: { pupil: '0', node: 'v20', onnxruntime: '1' },
  vulkan: { devices: [{ name: 'Device X', type, driver: '1', vulkan: '1.3.0' }], loader: 'libvulkan.so.1' },
  pytorch: { torch: '2.0', cuda: '12', device: 'Device X' },
  networks: {
    resnet18: {
      parameters: 11_689_512,
      check,
      training: { 16: { median: 20, spread: [19, 21] }, 64: { missing: 'no answer in 5 s' } },
      pytorch: {
        parameters: 11_689_512,
        compared: { differing: [], logits: 2e-7 },
        training: { 16: { float32: { median: 10, spread: [9, 11] }, tf32: { median: 5, spread: [4, 6] } } },
      },
    },
  },
});

test('the page gives times of a GPU, and says why one is missing', () => {
  const text = page(recordOf('discrete GPU'), networks);
  assert.match(text, /Times of \*\*Device X\*\*/);
  assert.match(
    text,
    /\| ResNet-18 \| 16 \| 20\.0 \| 19\.0 to 21\.0 \| 800 \| 10\.0 \| 5\.00 \| not measured \| 2\.00x \| 4\.00x \|/,
  );
  assert.match(text, /\| ResNet-18 \| 64 \| not measured: no answer in 5 s \|/);
  assert.match(text, /\| ResNet-18 \| 4 \| 1\.0e-6 \| 1\.0e-5 \| 2\.0e-5 \| right \|/);
  assert.match(text, /\| ResNet-18 \| 11,689,512 \| 11,689,512 \| 2\.0e-7 \|/);
});

test('the page gives no times of a software device, nor calls it a GPU', () => {
  const text = page({ ...recordOf('CPU'), pytorch: { torch: '2.0', cuda: null, device: 'the processor' } }, networks);
  assert.match(text, /\*\*On a GPU: not measured\.\*\*.*Device X, which computes on the processor/);
  assert.match(text, /\| ResNet-18 \| 16, 64, 128 \| not measured \|/);
  assert.doesNotMatch(text, /20\.0|19\.0 to/);
  assert.match(text, /\| right \|/);
});

test('the page gives the times of PyTorch where only Pupil finds no GPU', () => {
  const text = page({ ...recordOf('CPU'), vulkan: { devices: [], reason: 'no loader of Vulkan' } }, networks);
  assert.match(text, /\*\*On a GPU: not measured\.\*\* no loader of Vulkan/);
  assert.match(text, /\| ResNet-18 \| 16 \| not measured \|  \|  \| 10\.0 \| 5\.00 \| not measured \|  \|  \|/);
});

test('a check that was not made or is off does not agree', () => {
  assert.equal(agrees(check), true);
  const off = { ...check, state: { largest: 1, ofChange: 0.05 } };
  assert.equal(agrees(off), false);
  assert.equal(agrees({ ...off, rounding: { largest: 1, ofChange: 0.01 } }), true, 'rounding does as much');
  assert.equal(agrees({ batch: 4, missing: 'no WebGPU adapter' }), false);
});

test('the results in the repository say of no software device that it is a GPU', () => {
  const record = JSON.parse(readFileSync(new URL('../results/gpu.json', import.meta.url), 'utf8')) as object;
  assert.equal(readFileSync(new URL('../results/gpu.md', import.meta.url), 'utf8'), page(record, networks));
});

test('without a driver of Vulkan the page says what is missing, and the measurement ends with 1', async (t) => {
  const folder = await temporaryFolder(t);
  const driver = join(folder, 'none.json');
  writeFileSync(driver, '{}');
  const words = ['--driver', driver, '--parts', 'check,training,pytorch', '--python', '/nowhere/python3'];
  const { status, stdout } = spawnSync(
    process.execPath,
    [fileURLToPath(new URL('../scripts/gpu.js', import.meta.url)), ...words, '--out', folder],
    { encoding: 'utf8', timeout: 120_000 },
  );
  assert.equal(status, 1);
  const { vulkan, networks: found } = JSON.parse(readFileSync(join(folder, 'gpu.json'), 'utf8')) as {
    vulkan: { reason: string; attempts: { driver: string; error: string }[] };
    networks: Record<string, { check: { missing: string } }>;
  };
  assert.ok(stdout.includes(`**On a GPU: not measured.** ${vulkan.reason}`), stdout);
  assert.match(vulkan.reason, /no loader of Vulkan|no driver of Vulkan|no device of Vulkan/);
  assert.ok(vulkan.attempts.every((attempt) => attempt.driver === driver && attempt.error !== undefined));
  assert.deepEqual(
    Object.values(found).map(({ check: { missing } }) => missing),
    networks.map(() => vulkan.reason),
  );
});

const { members, pack } = await script<{
  members(node?: string): Member[];
  pack(out: string, files: readonly Member[], most?: number): Promise<number>;
}>('pack');

test('an archive over its limit is an error that says what helps', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'member.js'),
    out = join(folder, 'out.tar.gz');
  writeFileSync(file, 'export {};\n');
  const size = await pack(out, [{ name: 'scripts/member.js', file }]);
  assert.equal(size, statSync(out).size);
  assert.match(gunzipSync(readFileSync(out)).toString('latin1', 0, 100), /^pupil-gpu\/scripts\/member\.js\0/);
  await assert.rejects(pack(out, [{ name: 'member.js', file }], 10), /more than .*--node FILE/);
});

const isElsewhere =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'hardware: the archive is for Linux on x64';

test(
  'the archive is under 60 MB and measures in an empty environment, without PyTorch',
  { skip: isElsewhere || withoutWebgpu, timeout: 600_000 },
  async (t) => {
    const folder = await temporaryFolder(t);
    const files = members();
    const names = new Set(files.map(({ name }) => name));
    for (const name of ['bin/node', 'lib/libvulkan.so.1', 'scripts/gpu/pytorch.py', 'dist/engine/ort/worker.js'])
      assert.ok(names.has(name), name);
    assert.deepEqual(
      [...names].filter((name) => /\.test\.|win32|darwin|arm64|musl|\.map$/.test(name)),
      [],
    );
    const size = await pack(join(folder, 'packed.tar.gz'), files);
    assert.ok(size < 60e6, `${size} bytes`);
    const unpacked = spawnSync('tar', ['xzf', 'packed.tar.gz'], { cwd: folder, encoding: 'utf8' });
    assert.equal(unpacked.status, 0, unpacked.stderr);
    const driver = process.env['VK_DRIVER_FILES'] ?? process.env['VK_ICD_FILENAMES'];
    const home = join(folder, 'pupil-gpu');
    const measured = spawnSync(
      'bin/node',
      [
        'scripts/gpu.js',
        ...['--tiny', '--networks', 'resnet18', '--parts', 'check,training,profile,pytorch'],
        ...['--python', '/nowhere/python3', ...(driver === undefined ? [] : ['--driver', driver])],
      ],
      { cwd: home, encoding: 'utf8', env: {}, timeout: 400_000 },
    );
    assert.equal(measured.status, 0, measured.stderr);
    const record = JSON.parse(readFileSync(join(home, 'results/gpu.json'), 'utf8')) as {
      readonly pytorch: { readonly missing: string };
      readonly networks: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>>;
    };
    const { check: found, training, profile } = record.networks['resnet18']!;
    assert.equal(agrees(found!), true, JSON.stringify(found));
    for (const batch of plan.sizes.tiny.training)
      assert.ok((training![batch] as { median?: number }).median! > 0, JSON.stringify(training));
    assert.ok((profile!['nodes'] as number) > 50, JSON.stringify(profile));
    assert.deepEqual((profile!['onCpu'] as { count: number }).count, 0, JSON.stringify(profile));
    assert.match(record.pytorch.missing, /ENOENT/);
    assert.match(measured.stdout, /PyTorch's columns are empty: .*ENOENT/);
    const refused = spawnSync('bin/node', ['scripts/gpu.js', '--parts', 'speed'], {
      cwd: home,
      encoding: 'utf8',
      env: {},
    });
    assert.deepEqual(
      [refused.status, refused.stderr],
      [2, `gpu: --parts: no speed; choose from ${plan.parts.join(',')}\n`],
    );
  },
);
