import { checkDataset } from '../../data/check.js';
import { counted, list, openDataset, openImages } from '../../data/dataset.js';
import type { Sample } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import { Random } from '../../random.js';
import type { GapSettings } from './settings.js';

/** The images to compare, without labels and each content once. */
export interface GapImages {
  readonly train: readonly Sample[];
  readonly real: readonly Sample[];
  /** How many there were before `limit`. */
  readonly found: { readonly train: number; readonly real: number };
  /** What is odd, one line each. */
  readonly warnings: readonly string[];
}

/** Of equal contents the first. */
function distinct(samples: readonly Sample[]): Sample[] {
  const seen = new Set<string>();
  return samples.filter(({ hash }) => !seen.has(hash) && seen.add(hash).size > 0);
}

/** At most `limit` of them by a seeded choice, in their order. */
function choose<T>(items: readonly T[], limit: number, random: Random): T[] {
  if (items.length <= limit) return [...items];
  return random
    .shuffle(items.map((_, i) => i))
    .slice(0, limit)
    .sort((a, b) => a - b)
    .map((i) => items[i]!);
}

/**
 * Opens training and real images; nothing is decoded. Real images that are training images too are
 * left out: they are covered and say nothing. Throws `bad-data` when there are too few, and what
 * opening throws.
 */
export async function openGapImages(
  { data, real: paths, neighbours, limit, seed }: GapSettings,
  signal: AbortSignal | undefined,
): Promise<GapImages> {
  const [labelled, unlabelled] = [await openDataset(data, { signal }), await openImages(paths, { signal })];
  const warnings = [...labelled.notes];
  const left = (files: readonly { readonly path: string; readonly reason: string }[]): void => {
    if (files.length > 0)
      warnings.push(
        `skipped, unreadable: ${counted(files.length, 'file')}: ` +
          list(files.map(({ path, reason }) => `${path} (${reason})`)),
      );
  };
  left([...labelled.unreadable, ...unlabelled.unreadable]);
  const { dataset } = checkDataset(labelled);
  const anywhere = dataset.samples.filter(({ split }) => split === 'train');
  if (anywhere.length === 0)
    throw new PupilError(
      'bad-data',
      `${data}: no training images; give a folder with one subfolder per class, or with train/ above those`,
    );
  if (unlabelled.samples.length === 0)
    throw new PupilError('bad-data', `${paths.join(' ')}: no images there; give a folder, tar or manifest of images`, {
      option: 'real',
    });
  const train = distinct(anywhere),
    known = new Set(train.map(({ hash }) => hash));
  const different = distinct(unlabelled.samples);
  const real = different.filter(({ hash }) => !known.has(hash));
  const repeated = anywhere.length - train.length + unlabelled.samples.length - different.length;
  if (repeated > 0) warnings.push(`counted once: ${counted(repeated, 'image')} with the content of another one`);
  if (real.length < different.length) {
    warnings.push(
      `skipped, for they are training images too: ${counted(different.length - real.length, 'real image')}`,
    );
  }
  if (real.length === 0)
    throw new PupilError(
      'bad-data',
      `${paths.join(' ')}: every image there is a training image of ${data} too; give others, ` +
        'such as photos from real use',
      { option: 'real' },
    );
  const plain = (samples: readonly Sample[]): Sample[] => samples.map((sample) => ({ ...sample, label: -1 }));
  const images = {
    train: plain(choose(train, limit, new Random(seed, 'gap', 'train'))),
    real: plain(choose(real, limit, new Random(seed, 'gap', 'real'))),
    found: { train: train.length, real: real.length },
    warnings,
  };
  assertEnough(images.train.length, images.real.length, { data, real: paths, neighbours });
  return images;
}

/** Throws `bad-data` unless numbers can be made of so many images. */
export function assertEnough(
  train: number,
  real: number,
  { data, real: paths, neighbours }: Pick<GapSettings, 'data' | 'real' | 'neighbours'>,
): void {
  const least = Math.max(3, neighbours + 1);
  if (real < least) {
    throw new PupilError(
      'bad-data',
      `${paths.join(' ')}: ${counted(real, 'image')}, but at least ${least} are needed for ` +
        `\`neighbours: ${neighbours}\`; give more images or fewer neighbours`,
      { option: 'real' },
    );
  }
  if (train < 3)
    throw new PupilError(
      'bad-data',
      `${data}: ${counted(train, 'training image')}, but at least 3 are needed to measure a distance`,
    );
}
