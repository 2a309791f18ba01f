// results/gpu.md from the record of gpu.js. Times are given of a GPU only: a software device's say nothing about one.
import { number, table } from '../../bench/harness/text.js';
import { precisions, sizes } from './plan.js';
import { isGpu } from './vulkan.js';

/**
 * How far a device's numbers may be from the processor's: of the largest logit, of what a step changed, and there also
 * how many times the processor's own rounding.
 */
const limits = { logits: 1e-3, state: 1e-3, roundings: 10 };

/** Whether a check was made and found the processor's numbers. */
export const agrees = ({ missing, logits, state, rounding }) =>
  missing === undefined &&
  logits.ofLargest <= limits.logits &&
  state.ofChange <= Math.max(limits.state, limits.roundings * rounding.ofChange);

const none = 'not measured';
const scientific = (x) => (x === 0 ? '0' : x.toExponential(1));
const count = (x) => (x === undefined ? '' : x.toLocaleString('en'));

/** A value of an entry that was measured; else why it was not. */
const shown = (entry, show) => {
  if (entry === undefined) return none;
  return entry.missing === undefined ? show(entry) : `${none}: ${entry.missing.replaceAll('|', '/').slice(0, 120)}`;
};

/** The GPU among the devices, if there is one. */
const gpuOf = ({ vulkan }) => vulkan.devices.find(isGpu);

/** What the page says first where there is no GPU. */
const notMeasured = ({ reason, devices: [device] }) =>
  `**On a GPU: not measured.** ${
    reason ??
    `What follows was tried on ${device.name}, which computes on the processor: it shows that results are right and ` +
      'the measurement runs. Its times say nothing about a GPU, so none are given.'
  }`;

/** Where and with what it was measured. */
function facts({ machine, versions, vulkan, pytorch, date, seconds }, gpu) {
  const device = gpu ?? vulkan.devices[0];
  const about = device && [device.name, device.type, `driver ${device.driver}`, `Vulkan ${device.vulkan}`];
  const torch = pytorch && (pytorch.missing ?? `${pytorch.torch}, CUDA ${pytorch.cuda ?? none}, on ${pytorch.device}`);
  return [
    `- machine: ${machine}; ${date}, ${seconds} s`,
    `- device: ${about === undefined ? 'none' : [...about, vulkan.loader].join(', ')}`,
    `- Pupil ${versions.pupil}, Node ${versions.node}, onnxruntime ${versions.onnxruntime}`,
    `- PyTorch: ${torch ?? none}`,
  ].join('\n');
}

function introduction(record) {
  const gpu = gpuOf(record),
    { size, classes } = sizes.tiny;
  return [
    '# Pupil on a GPU',
    'Written by `node scripts/gpu.js`: [what it measures](../docs/webgpu.md#measuring-on-a-gpu).',
    gpu
      ? `Times of **${gpu.name}**: medians in milliseconds. In each run the batch goes to the device, and the loss ` +
        'or the probabilities come back.'
      : notMeasured(record.vulkan),
    ...(record.tiny ? [`Tiny: narrow networks, images of ${size} × ${size} pixels, ${classes} classes.`] : []),
    facts(record, gpu),
  ];
}

/** Whether device and processor compute the same, and PyTorch's network is Pupil's. */
const checks = (rows) => [
  '## WebGPU against the CPU',
  'Largest difference of the logits of the same weights, as a share of the largest logit; that of the state ' +
    '(parameters, momentum, statistics) after one training step, as a share of what it changed. Rounding alone: ' +
    "the processor's own step in another layout; random networks with batch normalisation enlarge it. Right is at " +
    `most ${limits.logits} of logits, and of the state ${limits.state} or ${limits.roundings} times rounding alone.`,
  table(
    ['network', 'batch', 'logits', 'state', 'rounding alone', ''],
    rows.map(({ title, check }) => [
      title,
      check?.batch ?? '',
      shown(check, ({ logits }) => scientific(logits.ofLargest)),
      ...(check?.state ? [check.state, check.rounding].map(({ ofChange }) => scientific(ofChange)) : ['', '']),
      check?.state ? (agrees(check) ? 'right' : '**wrong**') : '',
    ]),
  ),
  '## The same network in PyTorch',
  "Trainable parameters of both, and PyTorch's logits of Pupil's weights in float32 against Pupil's on the CPU: the " +
    'largest difference, as a share of the largest logit.',
  table(
    ['network', 'Pupil', 'PyTorch', 'logits'],
    rows.map(({ title, parameters, pytorch }) => [
      title,
      count(parameters) || none,
      count(pytorch?.parameters) || none,
      shown(pytorch?.compared, ({ differing, logits }) =>
        differing.length > 0 ? `**other parameters**: ${differing.join(', ')}` : scientific(logits),
      ),
    ]),
  ),
];

/** Whether PyTorch computed on a GPU. */
const isPeerOnGpu = ({ pytorch }) => pytorch?.device !== undefined && pytorch.device !== 'the processor';

