/** `pupil/data`: images and labels, and files of pseudo-labels. */
export { datasetOf, openDataset, type OpenOptions } from './data/dataset.js';
export type { Dataset, Sample, Split } from './data/sample.js';
export { readPseudoLabels, writePseudoLabels } from './artifact/pseudo-labels.js';
export { describePseudoLabels, pseudoTarget, selectPseudoLabels } from './data/pseudo-labels.js';
export type { PseudoLabel, PseudoLabelDescription, PseudoLabels, SelectOptions } from './data/pseudo-labels.js';
export { decode } from './image/decode.js';
export type { Image } from './image/image.js';
