// How much of the data ranks read together in an epoch with `--shuffle shards`, as a multiple of it, reckoned by the
// order itself: node bench/shuffled-reads.js [IMAGES BYTES ROWS]. ROWS: images of a batch for each rank.
// `as drawn`: if images of a batch stood in the order in which the buffer gave them, not piece by piece.
import { Random } from '../dist/random.js';
import { createShardOrder } from '../dist/data/shard-order.js';
import { spansOf } from '../dist/data/spans.js';

const [count = 20_000, bytes = 100_000, rows = 32] = process.argv.slice(2).map(Number);
const each = 1000;
/** Bytes between two images that are read along (src/data/read-ahead.ts). */
const widestGap = 2 ** 19;

const images = Array.from({ length: count }, (_, i) => ({
  bytes,
  source: {
    kind: 'remote',
    address: `http://host/${Math.floor(i / each)}.tar`,
    offset: (i % each) * (bytes + 512) + 512,
    length: bytes,
    hash: '',
  },
}));

/** Bytes that all ranks read, each what it shows of a piece: in as many requests as gaps leave. */
function read(pieces, { ranks, placeOf }) {
  let sum = 0;
  for (const { images: members, places } of pieces) {
    const own = Array.from({ length: ranks }, () => []);
    for (const [i, place] of places.entries()) {
      const { address, offset, length } = images[members[i]].source;
      own[Math.floor((placeOf(place) % (ranks * rows)) / rows)].push({ file: address, offset, length });
    }
    for (const parts of own)
      for (const spans of spansOf(parts, widestGap).values()) for (const { start, end } of spans) sum += end - start;
  }
  return sum / (count * bytes);
}

console.log(`${count} images of ${bytes} bytes, ${rows} images a rank`);
for (const ranks of [1, 2, 4, 8, 16]) {
  const batchSize = ranks * rows;
  const { order, piecesFor } = createShardOrder(images)(
    images.map((_, i) => i),
    new Random(1, 'shards', 0),
    batchSize,
  );
  const pieces = piecesFor(0, order.length);
  const random = new Random(2);
  const drawn = order.map((_, place) => place);
  for (let from = 0; from < drawn.length; from += batchSize) {
    const batch = random.shuffle(drawn.slice(from, from + batchSize));
    drawn.splice(from, batch.length, ...batch);
  }
  const now = read(pieces, { ranks, placeOf: (place) => place });
  const before = read(pieces, { ranks, placeOf: (place) => drawn[place] });
  console.log(`${ranks} ranks: ${now.toFixed(1)} times the data; as drawn: ${before.toFixed(1)}`);
}
