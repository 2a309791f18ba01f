import type { Image } from '../image/image.js';

export type Split = 'train' | 'val' | 'test' | 'unlabelled';

/** A part of a file on a host. `hash`: of its content, as a sample's. */
export interface RemoteSource {
  readonly kind: 'remote';
  readonly address: string;
  readonly offset: number;
  readonly length: number;
  readonly hash: string;
}

/** A cell of a Parquet file, in the group of rows `from` to `to` (not included). */
export interface CellSource {
  readonly kind: 'cell';
  readonly path: string;
  readonly column: string;
  readonly row: number;
  readonly from: number;
  readonly to: number;
  /** Bytes of the image. */
  readonly length: number;
  /** Of its content, as a sample's; of a file on a host, whose `path` is its address. */
  readonly hash?: string | undefined;
}

/** A source that has to be brought before a reader opens it: fetched from a host, or unpacked. */
export type DistantSource = RemoteSource | CellSource;

/** A part of a file here: inside an archive. */
export interface RangeSource {
  readonly kind: 'range';
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** A source of the bytes of an image that a reader opens at once, without asking a host. */
export type LocalSource =
  | { readonly kind: 'file'; readonly path: string }
  | RangeSource
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/**
 * Where the bytes of an image are: a file, a part of a file (inside a tar) here or on a host, a cell of a table,
 * bytes that were brought, or pixels already in memory.
 */
export type Source = LocalSource | DistantSource | { readonly kind: 'pixels'; readonly image: Image };

/** One image of a data set. */
export interface Sample {
  /** What users see: the file's path, or ARCHIVE.tar/ENTRY. Unique within a data set. */
  readonly path: string;
  /** Index into `Dataset.classes`; -1 without a label. */
  readonly label: number;
  readonly split: Split;
  /**
   * The class that an image is known to have though its label was taken away: to report on, never
   * to learn from.
   */
  readonly truth?: number;
  readonly source: Source;
  /** First 128 bits of the content's SHA-256, hexadecimal. */
  readonly hash: string;
  /** What it shares with images that look alike, so that they stay together; default: its hash. */
  readonly group?: string | undefined;
  /** Its label is what a model suggested, and a person accepted: an easy image, no fair one to measure on. */
  readonly accepted?: true | undefined;
  /** It was drawn at random among all images to be labelled: with the others of which this is so, a fair sample. */
  readonly drawn?: true | undefined;
  /** JPEG, PNG..., by the file's signature. */
  readonly format: string;
  /** Bytes of the file. */
  readonly bytes: number;
}

/** The path under which a file can name an image, whatever list or folder it comes from. */
export const pathOf = ({ source, path }: Pick<Sample, 'source' | 'path'>): string =>
  source.kind === 'file' ? source.path : path;

/** What it shares with copies and images that look alike. */
export const groupOf = ({ group, hash }: Pick<Sample, 'group' | 'hash'>): string => group ?? hash;

/** The group of each sample, where it shares it with another of them; undefined: it is alone. */
export function sharedGroups(samples: readonly Pick<Sample, 'group' | 'hash'>[]): (string | undefined)[] {
  const groups = samples.map(groupOf);
  const seen = new Set<string>(),
    shared = new Set<string>();
  for (const group of groups) (seen.has(group) ? shared : seen).add(group);
  return groups.map((group) => (shared.has(group) ? group : undefined));
}

/** A file that cannot be used, and why. */
export interface Unreadable {
  readonly path: string;
  readonly reason: string;
}

export interface Dataset {
  /** What was opened, as given; an address without its query, which may hold a signature. */
  readonly path: string;
  /** In index order: natural order (2 before 10) unless given. */
  readonly classes: readonly string[];
  readonly samples: readonly Sample[];
  /**
   * Files that are no images by their signature, missing or empty. Corrupt images are found when
   * they are decoded.
   */
  readonly unreadable: readonly Unreadable[];
  /** What is odd but does no harm, one line each. */
  readonly notes: readonly string[];
  /** Of all samples' splits, labels and contents: changes when any of them does. */
  readonly hash: string;
}

/** Whether an image is learned from with its label. */
export const isLabelled = ({ split, label }: Pick<Sample, 'split' | 'label'>): boolean =>
  split === 'train' && label >= 0;
