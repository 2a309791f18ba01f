/** Images of a training, told to a process that has opened the same ones. */
import type { Dataset, Sample } from '../data/sample.js';

/** An image among those that were opened: its place there, and what differs from it. */
type Told = number | readonly [place: number, changed: Partial<Sample>];

export interface ToldImages {
  readonly hash: string;
  readonly samples: readonly Told[];
}

/** Some of the images that were opened, by their places there. */
export function toldImages(images: Dataset, { hash, samples }: Dataset): ToldImages {
  const places = new Map(images.samples.map(({ path }, place) => [path, place]));
  return {
    hash,
    samples: samples.map((sample) => {
      const place = places.get(sample.path)!,
        was = images.samples[place]!;
      if (was === sample) return place;
      const changed = Object.entries(sample).filter(([name, value]) => was[name as keyof Sample] !== value);
      return changed.length === 0 ? place : [place, Object.fromEntries(changed)];
    }),
  };
}

/** The images that were told. */
export const imagesTold = (images: Dataset, { hash, samples }: ToldImages): Dataset => ({
  ...images,
  hash,
  samples: samples.map((told) =>
    typeof told === 'number' ? images.samples[told]! : { ...images.samples[told[0]]!, ...told[1] },
  ),
});
