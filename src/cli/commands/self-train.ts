import { selfTrainOptions } from '../../options/jobs.js';
import { createChainView, roundTable } from '../chain-view.js';
import { command, dataArgument, requireData } from '../command.js';
import { conclude } from '../result.js';
import { facts, runFacts } from '../table.js';
import { followRun } from '../training-progress.js';

export const selfTrain = command(
  'self-train',
  'Label your unlabelled photos with a model, train a new one on them, repeat (Noisy Student).',
  {
    arguments: { '[data]': dataArgument },
    options: selfTrainOptions,
    examples: [
      'pupil self-train photos --unlabelled more --model resnet20 --students resnet20,resnet32',
      'pupil self-train photos --labels-per-class 10 --model backbone.onnx --rounds 2',
      'pupil self-train --resume runs/self-train-1',
    ],
    async run({ data }, { json, ...options }, terminal) {
      requireData('self-train', data, options.resume);
      const { selfTrain: start } = await import('../../jobs/self-train.js');
      const result = await followRun(
        'self-train',
        (signal) => start(data, { ...options, signal }),
        terminal,
        createChainView,
      );
      const summary = (): string => `\n${roundTable(result.rounds, result.kept)}\n${facts(runFacts(result))}`;
      conclude(result, summary, json, terminal);
    },
  },
);
