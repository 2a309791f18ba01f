import * as v from 'valibot';
import { PupilError } from '../errors.js';
import { affine, affineMatrix } from '../image/affine.js';
import { centreCrop, crop, flipHorizontal, flipVertical } from '../image/crop.js';
import type { Box, Image, Size } from '../image/image.js';
import { perspective, perspectiveCoefficients } from '../image/perspective.js';
import { cropReflected } from '../image/reflect.js';
import { resizedCentre } from '../image/resized-centre.js';
import { resize, resizeShort, shortSideSize, type Interpolation } from '../image/resize.js';
import type { Random } from '../random.js';
import { drawBoxSize, placeBox } from './box.js';
import * as option from './options.js';
import { fixed, row, withProbability, type Transform } from './transform.js';

const { pixels, interpolation, sampling, probability } = option;
const black = [0, 0, 0] as const;

type Range = readonly [low: number, high: number];

/**
 * 400 MB of pixels: longer sides than that come from a strip of an image that was meant to be
 * cropped.
 */
const tooManyPixels = 2 ** 27;

function resizeShortWithin(image: Image, size: number, kind: Interpolation): Image {
  const { width, height } = shortSideSize(image, size);
  if (width * height > tooManyPixels) {
    throw new PupilError(
      'bad-data',
      `resize-short: an image of ${image.width}x${image.height} would become ${width}x${height}; crop it first`,
    );
  }
  return resizeShort(image, size, kind);
}

/**
 * The box of a random crop, as torchvision's `RandomResizedCrop` draws it; `ratio` is width over
 * height.
 */
function drawCrop(random: Random, image: Size, scale: Range, ratio: Range): Box {
  const fits = ({ width, height }: Size): boolean =>
    width > 0 && width <= image.width && height > 0 && height <= image.height;
  const size = drawBoxSize(random, image, { scale, ratio, ratioOf: 'width' }, fits);
  if (size !== undefined) return placeBox(random, image, size);
  // No box fitted: the largest central one whose aspect ratio is allowed.
  const aspect = image.width / image.height;
  const width = aspect > ratio[1] ? Math.max(1, Math.round(image.height * ratio[1])) : image.width;
  const height = aspect < ratio[0] ? Math.max(1, Math.round(image.width / ratio[0])) : image.height;
  return { left: Math.floor((image.width - width) / 2), top: Math.floor((image.height - height) / 2), width, height };
}

/** A flip is drawn as true or, where it is not applied, null. */
const flip = (name: string, apply: (image: Image) => Image): Transform<true | null> => ({
  name,
  sample: () => true,
  apply,
});

const angle = option.spreadWithin(180, 'degrees');
/** Shears beyond 80 degrees are lines. */
const shearAngle = option.numberFrom(-80, 80, 'degrees');
const share = option.share;

