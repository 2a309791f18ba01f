/**
 * The names of the files of a folder in little room: the UTF-8 of names one behind the other, each folder's name once.
 * A million files take about 30 MB; as objects with their texts it would be 300 MB.
 */
import { sep } from 'node:path';

/** A file by its name, which was not looked into. */
export interface Found {
  /** Below the root, parts joined by '/'. */
  readonly name: string;
  readonly path: string;
  /** Why it cannot be used, where that is known already. */
  readonly problem?: string | undefined;
}

/** A copy with room for more. */
export function grown<Values extends Uint8Array | Uint32Array>(values: Values, length: number): Values {
  const larger = new (values.constructor as new (length: number) => Values)(length);
  larger.set(values);
  return larger;
}

/** Texts that UTF-8 does not hold: a half of a pair of code units, which file names of Windows may have. */
const halfPair = /\p{Surrogate}/u;

export class FileNames implements Iterable<Found> {
  /** What names and paths of a folder's files begin with: 'a/b/' and 'photos/a/b/'. */
  readonly #folders: { readonly name: string; readonly path: string }[] = [];
  #folderOf = new Uint32Array(64);
  /** Where each name ends in `#text`. */
  #ends = new Uint32Array(64);
  #text = Buffer.alloc(1024);
  #length = 0;
  readonly #odd = new Map<number, string>();
  readonly #problems = new Map<number, string>();
  /** Whether they stand in the order of `walkOrder`. */
  inOrder = true;

  /** The folder that was walked. */
  constructor(readonly root: string) {}

  get length(): number {
    return this.#length;
  }

  /** A folder for `add`; `name` is that below the root, `path` where it is: both '' or with '/' at the end. */
  addFolder(name: string, path: string): number {
    return this.#folders.push({ name, path }) - 1;
  }

  /** Adds a file of a folder; '' is the folder itself. */
  add(folder: number, base: string, problem?: string): void {
    const index = this.#length++;
    const start = index === 0 ? 0 : this.#ends[index - 1]!;
    // A code unit takes three bytes at most.
    if (start + 3 * base.length > this.#text.length) {
      const text = Buffer.alloc(Math.ceil(1.5 * this.#text.length) + 3 * base.length);
      this.#text.copy(text);
      this.#text = text;
    }
    if (index === this.#ends.length) {
      this.#ends = grown(this.#ends, 2 * index);
      this.#folderOf = grown(this.#folderOf, 2 * index);
    }
    this.#ends[index] = start + this.#text.write(base, start, 'utf8');
    this.#folderOf[index] = folder;
    if (halfPair.test(base)) this.#odd.set(index, base);
    if (problem !== undefined) this.#problems.set(index, problem);
  }

  #base(index: number): string {
    const start = index === 0 ? 0 : this.#ends[index - 1]!;
    return this.#odd.get(index) ?? this.#text.toString('utf8', start, this.#ends[index]);
  }

  nameAt(index: number): string {
    return this.#folders[this.#folderOf[index]!]!.name + this.#base(index);
  }

  pathAt(index: number): string {
    const { path } = this.#folders[this.#folderOf[index]!]!;
    const base = this.#base(index);
    return base === '' && path.endsWith(sep) ? path.slice(0, -1) : path + base;
  }

  /** The folder of a file below the root; '' for the root. The same text for all of its files. */
  folderAt(index: number): string {
    return this.#folders[this.#folderOf[index]!]!.name;
  }

  problemAt(index: number): string | undefined {
    return this.#problems.get(index);
  }

  at(index: number): NamedFile {
    return new NamedFile(this, index);
  }

  *[Symbol.iterator](): Iterator<NamedFile> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }
}

/** A file of a table of names. */
export class NamedFile implements Found {
  constructor(
    readonly names: FileNames,
    readonly index: number,
  ) {}

  get name(): string {
    return this.names.nameAt(this.index);
  }

  get path(): string {
    return this.names.pathAt(this.index);
  }

  get problem(): string | undefined {
    return this.names.problemAt(this.index);
  }
}

/** The order of a walk: folder by folder, in each by name. */
export function walkOrder(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === end) return a.length - b.length;
  // What a name goes on with in a folder comes before what a longer name of that folder goes on with.
  if (a[at] === '/') return -1;
  if (b[at] === '/') return 1;
  return a.charCodeAt(at) - b.charCodeAt(at);
}
