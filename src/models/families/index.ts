import { PupilError } from '../../errors.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Graph } from '../../graph/graph.js';
import { makePreprocessing } from '../../data/preprocessing.js';
import { countFlops } from '../flops.js';
import { findHead } from '../find-head.js';
import type { Model } from '../model.js';
import { suggestion } from '../../nearest.js';
import { adopt, type Weights } from './adopt.js';
import { countDeclared, initialise, Layers } from './layers.js';
import { lookUp, table, type Architecture } from './table.js';

/** Whether `buildModel` knows the name. */
export const isBuiltIn = (name: string): boolean => lookUp(name) !== undefined;

/** Names of the built-in networks (besides these, any `wrn-d-k` with d = 6n + 4). */
export const builtInNames = (): string[] => table.map(({ name }) => name);

function find(name: string | Architecture): Architecture {
  if (typeof name !== 'string') return name;
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
  const layers = new Layers(builder);
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
 * A network of a built-in architecture, or of one like it, with fresh weights, drawn from (seed,
 * parameter name), or with the given ones. Throws `usage` for an unknown name, with the nearest
 * one, and for a size or number of classes that cannot be; `bad-model` for weights that are not
 * this architecture's.
 */
export function buildModel(named: string | Architecture, options: BuildOptions): Model {
  const architecture = find(named),
    { name } = architecture;
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

/** Trainable numbers of a network at `classes` classes; undefined for a name that is not built in. */
export function parametersOf(named: string | Architecture, classes: number): number | undefined {
  const architecture = typeof named === 'string' ? lookUp(named) : named;
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
