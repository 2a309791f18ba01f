/** Images that every shard looks at beside its own. */
import { ContentHash, stampOf } from '../../data/contents.js';
import { openFiles } from '../../data/dataset.js';
import { listFiles, type ListedFile } from '../../data/listing.js';
import type { Dataset } from '../../data/sample.js';
import { shownPlace } from '../../http/address.js';
import type { Contents } from './shard.js';

/** Lists of places, each listed once, and opened once at most. */
export class Besides {
  readonly #listed = new Map<string, Promise<readonly ListedFile[]>>();
  readonly #opened = new Map<string, Promise<Dataset>>();

  constructor(
    readonly lists: readonly (readonly string[])[],
    readonly signal: AbortSignal | undefined,
  ) {}

  /** `openImages` of one of the lists. */
  readonly open = (places: readonly string[]): Promise<Dataset> =>
    once(this.#opened, places, async () => openFiles(places.map(shownPlace).join(' '), await this.#list(places)));

  /** Of all lists; undefined where there are none. */
  contents(): Contents | undefined {
    if (this.lists.length === 0) return undefined;
    return {
      stamp: async () => stampOf((await Promise.all(this.lists.map((places) => this.#list(places)))).flat()),
      hash: async () => {
        const contents = new ContentHash();
        for (const places of this.lists) contents.add(await this.#list(places), await this.open(places));
        return contents.digest();
      },
    };
  }

  #list(places: readonly string[]): Promise<readonly ListedFile[]> {
    const { signal } = this;
    return once(this.#listed, places, async () => (await listFiles(places, { signal })).files);
  }
}

function once<T>(known: Map<string, Promise<T>>, places: readonly string[], make: () => Promise<T>): Promise<T> {
  const key = JSON.stringify(places);
  const made = known.get(key) ?? make();
  known.set(key, made);
  return made;
}
