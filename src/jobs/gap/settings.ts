import type { AugmentPolicy } from '../../augment/policy.js';
import { PupilError } from '../../errors.js';
import { isBuiltIn } from '../../models/index.js';
import { readPolicy } from '../../runs/augmentation.js';

/** What `gap` can be told. */
export interface GapOptions {
  /** Folders, archives or manifests of real images; labels there are ignored. */
  readonly real?: readonly string[];
  /** Whose features are compared: an ONNX file, a run folder or `hf:owner/repo[/file]`. */
  readonly model?: string;
  /** Policies in any form that `--augment` of a training takes; none is always measured as well. */
  readonly augment?: readonly string[];
  /**
   * How often each training image is augmented; default 2. Numbers are means over draws of one
   * image each.
   */
  readonly draws?: number;
  /** Whether a policy's mirror images are made; default true. */
  readonly flip?: boolean;
  /** The k of coverage and density; default 5. */
  readonly neighbours?: number;
  /** How many of the least covered real images are named; default 12. */
  readonly top?: number;
  /** Images of each side that are used at most, a seeded choice; default 2,000. */
  readonly limit?: number;
  readonly out?: string;
  readonly seed?: number;
  readonly engine?: string;
  readonly threads?: number;
  readonly workers?: number;
  readonly head?: string;
  readonly normalize?: string;
  readonly size?: number;
  readonly signal?: AbortSignal;
}

/** The same with every default filled in, as `run.json` keeps it. */
export interface GapSettings {
  readonly data: string;
  readonly real: readonly string[];
  readonly model: string | undefined;
  /** None first. */
  readonly policies: readonly AugmentPolicy[];
  readonly draws: number;
  readonly flip: boolean;
  readonly neighbours: number;
  readonly top: number;
  readonly limit: number;
  readonly seed: number;
}

/** Policies that are measured unless others are named. */
export const usualPolicies: readonly string[] = ['light', 'basic', 'randaugment:n=2,m=9', 'trivial'];

/**
 * Fills in the defaults. Throws `usage` for what is missing or impossible, `not-found` for a
 * missing policy file.
 */
export async function resolveGap(data: string, options: GapOptions): Promise<GapSettings> {
  const {
    real = [],
    model,
    augment = usualPolicies,
    draws = 2,
    flip = true,
    neighbours = 5,
    top = 12,
    limit = 2000,
    seed = 0,
  } = options;
  if (real.length === 0) {
    throw new PupilError(
      'usage',
      'gap needs --real P: images as they are met in real use (a folder, tar or manifest; labels are not needed)',
    );
  }
  for (const [name, value, least] of [
    ['draws', draws, 1],
    ['neighbours', neighbours, 1],
    ['top', top, 0],
    ['limit', limit, 3],
  ] as const) {
    if (!(Number.isInteger(value) && value >= least))
      throw new PupilError('usage', `--${name} ${value}: give a whole number, ${least} or more`);
  }
  if (limit <= neighbours)
    throw new PupilError(
      'usage',
      `--limit ${limit}: too few images for --neighbours ${neighbours}; give at least ${neighbours + 1}`,
    );
  if (model !== undefined && isBuiltIn(model)) {
    throw new PupilError(
      'usage',
      `--model ${model}: a built-in network has no trained weights, so its features mean little; give a run folder, an ONNX file or hf:owner/repo`,
    );
  }
  const policies = await Promise.all(['none', ...augment].map(readPolicy));
  const different = policies.filter(({ name }, i) => policies.findIndex((other) => other.name === name) === i);
  return { data, real, model, policies: different, draws, flip, neighbours, top, limit, seed };
}
