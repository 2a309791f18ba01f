import { PupilError } from '../../errors.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Graph, Value } from '../../graph/graph.js';
import { makePreprocessing } from '../../data/preprocessing.js';
import { countFlops } from '../flops.js';
import { findHead } from '../head.js';
import type { Model } from '../model.js';
import { suggestion } from '../../nearest.js';
import { adopt, type Weights } from './adopt.js';
import { convnet } from './convnet.js';
import { efficientnet } from './efficientnet.js';
import {
  constant,
  countDeclared,
  createLayers,
  initialise,
  uniform,
  type Layers,
  type LinearOptions,
} from './layers.js';
import { mobilenetV2, mobilenetV3 } from './mobilenet.js';
import { basic, bottleneck, resnet, resnetSixN } from './resnet.js';
import { small, vit } from './vit.js';
import { wideResnet } from './wide-resnet.js';

interface Architecture {
  readonly name: string;
  readonly family: string;
  /** Side of the images it is meant for, in pixels; any other works as well. */
  readonly size: number;
  /** From normalised images [N, 3, H, W] to pooled features [N, F]. */
  readonly network: (layers: Layers, x: Value) => Value;
  readonly classifier: Classifier;
  /** Sides of the images have to be multiples of this. Default 1. */
  readonly multiple?: number;
}

/** The last layer: its name and how it begins. */
interface Classifier {
  readonly name: string;
  readonly initial?: (classes: number) => LinearOptions;
}

const classifiers = {
  resnet: { name: 'fc' },
  // Uniform by the outputs, as TensorFlow's scaling by fan-out.
  mobile: {
    name: 'classifier',
    initial: (classes) => ({ weight: uniform(1 / Math.sqrt(classes)), bias: constant(0) }),
  },
  vit: { name: 'head', initial: () => small },
} as const satisfies Record<string, Classifier>;

const row = (
  name: string,
  family: string,
  size: number,
  network: Architecture['network'],
  classifier: Classifier = classifiers.resnet,
): Architecture => ({ name, family, size, network, classifier });
const wide = (depth: number, factor: number): Architecture =>
  row(`wrn-${depth}-${factor}`, 'wide-resnet', 32, wideResnet(depth, factor));
const mobile = (name: string, family: string, network: Architecture['network'], size = 224): Architecture =>
  row(name, family, size, network, classifiers.mobile);
const scaled = (number: number, width: number, depth: number, size: number): Architecture =>
  mobile(`efficientnet_b${number}`, 'efficientnet', efficientnet(width, depth), size);
const transformer = (name: string, width: number, heads: number, patch: number, size: number): Architecture => ({
  ...row(
    `vit_${name}_patch${patch}_${size}`,
    `vit-patch${patch}`,
    size,
    vit({ patch, width, depth: 12, heads }),
    classifiers.vit,
  ),
  multiple: patch,
});

