import { gapOptions } from '../../options/tools.js';
import { command, dataArgument } from '../command.js';
import { conclude } from '../result.js';
import { followAlone } from '../training-progress.js';

export const gap = command(
  'gap',
  'Measure how far training images are from real ones, and how much augmentation helps.',
  {
    arguments: { '<data>': dataArgument },
    options: gapOptions,
    examples: [
      'pupil gap photos --real camera --model mobilenetv2.onnx --normalize symmetric',
      'pupil gap photos --real photos/val --model runs/photos --augment basic --augment augmix --draws 4',
    ],
    async run({ data }, { json, ...options }, terminal) {
      const [{ gap: start }, { gapSummary }] = await Promise.all([
        import('../../jobs/gap/gap.js'),
        import('../gap-summary.js'),
      ]);
      const result = await followAlone((signal) => start(data, { ...options, signal }), terminal);
      conclude(result, () => gapSummary(result), json, terminal);
    },
  },
);
