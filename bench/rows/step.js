// Time and memory of a training step: forward, cross-entropy, backward, SGD with momentum 0.9 and
// weight decay, the batch in memory. Ours takes bytes and normalises them in its graph; PyTorch is
// given normalised floats.
import { alternate, fastest, ratio } from '../harness/alternate.js';
import { cache, exported } from '../harness/models.js';
import { compiledVariants, eager, ours, torchVariants } from './variants.js';

const dense = { ort: 0.75, onednn: 1.6, bf16: 2.0, bf16ToBf16: 1.1 };
const depthwise = { ort: 0.75, onednn: 1.1, bf16: 1.5, bf16ToBf16: 1.0 };
const hardSwish = { ...depthwise, onednn: 1.5 };
const attention = { ort: 0.75, onednn: 1.0, bf16: 1.5, bf16ToBf16: 1.0 };

/**
 * name: what it is called, the network on both sides (`form`: an export of that form trains on
 * ours), batch, size, goals.
 */
const networks = {
  'resnet18-32': { title: 'ResNet-18, 32x32, batch 64', network: 'resnet18-small', batch: 64, size: 32, goals: dense },
  'wrn-16-4-32': { title: 'WRN-16-4, 32x32, batch 64', network: 'wrn-16-4', batch: 64, size: 32, goals: dense },
  'resnet18-224': { title: 'ResNet-18, 224x224, batch 16', network: 'resnet18', batch: 16, size: 224, goals: dense },
  'mobilenetv2-224': {
    title: 'MobileNetV2, 224x224, batch 16, normalisation trained',
    network: 'mobilenet_v2',
    form: 'trained',
    batch: 16,
    size: 224,
    goals: depthwise,
  },
  'mobilenetv2-folded-224': {
    title: 'MobileNetV2, 224x224, batch 16, normalisation folded',
    network: 'mobilenet_v2',
    form: 'folded',
    batch: 16,
    size: 224,
    goals: depthwise,
  },
  'mobilenetv3-224': {
    title: 'MobileNetV3-large, 224x224, batch 16, normalisation trained',
    network: 'mobilenetv3_large_100',
    form: 'trained',
    batch: 16,
    size: 224,
    goals: hardSwish,
  },
  'efficientnet-224': {
    title: 'EfficientNet-B0, 224x224, batch 16, normalisation trained',
    network: 'efficientnet_b0',
    form: 'trained',
    batch: 16,
    size: 224,
    goals: depthwise,
  },
  'efficientnet-folded-224': {
    title: 'EfficientNet-B0, 224x224, batch 16, normalisation folded',
    network: 'efficientnet_b0',
    form: 'folded',
    batch: 16,
    size: 224,
    goals: depthwise,
  },
  'vit-tiny-224': {
    title: 'ViT-tiny, 224x224, batch 16',
    network: 'vit_tiny_patch16_224',
    form: 'trained',
    batch: 16,
    size: 224,
    goals: attention,
  },
};

/** What compares with what, in the order of the goals. */
const pairs = [
  { mine: 'pupil ort', with: 'f32', goal: 'ort' },
  { mine: 'pupil onednn', with: 'f32', goal: 'onednn' },
  { mine: 'pupil onednn bf16', with: 'f32', goal: 'bf16' },
  { mine: 'pupil onednn bf16', with: 'bf16', goal: 'bf16ToBf16' },
];

/** Ratios of times, and of peak memory to that of PyTorch's fastest f32. */
function compare(variants, names, goals) {
  const comparisons = [];
  for (const { mine, with: precision, goal } of pairs) {
    const theirs = fastest(variants, names[precision]);
    if (variants[mine] === undefined) continue;
    const missing =
      variants[mine].error ??
      (theirs === undefined ? (variants[names[precision][0]]?.error ?? 'not measured') : undefined);
    comparisons.push({
      ours: mine,
      theirs: theirs ?? `torch ${precision}`,
      against: precision,
      goal: goals?.[goal],
      ...(missing === undefined
        ? {
            ratio: ratio(variants[theirs], variants[mine]),
            processorRatio: ratio(variants[theirs], variants[mine], 'processor'),
          }
        : { missing }),
    });
  }
  const base = fastest(variants, names.f32);
  const memory = Object.keys(variants)
    .filter((name) => name.startsWith('pupil') && variants[name].peakMegabytes !== undefined)
    .map((name) => ({
      ours: name,
      megabytes: variants[name].peakMegabytes,
      ...(base && { theirs: base, theirMegabytes: variants[base].peakMegabytes }),
    }));
  return { comparisons, memory };
}

/**
 * Networks with the same weights on both sides begin with the same loss: otherwise the sides train
 * different networks.
 */
function checkSameStart(variants, log) {
  for (const [lowered, tolerance] of [
    [false, 0.03],
    [true, 0.12],
  ]) {
    const first = Object.entries(variants)
      .filter(([name, { first }]) => first !== undefined && (lowered || !name.includes('bf16')))
      .map(([, { first }]) => first);
    const difference = (Math.max(...first) - Math.min(...first)) / Math.min(...first);
    if (!(difference <= tolerance))
      throw new Error(
        `first losses from ${Math.min(...first)} to ${Math.max(...first)}: the sides do not train the same network`,
      );
    log(`  first losses${lowered ? ', bfloat16 among them,' : ''} agree to ${(100 * difference).toFixed(2)}%`);
  }
}

async function jobs({ network, form, batch, size }, threads) {
  const common = { work: 'step', batch, size, classes: 10, threads };
  let model = network,
    missing;
  if (form) {
    try {
      model = await exported(network, form, size);
    } catch (error) {
      missing = `no export of ${network}: ${error.message.split('\n')[0]}`;
    }
  }
  return { mine: { ...common, model }, theirs: { ...common, network, form }, missing };
}

export const stepRows = Object.entries(networks).map(([key, entry]) => ({
  name: `step-${key}`,
  group: 'step',
  title: entry.title,
  async measure({ rounds, threads, log }) {
    const { mine, theirs, missing } = await jobs(entry, threads);
    if (missing) return { title: entry.title, missing };
    const { variants, calm } = await alternate({ ...torchVariants(theirs), ...ours(mine) }, { rounds, log });
    if (entry.form) checkSameStart(variants, log);
    return { title: entry.title, calm, variants, ...compare(variants, eager, entry.goals) };
  },
}));

/** torch.compile takes minutes to begin where its cache is empty: rows of their own. */
export const compileRows = ['resnet18-32', 'resnet18-224', 'mobilenetv2-224', 'vit-tiny-224'].map((key) => ({
  name: `compile-${key}`,
  group: 'compile',
  long: true,
  title: networks[key].title,
  async measure({ rounds, threads, log }) {
    const entry = networks[key];
    const { mine, theirs, missing } = await jobs(entry, threads);
    if (missing) return { title: entry.title, missing };
    const { variants, calm } = await alternate(
      { ...compiledVariants(theirs, `${cache}/inductor`, 240), ...ours(mine) },
      { rounds, log },
    );
    return {
      title: entry.title,
      calm,
      variants,
      ...compare(variants, { f32: ['torch.compile f32'], bf16: ['torch.compile bf16'] }),
    };
  },
}));
