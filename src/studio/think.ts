/** What the studio's thread is asked, and what it answers. */
import type { Sample } from '../data/sample.js';
import type { ForeignOptions } from '../models/index.js';
import type { Proposal } from './protocol.js';

export interface LookAtAll {
  readonly kind: 'look';
  readonly model: string;
  readonly foreign: ForeignOptions;
  readonly samples: readonly Sample[];
  /** A folder of features. */
  readonly cache: string;
  /** Shared: images done, and of how many. */
  readonly progress: Int32Array;
}

export interface Looked {
  readonly architecture: string;
  /** Ids of the images that could be decoded. */
  readonly ids: readonly number[];
  /** Of these, of unit length, shared: [ids, size]. */
  readonly rows: Float32Array;
  readonly size: number;
}

/** The labels of now. */
export interface Known {
  /** By id; -1: none. */
  readonly labels: Int32Array;
  readonly classes: number;
  /** Ids of images that are set aside. */
  readonly skipped: readonly number[];
  /** Ids of labelled images that are a random sample; undefined: all labels are as good as one. */
  readonly drawn?: readonly number[] | undefined;
}

/** What a person waits for: the quick consensus. */
export interface Learn extends Known {
  readonly kind: 'learn';
}

/** What can come a moment later, of the labels that were learned last. */
export interface Propose {
  readonly kind: 'propose';
  /** How many images to propose. */
  readonly count: number;
}

/** Of one image: its most likely class. */
export interface Said {
  readonly id: number;
  readonly label: number;
  readonly confidence: number;
}

export interface Learned {
  /** Of images without a label. */
  readonly predictions: readonly Said[];
  /** Of images with one, by a consensus that was not told it; an image that looks like no class is absent. */
  readonly heldOut: readonly Said[];
  /** Labels that are likely wrong: what they should be. */
  readonly doubts: readonly Said[];
}

export interface Proposed {
  readonly strangers: readonly { readonly id: number; readonly score: number }[];
  readonly proposals: readonly Proposal[];
}

export type ThinkRequest = LookAtAll | Learn | Propose | { readonly kind: 'close' };