/** Transforms that move pixels, by name. */
export const geometryRows = {
  /** To exactly width x height, whatever the aspect ratio. */
  resize: row(
    v.strictObject({ width: pixels, height: pixels, interpolation }),
    ({ width, height, interpolation: kind }) => fixed('resize', (image) => resize(image, width, height, kind)),
  ),
  /** The short side to `size` pixels (torchvision's `Resize(int)`). */
  resizeShort: row(v.strictObject({ size: pixels, interpolation }), ({ size, interpolation: kind }) =>
    fixed('resizeShort', (image) => resizeShortWithin(image, size, kind)),
  ),
  /** The central width x height pixels; smaller images are padded with black. */
  centreCrop: row(v.strictObject({ width: pixels, height: pixels }), ({ width, height }) =>
    fixed('centreCrop', (image) => centreCrop(image, width, height)),
  ),
  /** `resizeShort` and `centreCrop` in one: what models are evaluated on. */
  resizedCentre: row(
    v.strictObject({ short: pixels, width: pixels, height: pixels, interpolation }),
    ({ short, width, height, interpolation: kind }) =>
      fixed('resizedCentre', (image) => resizedCentre(image, short, width, height, kind)),
  ),
  /**
   * A box of random area and aspect ratio, resized (Szegedy et al. 2014; as torchvision's
   * `RandomResizedCrop`).
   */
  randomResizedCrop: row(
    v.strictObject({
      width: pixels,
      height: pixels,
      /** Share of the image's area, uniform. */
      scale: v.optional(option.rangeOf(share), [0.08, 1]),
      /** Width over height of the box, log-uniform. */
      ratio: v.optional(option.rangeOf(option.numberFrom(0.01, 100)), [3 / 4, 4 / 3]),
      interpolation,
    }),
    ({ width, height, scale, ratio, interpolation: kind }) => ({
      name: 'randomResizedCrop',
      sample: (random, image): Box => drawCrop(random, image, scale, ratio),
      apply: (image: Image, box: Box) => resize(image, width, height, kind, box),
      describe: ({ left, top, width: w, height: h }: Box) => `crop ${w}x${h} at ${left},${top}`,
    }),
  ),
  /**
   * Every side padded and width x height (default: the image's own size) cropped at a random place
   * (He et al. 2015 on CIFAR; reflected in FixMatch's weak augmentation, Sohn et al. 2020).
   */
  padAndCrop: row(
    v.strictObject({
      /** Whole pixels, or below 1 a share of each side. */
      pad: v.optional(
        v.pipe(
          v.number('give whole pixels, or a share of the side below 1'),
          v.check(
            (x) => x >= 0 && x <= 10_000 && (x < 1 || Number.isInteger(x)),
            'give whole pixels, or a share of the side below 1',
          ),
        ),
        4,
      ),
      width: v.optional(pixels),
      height: v.optional(pixels),
      fill: v.optional(
        v.union([v.literal('reflect'), option.colour], 'give "reflect" or [red, green, blue], each from 0 to 255'),
        [...black],
      ),
    }),
    ({ pad, width, height, fill }) => ({
      name: 'padAndCrop',
      sample(random, image) {
        const padX = pad < 1 ? Math.floor(pad * image.width) : pad,
          padY = pad < 1 ? Math.floor(pad * image.height) : pad;
        const left = random.integer(Math.max(0, image.width + 2 * padX - (width ?? image.width)) + 1) - padX;
        const top = random.integer(Math.max(0, image.height + 2 * padY - (height ?? image.height)) + 1) - padY;
        return { left, top };
      },
      apply(image: Image, { left, top }: { left: number; top: number }) {
        const box = { left, top, width: width ?? image.width, height: height ?? image.height };
        if (left === 0 && top === 0 && box.width === image.width && box.height === image.height) return image;
        return fill === 'reflect' ? cropReflected(image, box) : crop(image, box, fill);
      },
      describe: ({ left, top }) => `shift ${-left + 0},${-top + 0} px`,
    }),
  ),
  horizontalFlip: row(v.strictObject({ probability: probability(0.5) }), ({ probability: p }) =>
    withProbability(p, flip('horizontalFlip', flipHorizontal)),
  ),
  verticalFlip: row(v.strictObject({ probability: probability(0.5) }), ({ probability: p }) =>
    withProbability(p, flip('verticalFlip', flipVertical)),
  ),
  /**
   * Rotation, shift, scale and shear about the centre at once, drawn and applied as torchvision's
   * `RandomAffine`.
   */
  affine: row(
    v.strictObject({
      degrees: v.optional(angle, 0),
      /** Largest shift as shares of width and height. */
      translate: v.optional(v.strictTuple([share, share], 'give [share of the width, share of the height]'), [0, 0]),
      scale: v.optional(option.rangeOf(option.numberFrom(0.01, 100)), [1, 1]),
      /** Degrees along x, or [low x, high x, low y, high y]. */
      shear: v.optional(
        v.union(
          [option.spreadWithin(80, 'degrees'), v.strictTuple([shearAngle, shearAngle, shearAngle, shearAngle])],
          'give degrees from 0 to 80, [low, high], or [low x, high x, low y, high y], within 80 of 0',
        ),
        0,
      ),
      probability: probability(1),
      sampling,
      fill: option.fillOf(black),
    }),
    ({ degrees, translate, scale, shear, probability: p, sampling: kind, fill }) =>
      withProbability(p, {
        name: 'affine',
        sample(random, { width, height }) {
          const shift = (limit: number): number => Math.round(random.between(-limit, limit)) + 0; // + 0: never -0
          return {
            angle: random.between(degrees[0], degrees[1]),
            translate: [shift(translate[0] * width), shift(translate[1] * height)] as [number, number],
            scale: random.between(scale[0], scale[1]),
            shear: [
              random.between(shear[0], shear[1]),
              shear.length === 4 ? random.between(shear[2], shear[3]) : 0,
            ] as [number, number],
          };
        },
        apply: (image, drawn) => affine(image, affineMatrix(drawn, image), kind, fill),
        describe: ({ angle: turned, translate: [x, y], scale: scaled, shear: [shearX, shearY] }) =>
          [
            'affine',
            ...(turned === 0 ? [] : [`${turned.toPrecision(3)}°`]),
            ...(x === 0 && y === 0 ? [] : [`${x},${y} px`]),
            ...(scaled === 1 ? [] : [`x${scaled.toPrecision(3)}`]),
            ...(shearX === 0 && shearY === 0 ? [] : [`shear ${shearX.toPrecision(3)}°,${shearY.toPrecision(3)}°`]),
          ].join(' '),
      }),
  ),
  /**
   * The corners moved inwards, each by up to `distortion` of half a side (torchvision's
   * `RandomPerspective`).
   */
  perspective: row(
    v.strictObject({
      distortion: v.optional(share, 0.5),
      probability: probability(0.5),
      sampling,
      fill: option.fillOf(black),
    }),
    ({ distortion, probability: p, sampling: kind, fill }) =>
      withProbability(p, {
        name: 'perspective',
        /** Where the corners go: top left, top right, bottom right, bottom left. */
        sample(random, { width, height }): [number, number][] {
          const x = Math.trunc(distortion * Math.floor(width / 2)),
            y = Math.trunc(distortion * Math.floor(height / 2));
          const near = (reach: number): number => random.integer(reach + 1);
          const far = (side: number, reach: number): number => side - reach - 1 + random.integer(reach + 1);
          return [
            [near(x), near(y)],
            [far(width, x), near(y)],
            [far(width, x), far(height, y)],
            [near(x), far(height, y)],
          ];
        },
        apply(image, corners) {
          const right = image.width - 1,
            bottom = image.height - 1;
          if (right === 0 || bottom === 0) return image; // a line has no corners to move
          const coefficients = perspectiveCoefficients(
            [
              [0, 0],
              [right, 0],
              [right, bottom],
              [0, bottom],
            ],
            corners,
          );
          return coefficients.every(Number.isFinite) ? perspective(image, coefficients, kind, fill) : image;
        },
      }),
  ),
} as const;
