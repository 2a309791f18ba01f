/** What a gap leaves in its run folder. */
import type { RunResult } from './formats.js';

/** How far training images are from the real ones under one policy. */
export interface PolicyGap {
  /** As it can be given to `augment`. */
  readonly augment: string;
  /**
   * Share of the real images with a training image as near as their k-th nearest real neighbour.
   */
  readonly coverage: number;
  /** How densely training images lie where real ones are; 1 for the same distribution. */
  readonly density: number;
  /** Kernel distance (squared MMD, unbiased); 0 for the same distribution. */
  readonly mmd: number;
  /** Half-width of its 95% interval. */
  readonly interval: number;
  /**
   * Share of the kernel distance without augmentation that is gone; below 0: it grew. Null where
   * there is no gap beyond its interval.
   */
  readonly closes: number | null;
  /** Half-width of its 95% interval. */
  readonly closesInterval: number | null;
}

/** What `gap --json` prints. */
export interface GapResult extends RunResult {
  readonly model: string;
  readonly train: { readonly path: string; readonly count: number; readonly found: number };
  readonly real: { readonly path: string; readonly count: number; readonly found: number };
  readonly neighbours: number;
  readonly draws: number;
  /** None first, then as they were asked for. */
  readonly policies: readonly PolicyGap[];
  /** What images of the real distribution would show. */
  readonly expected: { readonly coverage: number; readonly density: 1; readonly mmd: 0 };
  /** Half of the training images against the other; null when they are too few. */
  readonly halves: {
    readonly coverage: number;
    readonly density: number;
    readonly mmd: number;
    readonly interval: number;
  } | null;
  /**
   * Real images, the least covered first, with the distance to the nearest training image over that
   * to the k-th nearest real one.
   */
  readonly least: readonly { readonly path: string; readonly score: number }[];
  /** The picture of the map, in the run folder. */
  readonly map: string;
}

/** Places on a map. */
export type Point = readonly [x: number, y: number];

/** Where images lie by their features, in two dimensions. */
export interface GapMap {
  readonly train: readonly Point[];
  readonly real: readonly Point[];
  /** By policy: one draw of each of `train`. */
  readonly augmented: Readonly<Record<string, readonly Point[]>>;
  /** Which of `real` are named as least covered. */
  readonly marked: readonly number[];
}

/** gap.json: the result and the map, from which pictures and page can be made again. */
export interface GapFile extends GapResult {
  readonly points: GapMap;
}
