/** Which parts of an image spoke for a class. */
import { createEngine } from '../engine/index.js';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { staticDims, type Graph } from '../graph/graph.js';
import { inline } from '../graph/inline.js';
import type { Image } from '../image/image.js';
import { fixedBatch, type Model } from '../models/model.js';
import { normalizePixels } from '../models/pixels.js';
import { weightsInPlace } from '../models/weights-in-place.js';
import { float32, tensor } from '../tensor.js';
import { inputView } from './classifier.js';

/**
 * The model with its last map of features [1, C, H, W] and the gradient of one class there: `pixels` uint8
 * [1, h, w, 3] and `chosen` float32 [1, classes], one-hot -> `map`, `gradient`. Undefined for a network without such
 * a map in its second half, as a vision transformer.
 */
export function activationGraph(model: Model): Graph | undefined {
  if (fixedBatch(model) !== undefined && fixedBatch(model) !== 1) return undefined;
  const builder = new GraphBuilder(model.architecture);
  const [height, width] = model.preprocessing.size;
  const pixels = builder.input('pixels', 'uint8', [1, height, width, 3]);
  const logits = inline(builder, model.graph, { input: normalizePixels(builder, pixels, model.preprocessing) })[
    'logits'
  ]!;
  const chosen = builder.input('chosen', 'float32', logits.shape);
  const nodes = [...builder.nodes];
  const score = builder.op('ReduceSum', [builder.op('Mul', [logits, chosen]), builder.ints([0, 1])], { keepdims: 0 });
  const isMap = (name: string): boolean => {
    const { dtype, shape } = builder.value(name);
    const dims = staticDims(shape);
    return dtype === 'float32' && dims?.length === 4 && dims[2]! > 1 && dims[3]! > 1;
  };
  // What attention computes has four dimensions too, but no convolution comes late there.
  const from = nodes.findLastIndex(({ op, outputs }) => op === 'Conv' && isMap(outputs[0]!));
  for (const { outputs } of from < nodes.length / 2 ? [] : nodes.slice(from).reverse()) {
    if (!isMap(outputs[0]!)) continue;
    const value = builder.value(outputs[0]!);
    const [gradient] = differentiate(builder, score, [value]);
    if (gradient === undefined) continue;
    builder.outputs({ map: value, gradient });
    return weightsInPlace(builder.build(), model);
  }
  return undefined;
}

/**
 * What the network sees of each image, in warm colours where it spoke for the class (Grad-CAM, Selvaraju et al. 2017);
 * undefined for a network without maps of features.
 */
export async function explain(
  model: Model,
  images: readonly { readonly image: Image; readonly label: number }[],
): Promise<Image[] | undefined> {
  const graph = activationGraph(model);
  if (graph === undefined || images.length === 0) return undefined;
  const classes = model.labels!.length;
  const view = inputView(model.preprocessing);
  const engine = await createEngine('auto', { purpose: 'prediction', precision: 'f32', graphs: () => [graph] });
  try {
    const program = await engine.compile(graph, { inference: true, exact: true });
    const shown: Image[] = [];
    for (const { image, label } of images) {
      const seen = view(image);
      const chosen = float32(
        [1, classes],
        Array.from({ length: classes }, (_, c) => (c === label ? 1 : 0)),
      );
      const pixels = tensor('uint8', [1, seen.height, seen.width, 3], seen.data);
      const { map, gradient } = await program.run({ pixels, chosen });
      const heat = weighted(map!.data as Float32Array, gradient!.data as Float32Array, map!.dims[1]!);
      shown.push(warmed(seen, heat, map!.dims[3]!));
    }
    await program.close();
    return shown;
  } finally {
    await engine.close();
  }
}

/** relu(sum over c of mean(gradient of c) * map of c), its largest value 1: [H * W]. */
function weighted(map: Float32Array, gradient: Float32Array, channels: number): Float32Array {
  const places = map.length / channels;
  const heat = new Float32Array(places);
  for (let c = 0; c < channels; c++) {
    let weight = 0;
    for (let i = 0; i < places; i++) weight += gradient[c * places + i]! / places;
    for (let i = 0; i < places; i++) heat[i]! += weight * map[c * places + i]!;
  }
  const largest = heat.reduce((a, b) => Math.max(a, b), 0);
  return heat.map((value) => (largest > 0 ? Math.max(0, value) / largest : 0));
}

/** The image in grey, with red, and yellow where most, laid over it by a coarse map of `columns`, bilinear. */
function warmed({ width, height, data }: Image, heat: Float32Array, columns: number): Image {
  const rows = heat.length / columns;
  const out = new Uint8Array(data.length);
  const corner = (at: number, count: number): [number, number] => {
    const inside = Math.min(count - 1, Math.max(0, at));
    const low = Math.min(count - 2, Math.floor(inside));
    return [low, inside - low];
  };
  for (let y = 0; y < height; y++) {
    const [row, down] = corner(((y + 0.5) * rows) / height - 0.5, rows);
    for (let x = 0; x < width; x++) {
      const [column, right] = corner(((x + 0.5) * columns) / width - 0.5, columns);
      const at = row * columns + column;
      const above = heat[at]! * (1 - right) + heat[at + 1]! * right,
        below = heat[at + columns]! * (1 - right) + heat[at + columns + 1]! * right;
      const warmth = above * (1 - down) + below * down;
      const i = 3 * (y * width + x);
      const grey = 0.3 * data[i]! + 0.6 * data[i + 1]! + 0.1 * data[i + 2]!;
      const colour = [255, 220 * warmth, 0];
      for (let c = 0; c < 3; c++) out[i + c] = Math.round(grey * (0.8 - 0.45 * warmth) + 0.6 * warmth * colour[c]!);
    }
  }
  return { width, height, data: out };
}
