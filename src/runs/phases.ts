import type { Graph } from '../graph/graph.js';
import { parameterGroups, unfreezeOrder, type ParameterGroup } from '../models/groups.js';
import type { Model } from '../models/model.js';
import { whole, type Slice } from '../parallel/communicator.js';
import { buildTrainingStep, type TrainingStep } from '../train/step.js';
import { featureGraph } from '../techniques/features.js';
import { isFrozen } from '../options/option.js';
import { earlierLayers } from './features.js';
import type { Settings } from './resolve.js';
import { objectiveOf } from '../techniques/index.js';

/** Settings with every automatic choice made. */
export interface FixedSettings extends Settings {
  readonly batchSize: number;
  readonly lr: number;
  /** Seconds of what follows the steps and is slower as these are. */
  readonly follows?: number | undefined;
}

/** A stretch of epochs in which the same parameters train. */
export interface Phase {
  readonly name: string;
  readonly epochs: number;
  readonly groups: readonly ParameterGroup[];
}

/**
 * Transfer learning, second approach: everything trains, with a small learning rate in the
 * pretrained part and a larger one in the new part, after an optional phase in which only the head
 * trains, unfreezing stage by stage if asked (Howard and Ruder 2018).
 */
export function planPhases(model: Model, settings: FixedSettings): Phase[] {
  const options = {
    lr: settings.lr,
    weightDecay: settings.weightDecay,
    freeze: settings.freeze,
    backboneLr: model.pretrained ? settings.backboneLr : undefined,
    layerDecay: settings.layerDecay,
  };
  const phases: Phase[] = [];
  let left = settings.epochs;
  if (settings.headFirst && model.head) {
    const backbone = unfreezeOrder(model)
      .slice(1)
      .flatMap((stage) => stage.parameters);
    phases.push({
      name: 'head',
      epochs: settings.headFirst,
      groups: freezing(parameterGroups(model, options), backbone),
    });
  }
  if (settings.gradualUnfreeze) {
    const order = unfreezeOrder(model);
    for (const [depth, stage] of order.slice(0, -1).entries()) {
      if (left <= settings.gradualUnfreeze) break;
      const frozen = order.slice(depth + 1).flatMap((other) => other.parameters);
      phases.push({
        name: `down to ${stage.name}`,
        epochs: settings.gradualUnfreeze,
        groups: freezing(parameterGroups(model, options), frozen),
      });
      left -= settings.gradualUnfreeze;
    }
  }
  phases.push({
    name: model.pretrained ? 'fine-tuning' : 'training',
    epochs: left,
    groups: parameterGroups(model, options),
  });
  return phases;
}

/** The groups with some parameters moved to a frozen group. */
function freezing(groups: readonly ParameterGroup[], parameters: readonly string[]): ParameterGroup[] {
  const frozen = new Set(parameters);
  return [
    ...groups.map((group) => ({ ...group, parameters: group.parameters.filter((name) => !frozen.has(name)) })),
    { name: 'not yet', parameters: [...frozen], lrScale: 0, weightDecay: 0, frozen: true },
  ].filter((group) => group.parameters.length > 0);
}

/** The training step of a phase; of several ranks, that of the one at `slice`. */
export function buildPhaseStep(
  model: Model,
  settings: FixedSettings,
  phase: Phase,
  batchSize: number,
  slice: Slice = whole,
): TrainingStep {
  return buildTrainingStep(model, {
    batchSize: batchSize / slice.size,
    slice,
    local: settings.averageEvery !== undefined,
    groups: phase.groups,
    seed: settings.seed,
    optimizer: { name: settings.optimizer, momentum: settings.momentum, clip: settings.clipNorm },
    objective: objectiveOf(settings),
    dropout: settings.dropout,
    stochasticDepth: settings.stochasticDepth,
    accumulate: settings.accumulate,
    batchNormalization: settings.bn,
    syncBatchNormalization: settings.syncBn,
    average: settings.ema === undefined ? undefined : { decay: settings.ema },
  });
}

/**
 * What a training will run, as far as it is known before its images are: the step of the last
 * phase, which trains most, or a frozen backbone.
 */
export function graphsOf(model: Model, settings: Settings): readonly Graph[] {
  if (isFrozen(settings.mode)) return [featureGraph(model, earlierLayers(model))];
  const { batchSize, lr } = settings;
  const fixed: FixedSettings = {
    ...settings,
    batchSize: batchSize === 'auto' ? 32 : batchSize,
    lr: lr === 'auto' ? 1e-3 : lr,
  };
  const { main, apply } = buildPhaseStep(model, fixed, planPhases(model, fixed).at(-1)!, fixed.batchSize);
  return [main.graph, ...(apply ? [apply.graph] : [])];
}
