import type { HalvingPlan } from '../../artifact/formats.js';
import { counted } from '../../data/dataset.js';
import type { Model } from '../../models/model.js';
import type { RunImages } from '../../runs/images.js';
import { totalOf } from './halving.js';
import type { SearchSettings } from './settings.js';
import type { Part } from './trainer.js';

export interface PlannedSearch {
  readonly settings: SearchSettings;
  readonly plan: HalvingPlan;
  readonly images: RunImages;
  readonly parts: readonly Part[];
  readonly model: Model;
  readonly engine: string;
  readonly budget: number;
}

/** What a search will do, in a few lines. `engine`: which it is, in words; `budget`: seconds. */
export function describePlan({
  settings,
  plan,
  images: { split, dataset },
  parts,
  model,
  engine,
  budget,
}: PlannedSearch): string[] {
  const epochs = plan.rungs.at(-1)!;
  const total = totalOf(plan);
  const where =
    split.selection.kind === 'val'
      ? 'in val'
      : split.selection.kind === 'holdout'
        ? 'of the training images, held out'
        : '';
  const images =
    split.selection.kind === 'folds'
      ? `the training labels, by ${parts.length}-fold cross-validation: one fold for each seed`
      : `${counted(parts[0]!.select.length, 'image')} ${where}`;
  const stages =
    plan.rungs.length === 1
      ? `all in full (${counted(epochs, 'epoch')})`
      : `stages of ${plan.rungs.join(', ')} epochs, the best one in ${plan.eta} goes on`;
  const cells =
    settings.space === 'grid'
      ? `N ${settings.n!.join(', ')} by M ${settings.m!.join(', ')} (scale ${settings.scale!}) and basic`
      : `${settings.candidates!} policies drawn at random, and basic`;
  return [
    `data       ${dataset.path}: ${counted(split.train.length, 'labelled image')} of ${dataset.classes.length} ` +
      'classes to learn from',
    `measured   on ${images}`,
    `search     ${cells}; ${counted(plan.seeds, 'seed')}`,
    `trainings  ${total.trainings}, ${counted(total.epochs, 'epoch')} together: ${stages}` +
      `${Number.isFinite(budget) ? `, as many as fit in ${Number((budget / 60).toPrecision(3))} min` : ''}`,
    `model      ${model.architecture}, ${settings.mode ?? 'finetune'}`,
    `engine     ${engine}`,
  ];
}