/** Every built-in network, smallest first within its family: a new member is one row. */
const table: readonly Architecture[] = [
  row('convnet-small', 'convnet', 28, convnet([32, 64, 128])),
  row('resnet8', 'resnet-6n+2', 32, resnetSixN(1)),
  row('resnet14', 'resnet-6n+2', 32, resnetSixN(2)),
  row('resnet20', 'resnet-6n+2', 32, resnetSixN(3)),
  row('resnet32', 'resnet-6n+2', 32, resnetSixN(5)),
  row('resnet44', 'resnet-6n+2', 32, resnetSixN(7)),
  row('resnet56', 'resnet-6n+2', 32, resnetSixN(9)),
  wide(16, 1),
  wide(16, 2),
  wide(28, 2),
  wide(16, 4),
  wide(40, 4),
  wide(28, 10),
  row('resnet18-small', 'resnet-small', 32, resnet(basic, [2, 2, 2, 2], 'small')),
  row('resnet34-small', 'resnet-small', 32, resnet(basic, [3, 4, 6, 3], 'small')),
  transformer('tiny', 192, 3, 4, 32),
  transformer('small', 384, 6, 4, 32),
  row('resnet18', 'resnet', 224, resnet(basic, [2, 2, 2, 2])),
  row('resnet34', 'resnet', 224, resnet(basic, [3, 4, 6, 3])),
  row('resnet50', 'resnet', 224, resnet(bottleneck, [3, 4, 6, 3])),
  row('resnet101', 'resnet', 224, resnet(bottleneck, [3, 4, 23, 3])),
  row('resnet152', 'resnet', 224, resnet(bottleneck, [3, 8, 36, 3])),
  mobile('mobilenetv2_035', 'mobilenetv2', mobilenetV2(0.35)),
  mobile('mobilenetv2_050', 'mobilenetv2', mobilenetV2(0.5)),
  mobile('mobilenetv2_075', 'mobilenetv2', mobilenetV2(0.75)),
  mobile('mobilenetv2_100', 'mobilenetv2', mobilenetV2(1)),
  mobile('mobilenetv2_110d', 'mobilenetv2', mobilenetV2(1.1, 1.2)),
  mobile('mobilenetv2_120d', 'mobilenetv2', mobilenetV2(1.2, 1.4)),
  mobile('mobilenetv2_140', 'mobilenetv2', mobilenetV2(1.4)),
  mobile('mobilenetv3_small_050', 'mobilenetv3', mobilenetV3('small', 0.5)),
  mobile('mobilenetv3_small_075', 'mobilenetv3', mobilenetV3('small', 0.75)),
  mobile('mobilenetv3_small_100', 'mobilenetv3', mobilenetV3('small', 1)),
  mobile('mobilenetv3_large_075', 'mobilenetv3', mobilenetV3('large', 0.75)),
  mobile('mobilenetv3_large_100', 'mobilenetv3', mobilenetV3('large', 1)),
  scaled(0, 1, 1, 224),
  scaled(1, 1, 1.1, 240),
  scaled(2, 1.1, 1.2, 260),
  scaled(3, 1.2, 1.4, 300),
  scaled(4, 1.4, 1.8, 380),
  scaled(5, 1.6, 2.2, 456),
  scaled(6, 1.8, 2.6, 528),
  scaled(7, 2, 3.1, 600),
  transformer('tiny', 192, 3, 16, 224),
  transformer('small', 384, 6, 16, 224),
  transformer('base', 768, 12, 16, 224),
];

/** The row of that name; any `wrn-d-k` with d = 6n + 4 counts. Undefined when there is none. */
function lookUp(name: string): Architecture | undefined {
  const found = table.find((entry) => entry.name === name);
  if (found) return found;
  const match = /^wrn-(\d{1,4})-(\d{1,3})$/.exec(name);
  const depth = Number(match?.[1]),
    factor = Number(match?.[2]);
  return depth >= 10 && (depth - 4) % 6 === 0 && factor >= 1 ? wide(depth, factor) : undefined;
}

/** Whether `buildModel` knows the name. */
export const isBuiltIn = (name: string): boolean => lookUp(name) !== undefined;

/** Names of the built-in networks (besides these, any `wrn-d-k` with d = 6n + 4). */
export const builtInNames = (): string[] => table.map(({ name }) => name);

function find(name: string): Architecture {
  const found = lookUp(name);
  if (found) return found;
  const hint = /^wrn-\d+-\d+$/.test(name)
    ? 'wrn-d-k needs a depth d = 6n + 4 such as 16, 28 or 40'
    : suggestion(name, builtInNames());
  throw new PupilError('usage', `no built-in model ${JSON.stringify(name)}: ${hint} (pupil models list shows all)`);
}

/**
 * The name of an architecture's last layer, in timm. Throws `usage` for an unknown architecture.
 */
export const classifierName = (name: string): string => find(name).classifier.name;

interface Built {
  readonly graph: Graph;
  readonly declared: Layers['declared'];
}

function network(architecture: Architecture, classes: number, [height, width]: readonly [number, number]): Built {
  const builder = new GraphBuilder(architecture.name);
  const layers = createLayers(builder);
  const x = builder.input('input', 'float32', ['N', 3, height, width]);
  const { name, initial } = architecture.classifier;
  const logits = layers.linear(architecture.network(layers, x), name, classes, initial?.(classes));
  builder.outputs({ logits });
  return { graph: builder.build(), declared: layers.declared };
}

