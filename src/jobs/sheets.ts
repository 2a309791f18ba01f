/**
 * Contact sheets of what augmentation does: ops by magnitude, draws of a policy, mixed batches.
 * Each comes with its draws as plain data.
 */
import { hyphenated } from '../augment/names.js';
import { labelOf } from '../augment/mixed-label.js';
import { mixPixels, mixTargets, sampleMix, type Mix, type MixingSpec } from '../augment/mixing.js';
import { opNames, ops, type OpName } from '../augment/ops.js';
import { buildPipeline } from '../augment/pipeline.js';
import { evaluationPipeline, trainPipeline, type AugmentPolicy } from '../augment/presets.js';
import { applySign, fillOf, largest, magnitude, type ScaleName } from '../augment/policies/scales.js';
import type { Transform } from '../augment/transform.js';
import { counted } from '../data/words.js';
import { makePreprocessing } from '../data/preprocessing.js';
import { targetKey, toTarget, workingTarget } from '../data/target.js';
import { PupilError } from '../errors.js';
import { flipHorizontal, flipVertical } from '../image/crop.js';
import { imageOf, type Image } from '../image/image.js';
import { resize } from '../image/resize.js';
import { Random } from '../random.js';
import type { Sheet, SheetCell, SheetRow } from '../report/sheet.js';
import { valueText } from './value-text.js';

/** An image and how it is called on the sheet. */
export interface NamedImage {
  readonly name: string;
  readonly image: Image;
}

/** A sheet, and what its rows show as plain data. */
export interface Drawn<Row> {
  readonly sheet: Sheet;
  readonly rows: readonly Row[];
}

export interface OpCell {
  /** On the sheet's scale; null where the op takes none, and for the image before. */
  readonly magnitude: number | null;
  /** In the op's natural unit. */
  readonly value: number | null;
  readonly caption: string;
}

export interface OpRow {
  readonly image: string;
  readonly op: OpName | 'horizontalFlip' | 'verticalFlip';
  readonly cells: readonly OpCell[];
}

/** Ops are shown on images of this short side, at most twice as long. */
const shownShort = 128,
  shownLong = 256;

/**
 * The image at display size: smaller ones as they are, so that ops change the pixels that a network
 * would see.
 */
function atDisplaySize(image: Image): Image {
  const { width, height } = image;
  const scale = Math.min(1, shownShort / Math.min(width, height), shownLong / Math.max(width, height));
  const side = (length: number): number => Math.max(1, Math.round(length * scale));
  return once(image, 'display', () => resize(image, side(width), side(height)));
}

/** Images at the sizes at which sheets have shown them: a page draws the same ones again and again. */
const reduced = new WeakMap<Image, Map<string, Image>>();

function once(image: Image, size: string, make: () => Image): Image {
  const known = reduced.get(image) ?? new Map<string, Image>();
  reduced.set(image, known);
  const made = known.get(size) ?? make();
  known.set(size, made);
  return made;
}

const cellOf = (images: readonly Image[]): number =>
  Math.max(shownShort, ...images.map(({ width, height }) => Math.max(width, height)));

/** Magnitudes across a sheet: seven, or six on timm's shorter scales. */
export const magnitudesOf = (scale: ScaleName): readonly number[] =>
  largest[scale] === 30 ? [0, 5, 10, 15, 20, 25, 30] : [0, 2, 4, 6, 8, 10];

const wide = { width: 1000, height: 1000 };

/** Whether the op's value depends on the magnitude. */
const graded = (op: OpName): boolean => ops[op].unit !== 'none';

interface Shown {
  readonly row: OpRow;
  readonly images: readonly Image[];
}

/** One op at several magnitudes, on its positive side or (`negative`) on the other. */
function acrossMagnitudes(
  { name, image }: NamedImage,
  op: OpName,
  scale: ScaleName,
  magnitudes: readonly number[],
  negative = false,
): Shown {
  const images: Image[] = [],
    cells: OpCell[] = [];
  for (const m of magnitudes) {
    const { value: level } = magnitude(scale, op, m, image);
    const value = negative ? applySign(scale, op, level) : level;
    images.push(ops[op].apply(image, value, { sampling: 'nearest', fill: fillOf(scale) }));
    cells.push({ magnitude: m, value, caption: valueText(op, value) });
  }
  return { row: { image: name, op, cells }, images };
}

