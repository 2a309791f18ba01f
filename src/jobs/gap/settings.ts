import type { AugmentPolicy } from '../../augment/policy.js';
import { PupilError } from '../../errors.js';
import { isBuiltIn } from '../../models/index.js';
import { gapMeasure } from '../../options/recipes.js';
import type { GapOptions } from '../../options/tools.js';
import { readPolicy } from '../../runs/augmentation.js';

export type { GapOptions } from '../../options/tools.js';

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

/**
 * Fills in the defaults. Throws `usage` for what is missing or impossible, `not-found` for a
 * missing policy file.
 */
export async function resolveGap(data: string, options: GapOptions): Promise<GapSettings> {
  const {
    real = [],
    model,
    augment = gapMeasure.augment,
    draws = gapMeasure.draws,
    flip = true,
    neighbours = gapMeasure.neighbours,
    top = gapMeasure.top,
    limit = gapMeasure.limit,
    seed = 0,
  } = options;
  if (real.length === 0) {
    throw new PupilError(
      'usage',
      'gap needs `real`: images as they are met in real use (a folder, tar or manifest; labels are not needed)',
      { option: 'real' },
    );
  }
  if (limit <= neighbours)
    throw new PupilError(
      'usage',
      `\`limit: ${limit}\`: too few images for \`neighbours: ${neighbours}\`; give at least ${neighbours + 1}`,
      { option: 'limit' },
    );
  if (model !== undefined && isBuiltIn(model)) {
    throw new PupilError(
      'usage',
      `\`model: ${model}\`: a built-in network has no trained weights, so its features mean little; ` +
        'give a run folder, an ONNX file or hf:owner/repo',
      { option: 'model' },
    );
  }
  const policies = await Promise.all(['none', ...augment].map((policy) => readPolicy(policy, 'augment')));
  const different = policies.filter(({ name }, i) => policies.findIndex((other) => other.name === name) === i);
  return { data, real, model, policies: different, draws, flip, neighbours, top, limit, seed };
}
