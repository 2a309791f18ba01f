/**
 * What a magnitude of an op means, by publication. `torchvision`: 31 bins, 0 to 30. `paper`: the
 * authors' TensorFlow code, in tenths and not clipped at ten. `timm` and `timm-increasing` (its
 * `inc1`): in tenths, at most ten.
 */
export const scaleNames = ['torchvision', 'paper', 'timm', 'timm-increasing'] as const;
export type ScaleName = (typeof scaleNames)[number];
