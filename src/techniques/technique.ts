import type { Engine } from '../engine/engine.js';
import type { Model } from '../models/model.js';
import type { BatchSource } from '../train/runner.js';
import { supervised, type Objective } from '../train/objective.js';
import { distillation } from './distillation.js';
import { consistency } from './fixmatch.js';
import type { RunImages } from '../runs/images.js';
import type { FixedSettings } from '../runs/phases.js';
import { pseudoLabelled } from './pseudo-labels.js';
import type { Mode, Settings } from '../runs/settings.js';
import { labelledBatches } from './views.js';
import type { Teacher } from './teacher.js';

/** What a technique makes its batches from. */
export interface TechniqueContext {
  readonly engine: Engine;
  readonly model: Model;
  readonly images: RunImages;
  readonly settings: FixedSettings;
  /**
   * Labelled images to learn from: indexes into `images.training ?? images.evaluation`, as all
   * others here.
   */
  readonly learnFrom: readonly number[];
  readonly batchSize: number;
  /** Networks to learn from, ready to run. */
  readonly teachers: readonly Teacher[];
  /** Epochs done before this part of the training, and how many there are in all. */
  readonly firstEpoch: number;
  readonly epochs: number;
}

/**
 * A way to learn: its loss, and the batches that the loss takes. Everything else of a training is
 * shared.
 */
export interface Technique {
  readonly objective: (settings: Settings) => Objective;
  readonly batches: (context: TechniqueContext) => BatchSource;
  /** Learns from images without labels too; optional: it can do without them. */
  readonly unlabelled: boolean | 'optional';
  /** Shows images in a strong view, whatever labelled images are shown in. */
  readonly strong?: boolean;
  /** What it changes in the defaults of a run: the paper's choices, in all modes or in one. */
  readonly defaults?: Readonly<Partial<Record<'all' | Mode, TechniqueDefaults>>>;
}

export type TechniqueDefaults = Readonly<
  Partial<
    Pick<
      Settings,
      | 'temperature'
      | 'alpha'
      | 'unlabelledRatio'
      | 'unlabelledWeight'
      | 'threshold'
      | 'labelSmoothing'
      | 'ema'
      | 'batchSize'
      | 'lr'
      | 'weightDecay'
      | 'optimizer'
      | 'schedule'
      | 'warmup'
      | 'epochs'
    >
  > & { readonly augment?: string; readonly strong?: string }
>;

/** Every technique by name: a new one is a file with its loss and its batches, and a row here. */
export const techniques = {
  'supervised': {
    objective: ({ labelSmoothing, losses }) => supervised({ labelSmoothing, ...(losses && { losses }) }),
    batches: labelledBatches,
    unlabelled: false,
  } as Technique,
  distillation,
  'pseudo-labels': pseudoLabelled,
  'fixmatch': consistency('fixmatch'),
  'flexmatch': consistency('flexmatch'),
  'softmatch': consistency('softmatch'),
} satisfies Record<string, Technique>;

export type TechniqueName = keyof typeof techniques;

/** The technique of a run. */
export const techniqueOf = ({ technique }: Pick<Settings, 'technique'>): Technique => techniques[technique];
