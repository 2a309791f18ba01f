import type { Job } from '../../job.js';
import { trainingOptions } from '../../options/training.js';
import type { RunEvent, TrainResult } from '../../runs/events.js';
import { command, dataArgument, requireData } from '../command.js';
import { describeMetrics } from '../measures.js';
import { conclude } from '../result.js';
import { facts, percent, runFacts } from '../table.js';
import type { Terminal } from '../terminal.js';
import { createView, followRun } from '../training-progress.js';

export const train = command('train', 'Train a classifier on labelled images.', {
  arguments: { '[data]': dataArgument },
  options: trainingOptions,
  examples: [
    'pupil train photos --mode probe --model mobilenetv2.onnx --normalize symmetric',
    'pupil train photos --model hf:timm/mobilenetv3_small_100.lamb_in1k --epochs 10 --out runs/photos',
    'pupil train cifar10.tar --mode scratch --model resnet18-small --optimizer sgd --lr 0.1 --epochs 30',
    'pupil train photos --mode scratch --model resnet20 --unlabelled more --technique fixmatch',
    'pupil train photos --model backbone.onnx --pseudo-labels pseudo.csv',
    'pupil train --resume runs/photos',
  ],
  async run({ data }, { json, ...options }, terminal) {
    requireData('train', data, options.resume);
    const { train: start } = await import('../../runs/train.js');
    await showTraining('train', (signal) => start(data, { ...options, signal }), json, terminal);
  },
});

/** Follows a training and presents its result. */
export async function showTraining(
  name: string,
  start: (signal: AbortSignal) => Job<RunEvent, TrainResult>,
  json: boolean | undefined,
  terminal: Terminal,
): Promise<void> {
  const result = await followRun(name, start, terminal, createView);
  conclude(result, () => summary(result), json, terminal);
}

/** The summary table at the end of a training. */
export function summary(result: TrainResult): string {
  const { best, val, test } = result;
  const chosen =
    best.top1 === undefined
      ? 'no held-out images: the weights of the last epoch'
      : `${percent(best.top1)} (epoch ${best.epoch})`;
  const measured = test ?? val;
  const metrics =
    measured === undefined
      ? 'nothing is held out, so nothing is measured'
      : describeMetrics(measured, Object.keys(measured.perClass));
  const rows = facts([['validation', chosen], ...runFacts(result)]);
  return `\n${test === undefined ? 'validation' : 'test'}: ${metrics}\n${rows}`;
}
