import { counted } from '../data/dataset.js';
import type { Model } from '../models/model.js';
import { defaultTechnique } from '../techniques/index.js';
import { describeAugmentation } from './augmentation.js';
import type { Work } from './expected.js';
import type { RunImages } from './images.js';
import type { Settings } from './resolve.js';

/** What a training will do, in a few lines. `engine`: which it is, in words. */
export function describePlan(
  settings: Settings,
  engine: string,
  { split, dataset, pseudo }: RunImages,
  model: Model,
): string[] {
  const { selection, report } = split;
  const selects =
    selection.kind === 'folds'
      ? `${selection.folds.length}-fold cross-validation over the training labels`
      : selection.kind === 'none'
        ? `none (${settings.folds === 0 ? '0 folds' : 'one label per class is too few'})`
        : `${selection.samples.length} images ${selection.kind === 'val' ? 'in val' : 'of train, held out'}`;
  const copies =
    pseudo && pseudo.indexes.length !== pseudo.targets.size ? ` (${pseudo.indexes.length} with copies)` : '';
  const labels = [
    `${split.train.length} labelled images of ${dataset.classes.length} classes to learn from`,
    ...(split.unlabelled.length > 0 ? [`${split.unlabelled.length} unlabelled`] : []),
    ...(pseudo ? [`${pseudo.targets.size} of them pseudo-labelled${copies}`] : []),
  ];
  const how = settings.technique === defaultTechnique ? settings.mode : `${settings.mode} by ${settings.technique}`;
  return [
    `data       ${dataset.path}: ${labels.join(', ')}`,
    'validation ' +
      `${selects}${report ? `; accuracy is measured on ${report.samples.length} images in ${report.split}` : ''}`,
    `model      ${model.architecture}, ${how}: ${describeDescent(settings, model)}`,
    `engine     ${engine}`,
  ];
}

/** How much is trained: one training for each fold, and one on all labels. */
export const workOf = ({ train, unlabelled, selection }: RunImages['split']): Work => ({
  labelled: train.length,
  unlabelled: unlabelled.length,
  trainings: selection.kind === 'folds' ? selection.folds.length + 1 : 1,
});

function describeDescent(settings: Settings, model: Model): string {
  const { mode, teachers, epochs, batchSize, optimizer, lr, backboneLr, schedule } = settings;
  if (mode === 'probe') return 'trains only the last layer, on features that are computed once';
  if (mode === 'consensus')
    return (
      'works out labels for all images from their features' +
      `${teachers.length > 0 ? ` and those of ${counted(teachers.length, 'teacher')}` : ''}, ` +
      'and trains the last layer on them'
    );
  const slower =
    model.pretrained && backboneLr !== undefined ? ` (pretrained part ${Number(backboneLr.toPrecision(3))})` : '';
  return (
    `${counted(epochs, 'epoch')}, batch ${batchSize}, ${optimizer}, learning rate ${lr}${slower}, ${schedule}, ` +
    `augmentation ${describeAugmentation(settings)}`
  );
}
