import { brightness, contrast, saturation } from '../image/colour.js';
import type { Image } from '../image/image.js';
import type { Transform } from './transform.js';

const enhance = (name: string, kernel: (image: Image, factor: number) => Image) =>
  ({ amount }: { amount: number }): Transform<number> => ({
    name,
    sample: (random) => random.between(Math.max(0, 1 - amount), 1 + amount),
    apply: (image, factor) => (factor === 1 ? image : kernel(image, factor)),
  });

/** Brightness by a factor uniform in [1 - amount, 1 + amount]. */
export const brightnessJitter = enhance('brightnessJitter', brightness);

/** Contrast by a factor uniform in [1 - amount, 1 + amount]. */
export const contrastJitter = enhance('contrastJitter', contrast);

/** Saturation by a factor uniform in [1 - amount, 1 + amount]. */
export const saturationJitter = enhance('saturationJitter', saturation);

/** Brightness, contrast and saturation together, in a random order (torchvision's `ColorJitter` without hue). */
export const colourJitter = (
  { brightness: b = 0, contrast: c = 0, saturation: s = 0 }: { brightness?: number; contrast?: number; saturation?: number },
): Transform<readonly { readonly index: number; readonly factor: number }[]> => {
  const parts = [brightnessJitter({ amount: b }), contrastJitter({ amount: c }), saturationJitter({ amount: s })];
  return {
    name: 'colourJitter',
    sample: (random, size) => random.shuffle([0, 1, 2]).map((index) => ({ index, factor: parts[index]!.sample(random, size) })),
    apply: (image, steps) => steps.reduce((result, { index, factor }) => parts[index]!.apply(result, factor), image),
  };
};