/** Times of one kind of work, batch by batch; `peer`: whether PyTorch's are of a GPU. */
function times(title, text, rows, kind, { gpu, peer, batches }) {
  const median = (entry) => shown(entry, (one) => number(one.median));
  const ratio = (own, other) => (own?.median && other?.median ? `${number(own.median / other.median)}x` : '');
  const lineOf = (row, batch) => {
    const own = gpu && row[kind]?.[batch],
      peers = precisions.map((precision) => (peer ? row.pytorch?.[kind]?.[batch]?.[precision] : undefined));
    return [
      row.title,
      batch,
      median(own),
      own?.median ? `${number(own.spread[0])} to ${number(own.spread[1])}` : '',
      own?.median ? number((1000 * batch) / own.median) : '',
      ...peers.map(median),
      ratio(own, peers[0]),
      ratio(own, peers[1]),
    ];
  };
  const unknown = (row) => [row.title, batches.join(', '), none, '', '', ...precisions.map(() => none), '', ''];
  const lines = rows.flatMap((row) => (gpu || peer ? batches.map((batch) => lineOf(row, batch)) : [unknown(row)]));
  const head = ['network', 'batch', 'Pupil, ms', 'least to most', 'images/s', 'PyTorch float32', 'TF32', 'AMP'];
  return [`## ${title}`, text, table([...head, 'Pupil / float32', 'Pupil / TF32'], lines)];
}

/** A number of things, and where there are any what they amount to. */
const withMore = (things, amount) => (things.count === 0 ? '0' : `${count(things.count)}, ${amount}`);

/** The kernels of a training step that take most, and what the CPU computes. */
function largest({ title, profile }, gpu) {
  const { top, onCpu } = profile;
  const kernels = gpu
    ? top.map(({ name, count: n, milliseconds }) => `${name} ${number(milliseconds)} (${n})`)
    : [none];
  const elsewhere = onCpu.ops.map(({ name, count: n }) => `${name} (${n})`);
  return `- ${title}: ${kernels.join(', ')}${elsewhere.length > 0 ? `; on the CPU: ${elsewhere.join(', ')}` : ''}`;
}

/** Where the time of a training step goes. */
function profiles(rows, gpu) {
  const time = (x) => (gpu && x !== undefined ? number(x) : none);
  const head = [
    ...['network', 'batch', 'step', 'in onnxruntime', 'upload', 'submit', 'wait', "kernels, device's clock"],
    ...['nodes', 'on the CPU', 'copies between', 'kernels', 'shaders', 'first step'],
  ];
  const lines = rows.map(({ title, profile, cold }) =>
    profile?.nodes === undefined
      ? [title, profile?.batch ?? '', shown(profile, () => ''), ...head.slice(3).map(() => '')]
      : [
          title,
          profile.batch,
          ...['call', 'wall', 'upload', 'submit', 'wait', 'gpu'].map((part) => time(profile[part])),
          count(profile.nodes),
          withMore(profile.onCpu, `${time(profile.onCpu.milliseconds)} ms`),
          withMore(profile.copies, `${(profile.copies.bytes / 1e6).toFixed(1)} MB`),
          count(profile.kernels),
          count(profile.shaders),
          time(cold?.[0]),
        ],
  );
  const known = rows.filter(({ profile }) => profile?.top !== undefined);
  return [
    '## Where the time goes',
    'One training step under the profiler of onnxruntime, in milliseconds: as JavaScript sees it, with the way to ' +
      "the engine's thread; inside onnxruntime, and there the upload of the batch, the submission of kernels node by " +
      'node, and the wait for the device with what is read back (kernels overlap all of it). Then the nodes of the ' +
      'step, those that the CPU computes, copies between the two memories, kernels, different shaders, and the very ' +
      'first step of the process, which compiles them.',
    table(head, lines),
    ...(known.length > 0
      ? [
          'The kernels that take most, milliseconds of a step (number of them):',
          known.map((row) => largest(row, gpu)).join('\n'),
        ]
      : []),
  ];
}

/** The page of a record, for all networks. */
export function page(record, networks) {
  const gpu = gpuOf(record),
    { pytorch, tiny } = record;
  const rows = networks.map(({ name, title }) => ({ title, ...record.networks[name] }));
  // what a GPU is to be measured at, where there is none
  const peer = isPeerOnGpu(record),
    size = sizes[tiny && (gpu || peer) ? 'tiny' : 'full'];
  const note = pytorch?.missing === undefined ? '' : ` PyTorch's columns are empty: ${pytorch.missing}.`;
  const kinds = (batches) => ({ gpu, peer, batches: [...batches].sort((a, b) => a - b) });
  const ratios = `The last columns: Pupil's time over PyTorch's.${note}`;
  const step = `Forward, cross-entropy, backward, SGD with momentum. ${ratios}`;
  return `${[
    ...introduction(record),
    ...checks(rows),
    ...times('Training steps', step, rows, 'training', kinds(size.training)),
    ...times('Inference', `Probabilities of a batch. ${ratios}`, rows, 'inference', kinds(size.inference)),
    ...profiles(rows, gpu),
  ].join('\n\n')}\n`;
}
