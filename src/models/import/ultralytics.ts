import type { Preprocessing } from '../../data/preprocessing.js';
import type { OnnxFile } from '../../onnx/index.js';
import type { Description } from '../description.js';

/**
 * What ultralytics writes into the classifiers (YOLO-cls) that it exports: class names as a Python
 * dictionary and the size of the images. Its networks take x / 255 of the centre of an image whose
 * short side has that size. Undefined for other files.
 */
export function describeUltralytics({ metadata }: Pick<OnnxFile, 'metadata'>): Description | undefined {
  if (metadata.get('task') !== 'classify' || !metadata.has('imgsz')) return undefined;
  return {
    architecture: undefined,
    preprocessing: preprocessingOf(metadata.get('imgsz') ?? ''),
    labels: namesOf(metadata.get('names') ?? ''),
  };
}

/** Of `[224, 224]`, height and width. */
function preprocessingOf(imgsz: string): Preprocessing | undefined {
  const [height, width] = (imgsz.match(/\d+/g) ?? []).map(Number);
  if (!height || !width) return undefined;
  return {
    size: [height, width],
    resizeShort: Math.min(height, width),
    interpolation: 'bilinear',
    crop: 'center',
    mean: [0, 0, 0],
    std: [1, 1, 1],
  };
}

/** Of `{0: 'ant', 1: "bee's"}`. */
function namesOf(dictionary: string): readonly string[] | undefined {
  const entries = [...dictionary.matchAll(/(\d+): (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g)];
  const names = entries.map(([, , single, double]) => (single ?? double ?? '').replace(/\\(.)/g, '$1'));
  return names.length > 0 && entries.every(([, index], i) => Number(index) === i) ? names : undefined;
}
