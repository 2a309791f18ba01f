import type { InferenceRule } from '../inference.js';

/** Types and shapes of the ops of the domain `pupil`. */
export const gradientOpRules: ReadonlyMap<string, InferenceRule> = new Map<string, InferenceRule>([]);