const cellsOf = ({ row, images }: Shown): SheetCell[] =>
  images.map((image, i) => ({ image, caption: row.cells[i]!.caption }));
const isSigned = (op: OpName, scale: ScaleName): boolean => magnitude(scale, op, largest[scale], wide).signed;
const header = (m: number): string => `M=${m}`;

/**
 * Every op down, magnitudes across; the ops without a magnitude and the flips fill the last rows.
 */
export function opsSheet({ name, image: original }: NamedImage, scale: ScaleName): Drawn<OpRow> {
  const image = atDisplaySize(original);
  const magnitudes = magnitudesOf(scale);
  const options = { sampling: 'nearest', fill: fillOf(scale) } as const;
  const rows: SheetRow[] = [],
    data: OpRow[] = [];
  for (const op of opNames.filter(graded)) {
    const shown = acrossMagnitudes({ name, image }, op, scale, magnitudes);
    rows.push({ label: isSigned(op, scale) ? `± ${hyphenated(op)}` : hyphenated(op), cells: cellsOf(shown) });
    data.push(shown.row);
  }
  const others: SheetCell[] = [];
  const other = (op: OpRow['op'], result: Image): void => {
    const caption = hyphenated(op);
    others.push({ image: result, caption });
    data.push({ image: name, op, cells: [{ magnitude: null, value: null, caption }] });
  };
  for (const op of opNames.filter((one) => !graded(one))) other(op, ops[op].apply(image, 0, options));
  other('horizontalFlip', flipHorizontal(image));
  other('verticalFlip', flipVertical(image));
  for (let at = 0; at < others.length; at += magnitudes.length) {
    rows.push({ label: at === 0 ? 'without magnitude' : undefined, cells: others.slice(at, at + magnitudes.length) });
  }
  return {
    sheet: {
      title: 'Every op by magnitude',
      subtitle:
        `${name}, shown at ${image.width} x ${image.height} pixels. Scale ${scale}; ` +
        'of ops marked ± policies draw the other side as often.',
      columns: magnitudes.map(header),
      rows,
      cell: cellOf([image]),
    },
    rows: data,
  };
}

/**
 * One op on some images: before and after at a magnitude, or across magnitudes; both sides where a
 * policy draws the sign. Throws `usage` for a magnitude beyond the scale, and for one of an op that
 * takes none.
 */
export function opSheet(images: readonly NamedImage[], op: OpName, scale: ScaleName, m?: number): Drawn<OpRow> {
  const title = hyphenated(op);
  if (m !== undefined && !graded(op))
    throw new PupilError('usage', `${title} takes no magnitude; leave \`magnitude\` out`, { option: 'magnitude' });
  if (m !== undefined && !(m >= 0 && m <= largest[scale])) {
    throw new PupilError(
      'usage',
      `magnitude ${m}: give 0 to ${largest[scale]} on the scale ${scale}` +
        (largest[scale] < 30 ? ' (paper and torchvision go to 30)' : ''),
    );
  }
  const shown = images.map(({ name, image }) => ({ name, image: atDisplaySize(image) }));
  const several = images.length > 1;
  const cell = cellOf(shown.map(({ image }) => image));
  const data: OpRow[] = [],
    rows: SheetRow[] = [];
  if (m !== undefined || !graded(op)) {
    const before: OpCell = { magnitude: null, value: null, caption: 'before' };
    for (const one of shown) {
      const sides = !graded(op) ? [] : isSigned(op, scale) ? [false, true] : [false];
      const after: { image: Image; cell: OpCell }[] = graded(op)
        ? sides
            .map((negative) => acrossMagnitudes(one, op, scale, [m!], negative))
            .map(({ row, images: [image] }) => ({ image: image!, cell: row.cells[0]! }))
        : [
            {
              image: ops[op].apply(one.image, 0, { sampling: 'nearest', fill: fillOf(scale) }),
              cell: { magnitude: null, value: null, caption: 'after' },
            },
          ];
      data.push({ image: one.name, op, cells: [before, ...after.map((result) => result.cell)] });
      rows.push({
        label: several ? one.name : undefined,
        cells: [
          { image: one.image, caption: before.caption },
          ...after.map((result) => ({ image: result.image, caption: result.cell.caption })),
        ],
      });
    }
  } else {
    for (const one of shown) {
      for (const negative of isSigned(op, scale) ? [false, true] : [false]) {
        const across = acrossMagnitudes(one, op, scale, magnitudesOf(scale), negative);
        data.push(across.row);
        rows.push({ label: several && !negative ? one.name : undefined, cells: cellsOf(across) });
      }
    }
  }
  const what = graded(op) ? `scale ${scale}${m === undefined ? '' : `, magnitude ${m}`}` : 'it takes no magnitude';
  return {
    sheet: {
      title,
      subtitle: several ? `${what[0]!.toUpperCase()}${what.slice(1)}` : `${images[0]!.name}; ${what}`,
      columns: m === undefined && graded(op) ? magnitudesOf(scale).map(header) : undefined,
      rows,
      cell,
    },
    rows: data,
  };
}

