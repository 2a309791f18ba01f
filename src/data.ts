/**
 * `pupil/data`: images and labels, and files of pseudo-labels.
 *
 * @module
 */
export { datasetOf, openDataset, type OpenOptions } from './data/dataset.js';
export type {
  CellSource,
  Dataset,
  DistantSource,
  LocalSource,
  RangeSource,
  RemoteSource,
  Sample,
  Source,
  Split,
  Unreadable,
} from './data/sample.js';
export { readPseudoLabels, writePseudoLabels } from './artifact/pseudo-labels.js';
export { describePseudoLabels, pseudoTarget, selectPseudoLabels } from './data/pseudo-labels.js';
export type {
  PseudoClassDescription,
  PseudoLabel,
  PseudoLabelDescription,
  PseudoLabels,
  SelectOptions,
} from './data/pseudo-labels.js';
export { decode } from './image/decode.js';
export type { Image, Size } from './image/image.js';
