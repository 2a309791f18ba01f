import { pathToFileURL } from 'node:url';
import { selfTrainOptions } from '../../options/jobs.js';
import { createChainView, roundTable } from '../chain-view.js';
import { command, dataArgument, requireData } from '../command.js';
import { conclude } from '../result.js';
import { duration, facts } from '../table.js';
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
      const { rounds, kept, run: folder, model, seconds } = result;
      const summary = (): string =>
        `\n${roundTable(rounds, kept)}\n${facts([
          ['time', duration(seconds)],
          ['run', folder],
          ['model', model],
          ['report', pathToFileURL(`${folder}/report.html`).href],
        ])}`;
      conclude(result, summary, json, terminal);
    },
  },
);
