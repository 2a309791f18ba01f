/**
 * The named transforms and pipelines of them. A pipeline is plain data, so that it can be sent to
 * workers and saved with a run.
 */
import * as v from 'valibot';
import { PupilError } from '../errors.js';
import type { Sampling } from '../image/affine.js';
import type { Colour, Image } from '../image/image.js';
import type { Random } from '../random.js';
import { colourRows } from './colour.js';
import { erasingRows } from './erasing.js';
import { geometryRows } from './geometry.js';
import { findName } from './names.js';
import { opNames, ops, type OpName } from './ops.js';
import * as option from './options.js';
import { policyRows } from './policies/index.js';
import { applyEach, describeDraw, row, withProbability, type Transform, type TransformRow } from './transform.js';

/** Options of the transform that an op makes: its value is uniform in `range`. */
interface OpTransformOptions {
  /** In the op's unit; default the op's own. */
  readonly range?: readonly [low: number, high: number];
  readonly probability?: number;
  readonly sampling?: Sampling;
  readonly fill?: Colour;
}

const black: Colour = [0, 0, 0];

/**
 * The transform of an op. Ops without a value take no range, those that move no pixels neither
 * sampling nor fill.
 */
function opRow(
  name: OpName,
): TransformRow<v.GenericSchema<OpTransformOptions, OpTransformOptions & { probability: number }>> {
  const op = ops[name];
  const bound = op.whole ? option.wholeFrom(...op.limits, op.phrase) : option.numberFrom(...op.limits, op.phrase);
  const value: v.ObjectEntries = op.unit === 'none' ? {} : { range: v.optional(option.rangeOf(bound)) };
  const geometry: v.ObjectEntries = op.geometric ? { sampling: option.sampling, fill: option.fillOf(black) } : {};
  const schema = v.strictObject({ ...value, probability: option.probability(1), ...geometry });
  return row(
    schema as v.GenericSchema<OpTransformOptions, OpTransformOptions & { probability: number }>,
    ({ range, probability, sampling = 'bilinear', fill = black }) =>
      withProbability(probability, {
        name,
        sample(random, size) {
          if (op.unit === 'none') return 0;
          const [low, high] = range ?? op.range(size);
          return op.whole ? low + random.integer(high - low + 1) : random.between(low, high);
        },
        apply: (image, value: number) => op.apply(image, value, { sampling, fill }),
        describe: op.describe,
      }),
  );
}

const opRows = Object.fromEntries(opNames.map((name) => [name, opRow(name)])) as Record<
  OpName,
  ReturnType<typeof opRow>
>;

/** Every transform by name; a new one is one more row. */
export const transforms = { ...geometryRows, ...opRows, ...colourRows, ...erasingRows, ...policyRows } as const;

type Table = typeof transforms;
export type TransformName = keyof Table;

type DeepReadonly<T> = T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> } : T;

/** One step of a pipeline: a transform's name with its options. */
export type TransformSpec = {
  [Name in TransformName]: { readonly name: Name } & DeepReadonly<v.InferInput<Table[Name]['options']>>;
}[TransformName];

/** Steps in order, as plain data. */
export type PipelineSpec = readonly TransformSpec[];

export type Pipeline = readonly Transform[];

const names = Object.keys(transforms) as TransformName[];
const aliases: Readonly<Record<string, TransformName>> = {
  centercrop: 'centreCrop',
  colorjitter: 'colourJitter',
  colour: 'color',
  saturation: 'color',
  greyscale: 'grayscale',
  flip: 'horizontalFlip',
};

/** A transform's name from any case or hyphenation; throws `usage` with the nearest name. */
export const findTransform = (name: string): TransformName => findName(name, names, 'transform', aliases);

/**
 * Builds the transforms of a pipeline from its steps or from JSON. Throws `usage` in one line for a
 * step, name or option that is wrong: `step 2 (rotate): range[1] is 400: give degrees from -180 to
 * 180`.
 */
export function buildPipeline(spec: PipelineSpec): Pipeline {
  return readSteps(spec).map(({ row: { make }, options }) => make(options));
}

/** Plain JSON as a pipeline, every name in full; throws as `buildPipeline` does. */
export function readPipeline(spec: unknown): PipelineSpec {
  return readSteps(spec).map(({ name, given }) => ({ ...given, name }) as TransformSpec);
}

function readSteps(spec: unknown) {
  if (!Array.isArray(spec))
    throw new PupilError('usage', 'a pipeline is a list of steps such as [{"name": "rotate", "range": [-15, 15]}]');
  return (spec as unknown[]).map((step, i) => {
    const where = `step ${i + 1}`;
    if (typeof step !== 'object' || step === null || !('name' in step) || typeof step.name !== 'string') {
      throw new PupilError('usage', `${where}: give an object with a name, such as {"name": "rotate"}`);
    }
    const { name: called, ...given } = step;
    let name: TransformName;
    try {
      name = findTransform(called);
    } catch (error) {
      throw error instanceof PupilError ? new PupilError('usage', `${where}: ${error.message}`) : error;
    }
    const row = transforms[name] as TransformRow;
    return { name, given, row, options: option.readOptions(row.options, given, `${where} (${name})`) };
  });
}

/**
 * The image after every step, each drawing its parameters from `random` in turn; `draws` collects
 * them. The given image is not changed; the result is the caller's, and is the given image itself
 * where nothing was to be done.
 */
export function runPipeline(pipeline: Pipeline, image: Image, random: Random, draws?: unknown[]): Image {
  return applyEach(image, pipeline, (transform, size) => {
    const parameters = transform.sample(random, size);
    draws?.push(parameters);
    return parameters;
  });
}

/** The image after every step with the parameters that `runPipeline` collected. */
export const replayPipeline = (pipeline: Pipeline, image: Image, draws: readonly unknown[]): Image =>
  applyEach(image, pipeline, (_, __, i) => draws[i]);

/** What `draws` did, step by step, without the steps that were not applied. */
export const describeDraws = (pipeline: Pipeline, draws: readonly unknown[]): string[] =>
  pipeline.map((transform, i) => describeDraw(transform, draws[i])).filter((text) => text !== '');