export interface PolicyOptions {
  /** The model's input size (default 224). */
  readonly size?: number;
  readonly seed?: number;
  /** Draws of each image. */
  readonly count: number;
  readonly flip?: boolean;
  /** Share of the draws in which a box is erased at the end. */
  readonly erase?: number;
}

/** A draw that can be replayed: each step's name and parameters. */
export interface PolicyDraw {
  readonly caption: string;
  readonly steps: readonly { readonly name: string; readonly parameters: unknown }[];
}

export interface PolicyRow {
  readonly image: string;
  readonly draws: readonly PolicyDraw[];
}

/**
 * Steps that bring images to the model's size; what they drew is told only where nothing follows
 * that matters more.
 */
const framing: ReadonlySet<string> = new Set([
  'resize',
  'resizeShort',
  'centreCrop',
  'resizedCentre',
  'randomResizedCrop',
]);

function drawOnce(
  image: Image,
  pipeline: readonly Transform[],
  random: Random,
  withFraming: boolean,
): PolicyDraw & { readonly result: Image } {
  const steps: { name: string; parameters: unknown }[] = [],
    captions: string[] = [];
  let result = image;
  for (const transform of pipeline) {
    const parameters = transform.sample(random, result);
    result = transform.apply(result, parameters);
    steps.push({ name: transform.name, parameters });
    if (withFraming || !framing.has(transform.name)) captions.push(hyphenated(transform.describe?.(parameters) ?? ''));
  }
  return { caption: captions.filter((text) => text !== '').join(', ') || 'unchanged', steps, result };
}

/**
 * What a policy's pictures share: the view for evaluation, and draws as training makes them of an
 * image at its working size.
 */
function policyDrawer(
  policy: AugmentPolicy,
  { size = 224, seed = 0, flip = true, erase = 0 }: Omit<PolicyOptions, 'count'>,
) {
  const preprocessing = makePreprocessing(size);
  const spec = trainPipeline(policy, preprocessing, { flip, erase });
  const pipeline = buildPipeline(spec),
    evaluation = buildPipeline(evaluationPipeline(preprocessing));
  const working = workingTarget(preprocessing);
  const plain = policy.steps.length === 0 && erase === 0;
  return {
    evaluated: (image: Image): Image =>
      once(image, `evaluated ${size}`, () => drawOnce(image, evaluation, new Random(0), false).result),
    draw: (image: Image, ...key: number[]) =>
      drawOnce(
        once(image, targetKey(working), () => toTarget(image, working)),
        pipeline,
        new Random(seed, 'augment sheet', ...key),
        plain,
      ),
  };
}

const shownSize = (size: number): number => Math.min(224, Math.max(112, size));
const chunks = <T>(items: readonly T[], length: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / length) }, (_, i) => items.slice(i * length, (i + 1) * length));

/**
 * Many draws of one image, or some of several (one row each), as a network of that size would see
 * them; first the view for evaluation.
 */
