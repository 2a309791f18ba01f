import { freemem } from 'node:os';
import { PupilError } from '../errors.js';
import { staticDims, type Graph } from '../graph/graph.js';
import { elementSize, sizeOf } from '../tensor.js';
import type { TrainingStep } from './step.js';

/**
 * Bytes that the values of a graph take at its peak when they are computed in order and freed after
 * their last use: inputs and constants all along, results while something still reads them. Sizes
 * must be static.
 */
export function peakMemory(graph: Graph): number {
  const bytes = (name: string): number => {
    const value = graph.values.get(name);
    const dims = value && staticDims(value.shape);
    return dims ? sizeOf(dims) * elementSize(value.dtype) : 0;
  };
  const lastUse = new Map<string, number>();
  graph.nodes.forEach((node, i) => {
    for (const name of [...node.inputs, ...node.outputs]) lastUse.set(name, i);
  });
  for (const name of graph.outputs) lastUse.set(name, Infinity);
  const produced = new Set<string>();
  let live = 0;
  for (const { name } of graph.inputs) live += bytes(name);
  for (const name of graph.constants.keys()) live += bytes(name);
  let peak = live;
  graph.nodes.forEach((node, i) => {
    for (const name of node.outputs) {
      if (name === '') continue;
      produced.add(name);
      live += bytes(name);
    }
    peak = Math.max(peak, live);
    for (const name of new Set([...node.inputs, ...node.outputs])) {
      if (produced.has(name) && lastUse.get(name) === i) {
        produced.delete(name);
        live -= bytes(name);
      }
    }
  });
  return peak;
}

export interface BatchSizeOptions {
  /** Builds the step for a batch size (only the graph is looked at). */
  readonly build: (batchSize: number) => TrainingStep;
  /** Training images. */
  readonly images: number;
  /** Bytes to stay within; default half of what the machine, or its container, has free. */
  readonly memory?: number;
  /** Default 64. */
  readonly largest?: number;
}

/**
 * Engines need space beside the values themselves: images unfolded for weight gradients, packed
 * weights, an arena that is never filled densely. Measured on onnxruntime, ResNet-18 at 32x32: 3.2
 * times the values' own bytes for every image more in a batch.
 */
const overhead = 3.5;

/**
 * `batchSize: auto`: the largest power of two, at most `largest`, whose step fits the memory and
 * that leaves about ten steps an epoch (but not below 8). Throws `usage` when not even 2 images
 * fit.
 */
export function chooseBatchSize(options: BatchSizeOptions): { readonly batchSize: number; readonly bytes: number } {
  const { build, images, memory = freeMemory() / 2, largest = 64 } = options;
  const useful = Math.max(8, images / 10);
  let batchSize = 2 ** Math.floor(Math.log2(Math.min(largest, useful)));
  for (; ; batchSize /= 2) {
    const bytes = overhead * peakMemory(build(batchSize).main.graph);
    if (bytes <= memory) return { batchSize, bytes };
    if (batchSize <= 2) {
      const gigabytes = (x: number): string => `${(x / 2 ** 30).toFixed(1)} GiB`;
      throw new PupilError(
        'usage',
        `\`batchSize: auto\`: a step of 2 images needs ${gigabytes(bytes)}, free are ${gigabytes(memory)}; ` +
          'use a smaller model or `size`, or give a number',
        { option: 'batchSize' },
      );
    }
  }
}

/** Bytes free for this process: the machine's, or what is left of its container's limit. */
function freeMemory(): number {
  const limit = process.constrainedMemory();
  const left = limit > 0 && limit < 2 ** 50 ? limit - process.memoryUsage.rss() : Infinity;
  return Math.max(0, Math.min(freemem(), left));
}
