import { PupilError } from '../../errors.js';
import { commandOf, quote } from '../../options/command.js';
import { searchOptions, type SearchOptions, type SearchRequest } from '../../options/jobs.js';
import { isFrozen, savedOptions } from '../../options/option.js';
import { searching } from '../../options/recipes.js';

export type { SearchOptions } from '../../options/jobs.js';
export type Space = NonNullable<SearchRequest['space']>;

/**
 * The same with every default of the search filled in; those of the training are filled in by
 * `resolveSettings`.
 */
export interface SearchSettings extends Omit<SearchOptions, 'space' | 'halving' | 'eta' | 'minEpochs' | 'seed'> {
  readonly space: Space;
  readonly halving: boolean;
  readonly eta: number;
  readonly minEpochs: number;
  readonly seed: number;
  /** Where the data lies, when it came from a path. */
  readonly data: string | undefined;
}

const onlyFor = { n: 'grid', m: 'grid', scale: 'grid', candidates: 'policies' } as const;

/** Fills in the defaults. Throws `usage` for impossible values and what does not go together. */
export function resolveSearch(data: string | undefined, given: SearchOptions): SearchSettings {
  const options = savedOptions(searchOptions, given);
  const { space = 'grid', seed = 0, halving = true, eta = searching.eta, minEpochs = searching.minEpochs } = options;
  for (const [name, belongs] of Object.entries(onlyFor)) {
    if (space !== belongs && options[name as keyof typeof onlyFor] !== undefined) {
      throw new PupilError(
        'usage',
        `\`${name}\` belongs to \`space: ${belongs}\`, not to \`space: ${space}\`; leave one of them out`,
        { option: name },
      );
    }
  }
  const ofHalving = (['eta', 'minEpochs'] as const).find((name) => !halving && options[name] !== undefined);
  if (ofHalving !== undefined) {
    throw new PupilError('usage', `\`${ofHalving}\` has no use without \`halving\`; leave it out`, {
      option: ofHalving,
    });
  }
  if (isFrozen(options.mode)) {
    throw new PupilError(
      'usage',
      `\`mode: ${options.mode}\` trains the last layer on features of the images as they are, where augmentation ` +
        'has no part; ' +
        'search with `mode: finetune` or `mode: scratch`',
      { option: 'mode' },
    );
  }
  const common = { data, ...options, space, seed, halving, eta, minEpochs };
  if (space === 'policies') return { ...common, candidates: options.candidates ?? searching.candidates };
  const { n = searching.n, m = searching.m, scale = searching.scale } = options;
  return { ...common, n, m, scale };
}

/** The command line that trains as the search did, with a policy of its choice. */
export const trainCommand = ({ data, minutes: _, ...settings }: SearchSettings, policy: string): string =>
  `${commandOf('train', data, settings)} --augment ${quote(policy)}`;
