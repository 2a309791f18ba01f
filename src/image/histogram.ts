import type { Image } from './image.js';

export const autoContrast = (image: Image): Image => image;
export const equalize = (image: Image): Image => image;
