/** Every built-in network: a new member is one row. */
import type { Value } from '../../graph/graph.js';
import { convnet } from './convnet.js';
import { efficientnet } from './efficientnet.js';
import { constant, uniform, type Layers, type LinearOptions } from './layers.js';
import { mobilenetV2, mobilenetV3 } from './mobilenet.js';
import { basic, bottleneck, resnet, resnetSixN } from './resnet.js';
import { vit, vitInitial } from './vit.js';
import { wideResnet } from './wide-resnet.js';

export interface Architecture {
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
  vit: { name: 'head', initial: () => vitInitial },
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

/** Smallest first within each family. */
export const table: readonly Architecture[] = [
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
export function lookUp(name: string): Architecture | undefined {
  const found = table.find((entry) => entry.name === name);
  if (found) return found;
  const match = /^wrn-(\d{1,4})-(\d{1,3})$/.exec(name);
  const depth = Number(match?.[1]),
    factor = Number(match?.[2]);
  return depth >= 10 && (depth - 4) % 6 === 0 && factor >= 1 ? wide(depth, factor) : undefined;
}
