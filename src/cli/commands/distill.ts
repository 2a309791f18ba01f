import { PupilError } from '../../errors.js';
import { distillOptions, type DistillOptions } from '../../options/jobs.js';
import { command, dataArgument } from '../command.js';
import { showTraining } from './train.js';

export const distill = command('distill', 'Train a small model to imitate a larger one.', {
  arguments: { '[data]': dataArgument },
  options: distillOptions,
  examples: [
    'pupil distill photos --teacher runs/large --student mobilenetv3_small_100',
    'pupil distill --teacher runs/large --unlabelled more --student resnet20 --size 64',
    'pupil distill photos --teacher runs/a --teacher runs/b --student resnet18 --temperature 1 --alpha 0.5',
  ],
  async run({ data }, { json, ...options }, terminal) {
    if (options.resume === undefined) requireParts(data, options);
    const { distill: start } = await import('../../jobs/distill.js');
    await showTraining('distill', (signal) => start(data, { ...options, signal }), json, terminal);
  },
});

function requireParts(data: string | undefined, { teachers, model, unlabelled }: DistillOptions): void {
  const needs = (option: string, message: string): never => {
    throw new PupilError('usage', `distill needs ${message}`, { option });
  };
  if (!teachers?.length)
    needs('teachers', 'a teacher: `teachers: RUN`, an ONNX file or hf:owner/repo; see pupil distill --help');
  if (model === undefined)
    needs('model', 'a student: `model: NAME` (pupil models list shows them), or a trained model to fine-tune');
  if (data === undefined && !unlabelled?.length)
    needs('unlabelled', 'images: DATA with labels, `unlabelled: PATH` without, or both');
}
