import { distill as run } from '../../jobs/distill.js';
import { PupilError } from '../../errors.js';
import type { Terminal } from '../terminal.js';
import type { DistillOptions } from '../training-options.js';
import { refuseChanges, runTraining } from './train.js';

/** `pupil distill [DATA]`. */
export async function distill(
  data: string | undefined,
  { teacher, student, ...rest }: DistillOptions,
  terminal: Terminal,
): Promise<void> {
  const options = { ...rest, ...(teacher && { teachers: teacher }), ...(student !== undefined && { model: student }) };
  if (options.resume !== undefined) await refuseChanges(options.resume, data, options);
  else {
    if (!teacher?.length)
      throw new PupilError(
        'usage',
        'distill needs a teacher: --teacher RUN, an ONNX file or hf:owner/repo; see pupil distill --help',
      );
    if (student === undefined)
      throw new PupilError(
        'usage',
        'distill needs a student: --student NAME (pupil models list shows them), or a trained model to fine-tune',
      );
    if (data === undefined && !rest.unlabelled?.length)
      throw new PupilError('usage', 'distill needs images: DATA with labels, --unlabelled PATH without, or both');
  }
  await runTraining(data, options, terminal, 'distill', run);
}
