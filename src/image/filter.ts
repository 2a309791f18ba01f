import type { Image } from './image.js';

export const sharpness = (image: Image, factor: number): Image => (factor === 1 ? image : image);
export const gaussianBlur = (image: Image, sigma: number, kernelSize?: number): Image => (sigma === 0 || kernelSize === 0 ? image : image);