export interface BuildOptions {
  /** Number of classes; default: the number of labels. */
  readonly classes?: number;
  readonly labels?: readonly string[];
  readonly seed: number;
  /** Image size in pixels, a side or [height, width]; default: what the network is meant for. */
  readonly inputSize?: number | readonly [number, number];
  /** Trained tensors in place of fresh ones. */
  readonly weights?: Weights;
}

/**
 * A network of a built-in architecture with fresh weights, drawn from (seed, parameter name), or
 * with the given ones. Throws `usage` for an unknown name, with the nearest one, and for a size or
 * number of classes that cannot be; `bad-model` for weights that are not this architecture's.
 */
export function buildModel(name: string, options: BuildOptions): Model {
  const architecture = find(name);
  const classes = options.classes ?? options.labels?.length ?? 0;
  if (!Number.isInteger(classes) || classes < 1) {
    throw new PupilError('usage', `${name}: needs a number of classes of at least 1, got ${classes}`);
  }
  if (options.labels && options.labels.length !== classes) {
    throw new PupilError('usage', `${name}: ${options.labels.length} labels for ${classes} classes`);
  }
  const size = options.inputSize ?? architecture.size;
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  if (![height, width].every((side) => Number.isInteger(side) && side >= 8 && side <= 4096)) {
    throw new PupilError('usage', `${name}: images of ${height}x${width} pixels (expected sides of 8 to 4096)`);
  }
  const { multiple = 1 } = architecture;
  if (height % multiple !== 0 || width % multiple !== 0) {
    throw new PupilError(
      'usage',
      `${name}: images of ${height}x${width} pixels; its patches want sides that are multiples of ${multiple}`,
    );
  }
  const { graph, declared } = network(architecture, classes, [height, width]);
  const { seed, weights } = options;
  const parameters = weights
    ? adopt(declared, weights, { architecture: name, classifier: architecture.classifier.name, seed })
    : initialise(declared, seed);
  return {
    graph,
    parameters,
    statistics: new Set([...declared].filter(([, { statistic }]) => statistic).map(([parameter]) => parameter)),
    head: findHead(graph, parameters),
    preprocessing: makePreprocessing([height, width]),
    labels: options.labels,
    architecture: name,
    pretrained: weights !== undefined,
    temperature: 1,
  };
}

export interface ListedModel {
  readonly name: string;
  readonly family: string;
  /** Trainable numbers at `classes` classes. */
  readonly parameters: number;
  /** Of one image of `size`, multiply and add counted as two. */
  readonly flops: number;
  /** Side of the input in pixels. */
  readonly size: number;
  /** 1000 for networks meant for ImageNet's size, else 10. */
  readonly classes: number;
  /** The next larger member of the family: what a student grows into. */
  readonly larger: string | undefined;
}

/**
 * The next larger member of a built-in network's family; undefined for the largest, and for other
 * names.
 */
export function largerThan(name: string): string | undefined {
  const index = table.findIndex((entry) => entry.name === name),
    next = table[index + 1];
  return index >= 0 && next?.family === table[index]!.family ? next.name : undefined;
}

/** Trainable numbers of a built-in network at `classes` classes; undefined for other names. */
export function parametersOf(name: string, classes: number): number | undefined {
  const architecture = lookUp(name);
  return architecture && countDeclared(network(architecture, classes, [architecture.size, architecture.size]).declared);
}

/** Every built-in network with its family, size and cost. */
export function listModels(): ListedModel[] {
  return table.map((architecture) => {
    const classes = architecture.size >= 96 ? 1000 : 10;
    const { graph, declared } = network(architecture, classes, [architecture.size, architecture.size]);
    return {
      name: architecture.name,
      family: architecture.family,
      parameters: countDeclared(declared),
      flops: countFlops(graph),
      size: architecture.size,
      classes,
      larger: largerThan(architecture.name),
    };
  });
}
