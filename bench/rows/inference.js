// Throughput of a teacher: probabilities of a batch of 16, weights constant, normalisation folded
// into the convolutions on our side as exports have it. PyTorch runs in evaluation mode under
// inference_mode, as it comes and with its normalisations folded.
import { alternate, fastest, ratio } from '../harness/alternate.js';
import { cache, exported } from '../harness/models.js';
import { compiledVariants, eager, ours, torchVariants } from './variants.js';

const batch = 16;
const networks = {
  resnet50: { title: 'ResNet-50', network: 'resnet50', goal: 1.15 },
  mobilenetv2: { title: 'MobileNetV2', network: 'mobilenet_v2', goal: 1.5 },
  efficientnet: { title: 'EfficientNet-B0', network: 'efficientnet_b0', goal: 1.5 },
};
const folded = (precision) => `torch ${precision} channels_last, folded`;

async function jobs({ network }, threads) {
  const common = { work: 'inference', batch, size: 224, classes: 10, threads };
  return { mine: { ...common, model: await exported(network, 'folded') }, theirs: { ...common, network } };
}

/**
 * Our best engine in f32 against PyTorch's best f32; ours in bf16 against both of its precisions.
 */
const floats = (variants, goal) => [
  { ours: fastest(variants, ['pupil ort', 'pupil onednn']), precision: 'f32', goal },
  { ours: 'pupil onednn bf16', precision: 'f32', goal: goal && 2 },
  { ours: 'pupil onednn bf16', precision: 'bf16', goal: goal && 1 },
];

function compare(variants, names, wanted) {
  return wanted.map(({ ours, precision, goal }) => {
    const theirs = fastest(variants, names[precision]);
    const missing =
      variants[ours]?.error ??
      (theirs === undefined ? (variants[names[precision][0]]?.error ?? 'not measured') : undefined);
    return {
      ours,
      theirs: theirs ?? `torch ${precision}`,
      goal,
      ...(missing === undefined
        ? {
            ratio: ratio(variants[theirs], variants[ours]),
            processorRatio: ratio(variants[theirs], variants[ours], 'processor'),
          }
        : { missing }),
    };
  });
}

export const inferenceRows = Object.entries(networks).map(([key, entry]) => ({
  name: `infer-${key}`,
  group: 'infer',
  title: entry.title,
  async measure({ rounds, threads, log }) {
    const { mine, theirs } = await jobs(entry, threads);
    const own = Object.fromEntries(
      ['f32', 'bf16'].map((precision) => [
        folded(precision),
        {
          job: { ...theirs, peer: 'torch', precision, layout: 'channels_last', form: 'folded' },
        },
      ]),
    );
    const { variants, calm } = await alternate({ ...torchVariants(theirs), ...own, ...ours(mine) }, { rounds, log });
    const names = Object.fromEntries(
      ['f32', 'bf16'].map((precision) => [precision, [...eager[precision], folded(precision)]]),
    );
    return {
      title: entry.title,
      batch,
      calm,
      variants,
      comparisons: compare(variants, names, floats(variants, entry.goal)),
    };
  },
}));

/**
 * On 8-bit integers against PyTorch's eager float32; how far its labels agree is measured by
 * bench/teacher.js on photos.
 */
export const teacherRows = ['resnet50', 'mobilenetv2'].map((key) => ({
  name: `int8-${key}`,
  group: 'infer',
  title: `${networks[key].title}, int8 teacher`,
  async measure({ rounds, threads, log }) {
    const { title } = this,
      { mine, theirs } = await jobs(networks[key], threads);
    const float = Object.fromEntries(
      Object.entries(torchVariants(theirs)).filter(([name]) => eager.f32.includes(name)),
    );
    const int8 = 'pupil ort int8';
    const { variants, calm } = await alternate(
      {
        ...float,
        'pupil ort': { job: { ...mine, engine: 'ort' } },
        [int8]: { job: { ...mine, engine: 'ort', int8: true } },
      },
      { rounds, log },
    );
    return {
      title,
      batch,
      calm,
      variants,
      comparisons: compare(variants, { f32: eager.f32 }, [{ ours: int8, precision: 'f32', goal: 2.5 }]),
    };
  },
}));

export const compiledInferenceRows = Object.entries(networks).map(([key, entry]) => ({
  name: `compile-infer-${key}`,
  group: 'compile',
  long: true,
  title: `${entry.title}, inference`,
  async measure({ rounds, threads, log }) {
    const { mine, theirs } = await jobs(entry, threads);
    const { variants, calm } = await alternate(
      { ...compiledVariants(theirs, `${cache}/inductor`, 240), ...ours(mine) },
      { rounds, log },
    );
    return {
      title: `${entry.title}, inference, batch ${batch}`,
      batch,
      calm,
      variants,
      comparisons: compare(variants, { f32: ['torch.compile f32'], bf16: ['torch.compile bf16'] }, floats(variants)),
    };
  },
}));
