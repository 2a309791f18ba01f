/** Images of archives, hosts and tables that will be asked for, brought piece by piece and held until then. */
import type { Bringer, PieceSource } from './bring.js';

/** Images that are read together, and asked for once each. */
export interface ExpectedPiece {
  readonly sources: readonly PieceSource[];
}

export interface ReadAhead {
  /** Begins to bring pieces, in their order; those that were expected before are passed over. */
  expect(pieces: readonly ExpectedPiece[]): void;
  /** Whether an image is on its way, or held. */
  has(source: PieceSource): boolean;
  /** The bytes of images, in their order, expected or not. Throws `network` and `bad-data`. */
  bring(sources: readonly PieceSource[]): Promise<Uint8Array[]>;
  /** Begins nothing more. */
  close(): void;
}

/** Pieces that are brought at a time. */
const lanes = 4;

/** Bytes between two images of a piece that are fetched along rather than asked for apart: images of other ranks. */
const widestGap = 2 ** 19;

/** Bytes that are held at most: of images still to be asked for, and of those that another view may ask for. */
const mostExpected = 2 ** 30,
  mostGiven = 2 ** 26;

interface Held {
  readonly bytes: Promise<Uint8Array>;
  readonly length: number;
  /** How often it is still to be asked for. */
  left: number;
}

const keyOf = (source: PieceSource): string =>
  source.kind === 'remote'
    ? `${source.address} ${source.offset}`
    : `${source.path} ${source.kind === 'range' ? source.offset : source.row}`;

export function createReadAhead(bring: Bringer['bring']): ReadAhead {
  /** By key, the oldest first. */
  const expected = createShelf(mostExpected),
    given = createShelf(mostGiven);
  const begun = new WeakSet<ExpectedPiece>();
  const queue: (() => Promise<unknown>)[] = [];
  let running = 0;
  const pump = (): void => {
    while (running < lanes && queue.length > 0) {
      running++;
      void queue.shift()!().finally(() => {
        running--;
        pump();
      });
    }
  };
  const begin = (sources: readonly PieceSource[]): Promise<Uint8Array[]> => {
    const all = new Promise<Uint8Array[]>((resolve, reject) => {
      queue.push(() => bring(sources, { widestGap }).then(resolve, reject));
    });
    pump();
    return all;
  };
  /** Also in the same piece more than once. */
  const expectOne = (source: PieceSource, missing: Map<string, { source: PieceSource; times: number }>): void => {
    const key = keyOf(source);
    const known = expected.get(key) ?? given.take(key);
    const wanted = missing.get(key);
    if (known !== undefined) {
      known.left++;
      expected.put(key, known);
    } else if (wanted === undefined) missing.set(key, { source, times: 1 });
    else wanted.times++;
  };
  const take = (source: PieceSource): Promise<Uint8Array> | undefined => {
    const key = keyOf(source);
    const known = expected.get(key);
    if (known === undefined) return given.get(key)?.bytes;
    if (--known.left === 0) given.put(key, expected.take(key)!);
    return known.bytes;
  };
  return {
    expect(pieces) {
      for (const piece of pieces) {
        if (begun.has(piece)) continue;
        begun.add(piece);
        const missing = new Map<string, { source: PieceSource; times: number }>();
        for (const source of piece.sources) expectOne(source, missing);
        if (missing.size === 0) continue;
        const all = begin([...missing.values()].map(({ source }) => source));
        for (const [i, [key, { source, times }]] of [...missing].entries()) {
          const bytes = all.then((brought) => brought[i]!);
          // Asked for again after an error, it is brought again.
          bytes.catch(() => expected.take(key) ?? given.take(key));
          expected.put(key, { bytes, length: source.length, left: times });
        }
      }
    },
    has(source) {
      const key = keyOf(source);
      return (expected.get(key) ?? given.get(key)) !== undefined;
    },
    async bring(sources) {
      const known = sources.map(take);
      const others = sources.filter((_, i) => known[i] === undefined);
      const brought = others.length > 0 ? await bring(others) : [];
      let next = 0;
      // A copy: whoever decodes it may take it along.
      return Promise.all(known.map(async (bytes) => (bytes === undefined ? brought[next++]! : (await bytes).slice())));
    },
    close() {
      queue.length = 0;
    },
  };
}

/** Images by key, as many of the latest as so many bytes hold. */
function createShelf(most: number): {
  get(key: string): Held | undefined;
  take(key: string): Held | undefined;
  put(key: string, held: Held): void;
} {
  const all = new Map<string, Held>();
  let bytes = 0;
  const take = (key: string): Held | undefined => {
    const held = all.get(key);
    if (all.delete(key)) bytes -= held!.length;
    return held;
  };
  return {
    get: (key) => all.get(key),
    take,
    put(key, held) {
      take(key);
      all.set(key, held);
      bytes += held.length;
      for (const oldest of all.keys()) {
        if (bytes <= most || oldest === key) break;
        take(oldest);
      }
    },
  };
}
