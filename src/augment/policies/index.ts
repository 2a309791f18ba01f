/**
 * The policies: transforms that draw which ops to apply. A draw is a list of ops with values
 * (AugMix: chains of them), as JSON.
 */
import { augMix } from './aug-mix.js';
import { randAugment, trivialAugment } from './rand-augment.js';
import { autoAugment, randomChoice } from './sub-policies.js';
import { timmAugment } from './timm-augment.js';

/** Rows for the table of transforms. */
export const policyRows = { randAugment, autoAugment, trivialAugment, augMix, timmAugment, randomChoice } as const;

export { applySign, largest, magnitude, opsOf, scaleNames, type Magnitude, type ScaleName } from './scales.js';
export type { Drawn } from './draw.js';
export type { MixDraw } from './aug-mix.js';
