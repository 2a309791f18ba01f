// Opens a folder as a data set: node index-files.js FOLDER. Says milliseconds and the peak of the
// resident memory.
import { openDataset } from '../../dist/data/dataset.js';
import { peakMemory } from '../harness/memory.js';

const from = performance.now();
const dataset = await openDataset(process.argv[2]);
console.log(
  JSON.stringify({ wall: performance.now() - from, peakMegabytes: peakMemory(), images: dataset.samples.length }),
);
