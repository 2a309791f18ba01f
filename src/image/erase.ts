import type { Random } from '../random.js';
import type { Colour, Image } from './image.js';
import type { Box } from './resize.js';

export const erase = (image: Image, box: Box, fill: Colour | { readonly noise: Random }): Image => (box.width === 0 && fill ? image : image);