export function policySheet(
  images: readonly NamedImage[],
  policy: AugmentPolicy,
  options: PolicyOptions,
): Drawn<PolicyRow> {
  const { size = 224, seed = 0, count, erase = 0 } = options;
  const { evaluated, draw } = policyDrawer(policy, options);
  const drawn = images.map(({ name, image }, index) => {
    const draws = Array.from({ length: count }, (_, i) => draw(image, index, i));
    return {
      name,
      draws: draws.map(({ caption, steps }) => ({ caption, steps })),
      cells: [
        { image: evaluated(image), caption: 'as evaluated' },
        ...draws.map(({ result, caption }) => ({ image: result, caption })),
      ],
    };
  });
  const single = drawn.length === 1;
  const cells = drawn.flatMap((one) => one.cells);
  return {
    sheet: {
      title: `${policy.name}${erase > 0 ? `, erase ${erase}` : ''}`,
      subtitle:
        `${counted(count, 'draw')} of ${single ? drawn[0]!.name : 'each image'} at ${size} x ${size} pixels, ` +
        `seed ${seed}`,
      rows: single
        ? chunks(cells, Math.min(8, Math.ceil(Math.sqrt(cells.length)))).map((row) => ({ cells: row }))
        : drawn.map((one) => ({ label: one.name, cells: one.cells })),
      cell: shownSize(size),
    },
    rows: drawn.map(({ name, draws }) => ({ image: name, draws })),
  };
}

export interface LabelledImage extends NamedImage {
  /** Index of its class. */
  readonly label: number;
}

export interface MixingRow {
  /** How the batch was mixed; null: not at all. */
  readonly mix: Mix | null;
  readonly images: readonly {
    readonly image: string;
    readonly caption: string;
    readonly target: Readonly<Record<string, number>>;
  }[];
}

export interface MixingOptions extends PolicyOptions {
  /** Mixed batches, each of all images. */
  readonly batches: number;
  readonly classes: readonly string[];
}

/**
 * A batch as it is, and the same images (each augmented by the policy first) mixed several times,
 * with their mixed labels.
 */
export function mixingSheet(
  images: readonly LabelledImage[],
  spec: MixingSpec,
  policy: AugmentPolicy,
  { batches, classes, ...options }: Omit<MixingOptions, 'count'>,
): Drawn<MixingRow> {
  const { size = 224, seed = 0 } = options;
  const { evaluated, draw } = policyDrawer(policy, options);
  const count = images.length,
    bytes = size * size * 3;
  const rows: SheetRow[] = [],
    data: MixingRow[] = [];
  const add = (label: string, batch: readonly Image[], mix: Mix | null): void => {
    const pixels = new Uint8Array(count * bytes),
      targets = new Float32Array(count * classes.length);
    for (const [i, { data: own }] of batch.entries()) pixels.set(own, i * bytes);
    for (const [i, { label: own }] of images.entries()) targets[i * classes.length + own] = 1;
    if (mix !== null) {
      mixPixels(pixels, { width: size, height: size }, mix);
      mixTargets(targets, mix);
    }
    const captions = images.map((_, i) => labelOf({ targets, count }, i, classes));
    rows.push({
      label,
      cells: captions.map((caption, i) => ({
        image: imageOf(size, size, pixels.subarray(i * bytes, (i + 1) * bytes)),
        caption,
      })),
    });
    data.push({
      mix,
      images: images.map(({ name }, i) => ({
        image: name,
        caption: captions[i]!,
        target: Object.fromEntries(
          classes.map((own, c) => [own, targets[i * classes.length + c]!] as const).filter(([, share]) => share > 0),
        ),
      })),
    });
  };
  add(
    'as they are',
    images.map(({ image }) => evaluated(image)),
    null,
  );
  for (let batch = 0; batch < batches; batch++) {
    const mix = sampleMix(new Random(seed, 'augment sheet', 'mix', batch), spec, count, { width: size, height: size });
    add(
      mix === null ? 'not mixed' : `${mix.kind}\nlambda ${mix.lambda.toFixed(2)}`,
      images.map(({ image }, i) => draw(image, i, batch).result),
      mix,
    );
  }
  const { cutmix = 0, mixup = 0 } = spec;
  const names = [cutmix > 0 && `CutMix, alpha ${cutmix}`, mixup > 0 && `MixUp, alpha ${mixup}`];
  return {
    sheet: {
      title: names.filter(Boolean).join(' or '),
      subtitle:
        `${batches} ${batches === 1 ? 'batch' : 'batches'} of the same ${count} images at ${size} x ${size} pixels, ` +
        `one lambda for each; augment ${policy.name}; seed ${seed}`,
      rows,
      cell: shownSize(size),
    },
    rows: data,
  };
}
