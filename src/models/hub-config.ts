import { isSide, type Preprocessing } from '../data/preprocessing.js';

/**
 * Reads what repositories of the Hugging Face hub say about a model: preprocessor_config.json and
 * config.json.
 */

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isPositive = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0;

/** Three numbers, or one for all channels (also as a list of one, as of grey images). */
function channels(value: unknown): readonly [number, number, number] | undefined {
  const one: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  const list = typeof one === 'number' ? [one, one, one] : one;
  return Array.isArray(list) && list.length === 3 && list.every((x) => typeof x === 'number' && Number.isFinite(x))
    ? [list[0] as number, list[1] as number, list[2] as number]
    : undefined;
}

/** `size` and `crop_size`: a number, {height, width} or {shortest_edge}. */
function sides(value: unknown): { height: number; width: number; short: boolean } | undefined {
  if (isPositive(value)) return { height: value, width: value, short: true };
  if (!isObject(value)) return undefined;
  const { height, width, shortest_edge: shortest } = value;
  if (isPositive(height) && isPositive(width)) return { height, width, short: false };
  return isPositive(shortest) ? { height: shortest, width: shortest, short: true } : undefined;
}

/** Pillow's resampling numbers and timm's names; what we lack becomes the nearest that we have. */
const interpolationOf = (value: unknown): Preprocessing['interpolation'] =>
  value === 3 || value === 1 || value === 'bicubic' || value === 'lanczos' ? 'bicubic' : 'bilinear';

/** Resize, crop and normalisation of a timm `pretrained_cfg`. */
function fromTimm(config: Json): Preprocessing | undefined {
  const input = config['input_size'];
  const mean = channels(config['mean']),
    std = channels(config['std']);
  if (!Array.isArray(input) || !isPositive(input[1]) || !isPositive(input[2]) || !mean || !std) return undefined;
  const portion = isPositive(config['crop_pct']) ? config['crop_pct'] : 0.875;
  return {
    size: [input[1], input[2]],
    resizeShort: Math.floor(Math.min(input[1], input[2]) / portion),
    interpolation: interpolationOf(config['interpolation']),
    crop: 'center',
    mean,
    std,
  };
}

/**
 * A transformers image processor. Those that stretch the picture to a square (ViT) become
 * resize-and-crop at the same size: proportions are kept here.
 */
function fromTransformers(config: Json): Preprocessing | undefined {
  const size = sides(config['size']);
  const crop = config['do_center_crop'] === false ? undefined : sides(config['crop_size']);
  if (!size && !crop) return undefined;
  const target = crop ?? size!;
  let resizeShort = Math.min(size?.height ?? target.height, size?.width ?? target.width);
  const isConvNext = [config['image_processor_type'], config['feature_extractor_type']].some(
    (type) => typeof type === 'string' && type.startsWith('ConvNext'),
  );
  const portion = isPositive(config['crop_pct']) ? config['crop_pct'] : isConvNext ? 224 / 256 : undefined;
  // ConvNeXt's processor leaves no margin from 384 pixels on.
  if (!crop && portion !== undefined && portion <= 1 && (!isConvNext || resizeShort < 384))
    resizeShort = Math.floor(resizeShort / portion);
  if (config['do_resize'] === false && crop) resizeShort = Math.min(crop.height, crop.width);

  // The processor computes (x * factor - offset - mean) / std; ours is (x / 255 - mean') / std'.
  const factor =
    255 *
    (config['do_rescale'] === false ? 1 : isPositive(config['rescale_factor']) ? config['rescale_factor'] : 1 / 255);
  const offset = config['rescale_offset'] === true ? 1 : 0;
  // MobileViT's processor has no mean at all.
  const normalize = config['do_normalize'] === true || (config['do_normalize'] !== false && 'image_mean' in config);
  const mean = normalize ? (channels(config['image_mean']) ?? ([0.5, 0.5, 0.5] as const)) : ([0, 0, 0] as const);
  const std = normalize ? (channels(config['image_std']) ?? ([0.5, 0.5, 0.5] as const)) : ([1, 1, 1] as const);
  const scaled = (value: number, shift: number): number => (value + shift) / factor;
  return {
    size: [target.height, target.width],
    resizeShort: Math.max(resizeShort, Math.min(target.height, target.width)),
    interpolation: interpolationOf(config['resample']),
    crop: 'center',
    mean: [scaled(mean[0], offset), scaled(mean[1], offset), scaled(mean[2], offset)],
    std: [scaled(std[0], 0), scaled(std[1], 0), scaled(std[2], 0)],
  };
}

/**
 * Preprocessing from preprocessor_config.json, else from timm's part of config.json; undefined when
 * neither says.
 */
export function hubPreprocessing(preprocessor: unknown, config: unknown): Preprocessing | undefined {
  const timm = [preprocessor, config]
    .map((source) => (isObject(source) ? source['pretrained_cfg'] : undefined))
    .find(isObject);
  const found = (isObject(preprocessor) ? fromTransformers(preprocessor) : undefined) ?? (timm && fromTimm(timm));
  if (found === undefined || !found.std.every((value) => value > 0)) return undefined;
  return [...found.size, found.resizeShort].every(isSide) ? found : undefined;
}

/**
 * Class names from config.json (`id2label`, timm's `label_names`), in index order; undefined when
 * it has none of its own.
 */
export function hubLabels(config: unknown): readonly string[] | undefined {
  if (!isObject(config)) return undefined;
  const named = config['label_names'];
  if (Array.isArray(named) && named.every((name) => typeof name === 'string')) return named;
  const table = config['id2label'];
  if (!isObject(table)) return undefined;
  const count = Object.keys(table).length;
  const labels = Array.from({ length: count }, (_, i) => table[String(i)]);
  const own =
    labels.every((label): label is string => typeof label === 'string') &&
    !labels.every((label, i) => label === `LABEL_${i}`);
  return own && count > 0 ? labels : undefined;
}

/** Whether preprocessor_config.json says that blue comes first, as MobileViT's does. */
export const hubChannels = (preprocessor: unknown): 'bgr' | undefined =>
  isObject(preprocessor) && preprocessor['do_flip_channel_order'] === true ? 'bgr' : undefined;

/**
 * What a network of transformers is made for, if it gives neither classes nor features: its class's
 * name in config.json, such as `YolosForObjectDetection`.
 */
export function hubOtherTask(config: unknown): string | undefined {
  const names = isObject(config) && Array.isArray(config['architectures']) ? config['architectures'] : [];
  const others = /For\w*(Detection|Segmentation|DepthEstimation|ImageSuperResolution|PoseEstimation|CTC|Generation)$/;
  return names.find((name): name is string => typeof name === 'string' && others.test(name));
}

/** The architecture's name from config.json. */
export function hubArchitecture(config: unknown): string | undefined {
  if (!isObject(config)) return undefined;
  const { architecture, architectures, model_type: type } = config;
  if (typeof architecture === 'string') return architecture;
  if (typeof type === 'string') return type;
  return Array.isArray(architectures) && typeof architectures[0] === 'string' ? architectures[0] : undefined;
}
