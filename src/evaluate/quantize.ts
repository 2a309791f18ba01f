import { openImages } from '../data/dataset.js';
import type { Preprocessing } from '../data/preprocessing.js';
import { deploymentGraph } from '../artifact/export.js';
import type { Engine } from '../engine/engine.js';
import { errorAbout, PupilError } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph, Value } from '../graph/graph.js';
import {
  bindInputs,
  expandActivations,
  foldConstants,
  foldNormalization,
  prune,
  quantize,
  valuesToCalibrate,
  type QuantizeOptions,
  type Range,
} from '../graph/passes.js';
import type { Model } from '../models/model.js';
import { tensor } from '../tensor.js';
import { inputView, stack } from './classifier.js';
import type { Image } from '../image/image.js';
import { decodeSample } from './readers.js';

/**
 * Pixels as a model is fed: uint8 [count, H, W, 3], resized and cropped. The batches of an
 * evaluation loader are some.
 */
export interface PixelBatch {
  readonly pixels: Uint8Array;
  readonly count: number;
}

export interface QuantizeModelOptions extends QuantizeOptions {
  /** Runs the float32 model over the images; it can be closed afterwards. */
  readonly engine: Engine;
  /**
   * `average` (default): from the mean of the images' least numbers to the mean of their largest,
   * which cuts outliers off; `extremes`: a range holds everything seen.
   */
  readonly ranges?: 'extremes' | 'average';
}

/**
 * The deployed form of a model that computes on 8-bit integers: `pixels` uint8 [N, H, W, 3] ->
 * `logits` and `probabilities` float32 [N, classes], a fast teacher for labelling many images.
 * `images` are what its activations are scaled by: some hundred of those that it will see. Static
 * quantisation after training (Jacob et al. 2018); how it is written: `quantize`.
 *
 * Throws `bad-data` without images and `bad-model` for a model without convolutions.
 */
export async function quantizeModel(
  model: Model,
  images: Iterable<PixelBatch> | AsyncIterable<PixelBatch>,
  options: QuantizeModelOptions,
): Promise<Graph> {
  const bound = bindInputs(deploymentGraph(model), model.parameters);
  const graph = expandActivations(foldNormalization(prune(foldConstants(bound))));
  const ranges = await calibrate(graph, images, model, options);
  return quantize(graph, ranges, options);
}

/**
 * At most `count` images of files, folders or archives, taken evenly, as batches to calibrate on.
 * Throws `bad-data` where one cannot be read.
 */
export async function* calibrationImages(
  paths: readonly string[],
  preprocessing: Preprocessing,
  count = 300,
): AsyncGenerator<PixelBatch> {
  const { samples } = await openImages(paths, { hashes: false }).catch((error: unknown) => {
      throw errorAbout('int8', error);
    }),
    chosen = Math.min(count, samples.length),
    view = inputView(preprocessing);
  for (let start = 0; start < chosen; start += 8) {
    const some = Array.from(
      { length: Math.min(8, chosen - start) },
      (_, i) => samples[Math.floor(((start + i) * samples.length) / chosen)]!,
    );
    const views: Image[] = [];
    for (const sample of some) views.push(view(await decodeSample(sample))); // one at a time at its full size
    yield { pixels: stack(views), count: some.length };
  }
}

/** Where the values that are to become bytes lie, from running the float graph. */
async function calibrate(
  graph: Graph,
  images: Iterable<PixelBatch> | AsyncIterable<PixelBatch>,
  model: Model,
  { engine, ranges: method = 'average' }: QuantizeModelOptions,
): Promise<Map<string, Range>> {
  const names = valuesToCalibrate(graph);
  const [height, width] = model.preprocessing.size;
  const program = await engine.compile(withExtremes(graph, names), { inference: true });
  const ranges = new Map<string, { min: number; max: number; means: Float64Array }>();
  let count = 0;
  try {
    for await (const batch of images) {
      const outputs = await program.run({ pixels: tensor('uint8', [batch.count, height, width, 3], batch.pixels) });
      names.forEach((name, i) => {
        const least = outputs[`least ${i}`]!.data as Float32Array,
          largest = outputs[`largest ${i}`]!.data as Float32Array;
        const averages = outputs[`mean ${i}`]!.data as Float32Array,
          channels = averages.length / batch.count;
        const range = ranges.get(name) ?? {
          min: method === 'average' ? 0 : Infinity,
          max: method === 'average' ? 0 : -Infinity,
          means: new Float64Array(channels),
        };
        averages.forEach((mean, j) => {
          range.means[j % channels]! += mean;
        });
        ranges.set(
          name,
          method === 'average'
            ? { ...range, min: range.min + sum(least), max: range.max + sum(largest) }
            : {
                ...range,
                min: least.reduce((a, b) => Math.min(a, b), range.min),
                max: largest.reduce((a, b) => Math.max(a, b), range.max),
              },
        );
      });
      count += batch.count;
    }
  } finally {
    await program.close();
  }
  if (count === 0) {
    throw new PupilError(
      'bad-data',
      `${model.architecture}: no images to calibrate int8 on, expected some hundred of those that the model will ` +
        'see; give training images',
    );
  }
  return new Map(
    Array.from(ranges, ([name, { min, max, means }]) => {
      const divisor = method === 'average' ? count : 1;
      return [name, { min: min / divisor, max: max / divisor, means: means.map((mean) => mean / count) }];
    }),
  );
}

const sum = (values: Float32Array): number => values.reduce((a, b) => a + b, 0);

/**
 * The graph with the least and the largest number of each value, by image, as outputs [N], and its
 * means by channel, [N, channels].
 */
function withExtremes(graph: Graph, names: readonly string[]): Graph {
  const builder = GraphBuilder.from(graph);
  builder.outputs(
    Object.fromEntries(
      names.flatMap((name, i) => {
        const value = builder.value(name),
          all = value.shape.slice(1).map((_, axis) => axis + 1);
        const reduce = (op: string, output: string, axes = all): [string, Value] => [
          output,
          builder.op(op, [value], { axes, keepdims: 0 }, { name: output, outputNames: [output] }),
        ];
        const mean: [string, Value] =
          all.length > 1
            ? reduce('ReduceMean', `mean ${i}`, all.slice(1))
            : [`mean ${i}`, builder.op('Identity', [value], {}, { outputNames: [`mean ${i}`] })];
        return [reduce('ReduceMin', `least ${i}`), reduce('ReduceMax', `largest ${i}`), mean];
      }),
    ),
  );
  return prune(builder.build());
}
