import type { ScaleName } from '../../augment/policies/scales.js';
import { PupilError } from '../../errors.js';
import { flagOf } from '../../options/flag.js';
import type { TrainOptions } from '../../runs/settings.js';

export type Space = 'grid' | 'policies';

/** What `search` can be told: how to search, and how to train, which is the same for every cell. */
export interface SearchOptions extends Omit<TrainOptions, 'augment' | 'patience'> {
  /** Default grid. */
  readonly space?: Space;
  /** RandAugment's numbers of ops; default 1, 2, 3. */
  readonly n?: readonly number[];
  /** RandAugment's magnitudes; default 3, 9, 15. */
  readonly m?: readonly number[];
  /** What magnitudes mean; default torchvision. */
  readonly scale?: ScaleName;
  /** How many policies are drawn; default 16. */
  readonly candidates?: number;
  /** Trainings of each cell in each rung; default 2, or one per fold when labels are few. */
  readonly seeds?: number;
  /** Stop hopeless cells early; default true. */
  readonly halving?: boolean;
  /** One in so many cells goes on to the next rung; default 3. */
  readonly eta?: number;
  /** Epochs of the shortest rung at least; default 2. */
  readonly minEpochs?: number;
}

/**
 * The same with every default of the search filled in; those of the training are filled in by
 * `resolveSettings`.
 */
export interface SearchSettings
  extends
    Omit<SearchOptions, 'space' | 'halving' | 'eta' | 'minEpochs' | 'seed'>,
    Required<Pick<SearchOptions, 'space' | 'halving' | 'eta' | 'minEpochs' | 'seed'>> {
  /** Where the data lies, when it came from a path. */
  readonly data: string | undefined;
}

const onlyFor = { n: 'grid', m: 'grid', scale: 'grid', candidates: 'policies' } as const;

/** Fills in the defaults. Throws `usage` for what does not go together. */
export function resolveSearch(
  data: string | undefined,
  { signal: _, out: __, resume: ___, ...options }: SearchOptions,
): SearchSettings {
  const space = options.space ?? 'grid';
  for (const [name, belongs] of Object.entries(onlyFor)) {
    if (space !== belongs && options[name as keyof typeof onlyFor] !== undefined) {
      throw new PupilError(
        'usage',
        `--${name} belongs to --space ${belongs}, not to --space ${space}; leave one of them out`,
      );
    }
  }
  if (options.mode === 'probe') {
    throw new PupilError(
      'usage',
      '--mode probe fits a head on features of images as they are, where augmentation has no part; search with --mode finetune or scratch',
    );
  }
  for (const [name, value, least] of [
    ['seeds', options.seeds, 1],
    ['eta', options.eta, 2],
    ['min-epochs', options.minEpochs, 1],
  ] as const) {
    if (value !== undefined && !(Number.isInteger(value) && value >= least))
      throw new PupilError('usage', `--${name} ${value}: give a whole number, ${least} or more`);
  }
  const common = {
    data,
    ...options,
    space,
    seed: options.seed ?? 0,
    halving: options.halving ?? true,
    eta: options.eta ?? 3,
    minEpochs: options.minEpochs ?? 2,
  };
  return space === 'grid'
    ? { ...common, n: options.n ?? [1, 2, 3], m: options.m ?? [3, 9, 15], scale: options.scale ?? 'torchvision' }
    : { ...common, candidates: options.candidates ?? 16 };
}

/** Options of the search itself, which `train` does not know. */
const ownOptions: ReadonlySet<string> = new Set<keyof SearchSettings | 'json'>([
  'data',
  'json',
  'space',
  'n',
  'm',
  'scale',
  'candidates',
  'seeds',
  'halving',
  'eta',
  'minEpochs',
  'minutes',
  'out',
  'resume',
  'signal',
  'workers',
  'cacheMemory',
  'threads',
  'losses',
]);

const quote = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The command line that trains as the search did, with a policy of its choice. */
export function trainCommand(settings: SearchSettings, policy: string): string {
  const words = ['pupil', 'train', settings.data ?? 'DATA'];
  for (const [name, value] of Object.entries(settings) as [string, unknown][]) {
    if (value === undefined || ownOptions.has(name) || (name === 'seed' && value === 0)) continue;
    const flag = flagOf(name);
    if (value === false) words.push(flag.replace('--', '--no-'));
    else if (value === true) words.push(flag);
    else for (const item of Array.isArray(value) ? value : [value]) words.push(flag, String(item));
  }
  return [...words, '--augment', policy].map(quote).join(' ');
}
