/**
 * Epochs of images that are read piece by piece: archives are cut into pieces, which are read whole and in random
 * order; a buffer shuffles what comes out of them.
 */
import type { Random } from '../random.js';
import type { Source } from './sample.js';
import { decodedBytes, type Target } from './target.js';

/** How images are read and mixed, in bytes of their files. */
export interface ShardShuffle {
  /** Images that wait in memory to be drawn. */
  readonly buffer: number;
  /** Piece of an archive that is read at once; a Parquet file is read by groups of rows, however large. */
  readonly piece: number;
}

export const usualShuffle: ShardShuffle = { buffer: 2 ** 28, piece: 2 ** 23 };

/** Bytes of decoded images that are kept on disk. */
export const roomOnDisk = 20 * 2 ** 30;

/** What the order needs to know of an image. */
export interface Stored {
  readonly source?: Source | undefined;
  /** Of its file. */
  readonly bytes?: number | undefined;
}

/**
 * Whether images are read piece by piece where nobody says: those on hosts and in Parquet files that take more room on
 * disk, decoded and at their target's size, than is kept there. It depends on the images alone, not on the machine.
 */
export function isReadByPieces(images: readonly Stored[], target: Target): boolean {
  const distant = images.filter(({ source }) => source?.kind === 'remote' || source?.kind === 'cell').length;
  return distant * decodedBytes(target) > roomOnDisk;
}

/** An epoch, by index into what was drawn for it. */
export interface ShardOrder {
  /** What is shown, in order: a permutation of what was drawn. */
  readonly order: readonly number[];
  /** How many images wait in the buffer. */
  readonly buffer: number;
  /**
   * The pieces to be read by the time that the images `from` to `to` (not included) of the order are shown, in the
   * order of reading: those of which none of `from` on is shown are left out.
   */
  piecesFor(from: number, to: number): readonly Piece[];
}

/** What is read at once. */
export interface Piece {
  /** The images in it, as in `order`, and where each stands there. */
  readonly images: readonly number[];
  readonly places: readonly number[];
}

/** A piece whose images are added as they are shown. */
interface GrowingPiece extends Piece {
  readonly images: number[];
  readonly places: number[];
}

/**
 * Orders what was drawn for an epoch: indexes of the images, some of them more than once. In batches of `batchSize`,
 * images of the same pieces stand together, and in the same part of each, so that a rank, which takes a part of every
 * batch, reads a part of the pieces.
 */
export type ArrangeShards = (drawn: readonly number[], random: Random, batchSize: number) => ShardOrder;

/**
 * The order of epochs over `images`: their pieces in random order go through a shuffle buffer, of which a random
 * image is shown and replaced by the next (as WebDataset and Hugging Face's IterableDataset do with whole archives;
 * pieces, for archives are often packed class by class). The buffer holds as many images of mean size as its bytes.
 */
export function createShardOrder(images: readonly Stored[], shuffle: ShardShuffle = usualShuffle): ArrangeShards {
  const { pieceOf, count } = piecesOf(images, shuffle.piece);
  const bytes = images.reduce((sum, image) => sum + (image.bytes ?? 0), 0);
  const buffer = bytes === 0 ? images.length : Math.max(1, Math.floor((shuffle.buffer * images.length) / bytes));
  return (drawn, random, batchSize) => {
    const members: number[][] = Array.from({ length: count }, () => []);
    for (const image of drawn) members[pieceOf[image]!]!.push(image);
    const stream = random.shuffle(members.filter(({ length }) => length > 0)).map((piece) => random.shuffle(piece));
    return drawnThroughBuffer(stream, { buffer, random, batchSize });
  };
}

/** An image that goes through the buffer, and what it was read with. */
interface Waiting {
  readonly image: number;
  readonly piece: GrowingPiece;
}

/** The pieces' images, one after another through a buffer of so many. */
function drawnThroughBuffer(
  stream: readonly (readonly number[])[],
  { buffer, random, batchSize }: { readonly buffer: number; readonly random: Random; readonly batchSize: number },
): ShardOrder {
  const shown: Waiting[] = [];
  const waiting: Waiting[] = [];
  const pieces: { readonly piece: GrowingPiece; readonly start: number }[] = [];
  const standings = new Map<Piece, number>();
  let start = 0;
  for (const [i, images] of stream.entries()) {
    const piece: GrowingPiece = { images: [], places: [] };
    pieces.push({ piece, start });
    standings.set(piece, standingOf(i));
    start += images.length;
    for (const image of images) {
      if (waiting.length < buffer) waiting.push({ image, piece });
      else {
        const index = random.integer(buffer);
        shown.push(waiting[index]!);
        waiting[index] = { image, piece };
      }
    }
  }
  for (const index of random.shuffle(waiting.map((_, i) => i))) shown.push(waiting[index]!);
  const order: number[] = [];
  for (let from = 0; from < shown.length; from += batchSize) {
    const batch = shown.slice(from, from + batchSize);
    for (const { image, piece } of batch.sort((a, b) => standings.get(a.piece)! - standings.get(b.piece)!)) {
      piece.images.push(image);
      piece.places.push(order.length);
      order.push(image);
    }
  }
  return {
    order,
    buffer,
    piecesFor: (from, to) =>
      pieces.flatMap((entry) => (entry.start < buffer + to && entry.piece.places.at(-1)! >= from ? [entry.piece] : [])),
  };
}

/**
 * Where images of the piece that is read as the `index`-th stand in a batch, in [0, 1): the bits of the number in
 * reverse order (van der Corput), so that any pieces that follow one another are spread evenly, and a batch has
 * about as many images from each part.
 */
function standingOf(index: number): number {
  let standing = 0;
  for (let rest = index, unit = 0.5; rest > 0; rest >>>= 1, unit /= 2) if ((rest & 1) === 1) standing += unit;
  return standing;
}

/** Cuts what images lie in into pieces; gives each image's piece, by number. */
function piecesOf(images: readonly Stored[], bytes: number): { pieceOf: Int32Array; count: number } {
  const pieceOf = new Int32Array(images.length);
  const shards = new Map<string, number[]>();
  let count = 0;
  for (const [index, { source }] of images.entries()) {
    const shard = source === undefined ? undefined : shardOf(source);
    if (shard === undefined) {
      pieceOf[index] = count++;
      continue;
    }
    const members = shards.get(shard);
    if (members === undefined) shards.set(shard, [index]);
    else members.push(index);
  }
  const place = (index: number): { start: number; length: number } => placeOf(images[index]!.source!);
  for (const members of shards.values()) {
    members.sort((a, b) => place(a).start - place(b).start);
    let end = -Infinity;
    for (const index of members) {
      const { start, length } = place(index);
      if (start + length > end) {
        count++;
        end = start + Math.max(bytes, length);
      }
      pieceOf[index] = count - 1;
    }
  }
  return { pieceOf, count };
}

/** Names what an image is read from along with others; undefined for one in a file of its own. */
function shardOf(source: Source): string | undefined {
  if (source.kind === 'remote') return source.address;
  if (source.kind === 'range') return source.path;
  // A group of rows is read as a whole.
  return source.kind === 'cell' ? `${source.path} ${source.from}` : undefined;
}

/** Bytes in an archive; a group of rows is one piece. */
const placeOf = (source: Source): { start: number; length: number } =>
  source.kind === 'remote' || source.kind === 'range'
    ? { start: source.offset, length: source.length }
    : { start: 0, length: 0 };
