/** Where a command computes and writes. */
import { precisions } from '../engine/engine.js';
import { engineNames } from '../engine/index.js';
import { choice, notNegative, path, valueOf, whole } from './kinds.js';
import { group, option } from './option.js';

/** Where and how fast: shared by all commands that compute. */
export const machine = group('Machine', {
  engine: option(choice(engineNames, ['reference']), {
    says: `what computes: ${engineNames.join(', ')}; auto: oneDNN where it is installed, else onnxruntime`,
    usual: 'auto',
    machine: true,
  }),
  precision: option(choice(precisions), {
    says: 'what activations and gradients are computed in; auto: what is fast and safe on this machine',
    usual: 'auto',
    machine: true,
  }),
  threads: option(whole(1), {
    says: 'threads inside an operation',
    otherwise: 'physical cores',
    machine: true,
  }),
  workers: option(whole(0), {
    says: 'threads that decode and augment images; 0: none',
    machine: true,
    otherwise: 'by the number of cores',
    unsaved: true,
  }),
  cacheMemory: option(notNegative, {
    says: 'decoded images held in memory, in MB; the rest is kept on disk',
    otherwise: 'by the memory of the machine',
    machine: true,
    unsaved: true,
    argument: 'MB',
  }),
  featureCache: option(path('folder'), {
    says: 'where features of images are kept, so that trainings of the same network share them',
    otherwise: 'features/ in the run folder',
    machine: true,
    unsaved: true,
    flag: false,
  }),
  signal: option(
    valueOf<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal),
    { says: 'ends the work, its state saved', machine: true, unsaved: true, flag: false },
  ),
});

/** Of commands without a run folder. */
export const sharedFeatures = { ...machine.featureCache, otherwise: 'the cache folder' } as const;

/** How much that is damaged is passed over, by commands that open images. */
export const skip = option(whole(0), {
  says: 'unreadable images and damaged archives that are skipped; one more ends the command',
  inForm: 'unreadable images that are skipped; one more ends the training',
  group: 'Data',
  otherwise: 'any number of images; no archive',
  renewable: true,
  argument: 'number',
});

/** The run folder. */
export const runFolder = group('Run', {
  out: option(path('folder'), {
    says: 'folder to write into; it must not exist',
    otherwise: 'the first free runs/NAME-N',
    unsaved: true,
    rank: 10,
  }),
  resume: option(path('run'), {
    says: 'continue an interrupted run with its own options',
    unsaved: true,
    rank: 10,
  }),
});
