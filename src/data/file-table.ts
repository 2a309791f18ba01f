/** What is known of the files of a folder, in columns: a million files take about 60 MB with their names. */
import type { FileNames } from './file-names.js';
import { hashFile } from './read.js';
import type { Sample, Source, Split } from './sample.js';
import type { Entry } from './scan.js';

/** Bytes of a content's hash. */
export const hashBytes = 16;

export class FileTable implements Iterable<Entry> {
  readonly length: number;
  /** Formats by their number in `#formatOf`. */
  readonly #formats: string[] = [];
  readonly #formatOf: Uint8Array;
  readonly #bytes: Float64Array;
  readonly #problems = new Map<number, string>();
  /** Hashes of contents, one behind the other [length, hashBytes]. */
  readonly #hashes: Buffer;

  /** A table of all names, or of those with the indexes `rows`; nothing is known yet. */
  constructor(
    readonly names: FileNames,
    readonly rows?: readonly number[],
  ) {
    this.length = rows?.length ?? names.length;
    this.#formatOf = new Uint8Array(this.length);
    this.#bytes = new Float64Array(this.length);
    this.#hashes = Buffer.alloc(this.length * hashBytes);
  }

  /** Where a file stands among the names. */
  row(index: number): number {
    return this.rows === undefined ? index : this.rows[index]!;
  }

  nameAt(index: number): string {
    return this.names.nameAt(this.row(index));
  }

  pathAt(index: number): string {
    return this.names.pathAt(this.row(index));
  }

  folderAt(index: number): string {
    return this.names.folderAt(this.row(index));
  }

  /** Of an image 32 digits, made now where its content was not hashed; '' of a file that cannot be used. */
  hashAt(index: number): string {
    if (this.#problems.has(index)) return '';
    if (!this.isHashed(index)) this.#hashes.write(hashFile(this.pathAt(index)), index * hashBytes, 'hex');
    return this.#hashes.toString('hex', index * hashBytes, (index + 1) * hashBytes);
  }

  /** Whether the hash of a content is known: one of zeros alone is that of none. */
  isHashed(index: number): boolean {
    const start = index * hashBytes;
    for (let at = start; at < start + hashBytes; at += 4) if (this.#hashes.readUInt32LE(at) !== 0) return true;
    return false;
  }

  formatAt(index: number): string {
    return this.#formats[this.#formatOf[index]!]!;
  }

  bytesAt(index: number): number {
    return this.#bytes[index]!;
  }

  problemAt(index: number): string | undefined {
    return this.#problems.get(index);
  }

  /** How many files cannot be used. */
  get problems(): number {
    return this.#problems.size;
  }

  /** The place of a file's hash [hashBytes], zeros where it is not known. */
  hashOf(index: number): Buffer {
    return this.#hashes.subarray(index * hashBytes, (index + 1) * hashBytes);
  }

  /** Enters a file whose hash, where it is known, stands in its place. */
  enter(index: number, format: string, bytes: number): void {
    if (!this.#formats.includes(format)) this.#formats.push(format);
    this.#formatOf[index] = this.#formats.indexOf(format);
    this.#bytes[index] = bytes;
  }

  /** Enters a file that was read. */
  put(index: number, { hash, format, bytes, problem }: Pick<Entry, 'hash' | 'format' | 'bytes' | 'problem'>): void {
    this.enter(index, format, bytes);
    if (problem === undefined) this.#hashes.write(hash, index * hashBytes, 'hex');
    else this.#problems.set(index, problem);
  }

  at(index: number): FileEntry {
    return new FileEntry(this, index);
  }

  *[Symbol.iterator](): Iterator<FileEntry> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }
}

/** A file of a table: what it says is looked up when it is asked for. */
export class FileEntry implements Entry {
  constructor(
    readonly table: FileTable,
    readonly index: number,
  ) {}

  get name(): string {
    return this.table.nameAt(this.index);
  }

  get path(): string {
    return this.table.pathAt(this.index);
  }

  /** The folder that the name begins with, '/' at its end; always the same text. */
  get folder(): string {
    return this.table.folderAt(this.index);
  }

  get source(): Source {
    return { kind: 'file', path: this.path };
  }

  get hash(): string {
    return this.table.hashAt(this.index);
  }

  get format(): string {
    return this.table.formatAt(this.index);
  }

  get bytes(): number {
    return this.table.bytesAt(this.index);
  }

  get problem(): string | undefined {
    return this.table.problemAt(this.index);
  }
}

/**
 * A sample that looks its path and hash up in the table, and so holds no text. All that a sample has are enumerable
 * properties of its own, so that copies (`{ ...sample, label }`), JSON and messages to threads have them.
 */
class FileSample implements Sample {
  declare readonly path: string;
  declare readonly label: number;
  declare readonly split: Split;
  declare readonly source: Source;
  declare readonly hash: string;
  declare readonly format: string;
  declare readonly bytes: number;
  readonly #table: FileTable;
  readonly #index: number;

  // The same functions for all samples: V8 keeps them once, beside the layout of the objects.
  static readonly #path = shared(function (this: FileSample): string {
    return this.#table.pathAt(this.#index);
  });
  static readonly #source = shared(function (this: FileSample): Source {
    return { kind: 'file', path: this.path };
  });
  static readonly #hash = shared(function (this: FileSample): string {
    return this.#table.hashAt(this.#index);
  });

  constructor({ table, index }: FileEntry, label: number, split: Split) {
    this.#table = table;
    this.#index = index;
    Object.defineProperty(this, 'path', FileSample.#path);
    this.label = label;
    this.split = split;
    Object.defineProperty(this, 'source', FileSample.#source);
    Object.defineProperty(this, 'hash', FileSample.#hash);
    this.format = table.formatAt(index);
    this.bytes = table.bytesAt(index);
  }
}

function shared(get: (this: FileSample) => unknown): PropertyDescriptor & ThisType<FileSample> {
  return { get, enumerable: true, configurable: true };
}

/** How a label was given, as a sample says it: lists alone know that, and no entry of theirs is a row of a table. */
export interface Origin {
  readonly accepted?: boolean | undefined;
  readonly drawn?: boolean | undefined;
}

/** The sample that an image is. */
export function sampleOf(entry: Entry, label: number, split: Split, { accepted, drawn }: Origin = {}): Sample {
  if (entry instanceof FileEntry) return new FileSample(entry, label, split);
  const { path, source, hash, format, bytes } = entry;
  const sample: Sample = { path, label, split, source, hash, format, bytes };
  return { ...sample, ...(accepted === true ? { accepted } : {}), ...(drawn === true ? { drawn } : {}) };
}
