/** What repositories of the hub say about a model, as transformers, Optimum and transformers.js read it. */
import type { Preprocessing } from '../data/preprocessing.js';

/**
 * The kinds of network that these libraries know, by how names of architectures begin. They choose the class by it;
 * the network itself is in the ONNX file.
 */
const types: readonly (readonly [begins: RegExp, type: string, name: string])[] = [
  [/^mobilenet_?v1/, 'mobilenet_v1', 'MobileNetV1'],
  [/^mobilenet_?v2/, 'mobilenet_v2', 'MobileNetV2'],
  [/^mobilenet_?v3/, 'mobilenet_v3', 'MobileNetV3'],
  [/^mobilenet_?v4/, 'mobilenet_v4', 'MobileNetV4'],
  [/^mobilevit/, 'mobilevit', 'MobileViT'],
  [/^efficientnet/, 'efficientnet', 'EfficientNet'],
  [/^convnextv2/, 'convnextv2', 'ConvNextV2'],
  [/^convnext/, 'convnext', 'ConvNext'],
  [/^swin/, 'swin', 'Swin'],
  [/^deit/, 'deit', 'DeiT'],
  [/^vit/, 'vit', 'ViT'],
];
const otherType = ['resnet', 'ResNet'] as const;

/** `config.json`: the classes, and what kind of network it is. */
export function hubConfig(architecture: string, labels: readonly string[]): object {
  const [type, name] = types.find(([begins]) => begins.test(architecture.toLowerCase()))?.slice(1) ?? otherType;
  return {
    architectures: [`${name}ForImageClassification`],
    model_type: type,
    architecture,
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}

/** Pillow's numbers. */
const resample = { bilinear: 2, bicubic: 3 } as const;

/** `preprocessor_config.json`: the same preparation of images. */
export const hubPreprocessor = ({ size, resizeShort, interpolation, mean, std }: Preprocessing): object => ({
  image_processor_type: 'BitImageProcessor',
  do_convert_rgb: true,
  do_resize: true,
  size: { shortest_edge: resizeShort },
  resample: resample[interpolation],
  do_center_crop: true,
  crop_size: { height: size[0], width: size[1] },
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: mean,
  image_std: std,
});
