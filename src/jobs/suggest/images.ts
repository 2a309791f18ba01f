import { openDataset, openImages } from '../../data/dataset.js';
import type { Sample, Unreadable } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import { distinct } from '../images.js';

/** Images to choose from, and those that are labelled already. */
export interface SuggestImages {
  /** Without a label, each content once. */
  readonly candidates: readonly Sample[];
  /** All that have labels, in any split. */
  readonly given: readonly Sample[];
  /** Those to learn from, each content once. */
  readonly labelled: readonly Sample[];
  /** Those of the labelled images; none where no data is given. */
  readonly classes: readonly string[];
  /** Images of the folder that are in the labelled data, too. */
  readonly known: number;
  /** Images of the folder with the content of another one. */
  readonly repeated: number;
  readonly unreadable: readonly Unreadable[];
}

/**
 * Opens the images; nothing is decoded. Labels in the folder itself count for nothing. Throws
 * `bad-data` where none is left to label, or fewer than `count` are.
 */
export async function openSuggestImages(
  source: string,
  data: string | undefined,
  count: number,
  signal: AbortSignal | undefined,
): Promise<SuggestImages> {
  const { samples, unreadable } = await openImages([source], { signal });
  if (samples.length === 0) throw new PupilError('bad-data', `${source}: no images; give a folder, tar or manifest`);
  const opened = data === undefined ? undefined : await openDataset(data, { signal });
  const given = opened?.samples.filter(({ label }) => label >= 0) ?? [];
  const hashes = new Set(given.map(({ hash }) => hash));
  const free = samples.filter(({ hash }) => !hashes.has(hash));
  const candidates = distinct(free);
  if (candidates.length === 0)
    throw new PupilError('bad-data', `${source}: every image there has a label in ${data!}; give a folder with others`);
  if (count > candidates.length)
    throw new PupilError(
      'bad-data',
      `${source}: ${candidates.length} different images without a label, fewer than the ${count} that \`labels\` ` +
        'asks for; ask for fewer, or give more images',
      { option: 'labels' },
    );
  return {
    candidates,
    given,
    labelled: distinct(given.filter(({ split }) => split === 'train')),
    classes: opened?.classes ?? [],
    known: samples.length - free.length,
    repeated: free.length - candidates.length,
    unreadable: [...unreadable, ...(opened?.unreadable ?? [])],
  };
}
