import { openImages } from '../data/dataset.js';
import type { Dataset } from '../data/sample.js';
import { holdOut } from '../data/split.js';
import { PupilError } from '../errors.js';
import { evaluateSamples } from '../evaluate/evaluate.js';
import { loadModel } from '../evaluate/load.js';
import { argmax } from '../evaluate/metrics.js';
import { Job } from '../job.js';
import { isBuiltIn } from '../models/index.js';
import { foreignTeacher, ofTeacher } from '../runs/consult.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { distillOptions, type DistillOptions } from '../options/jobs.js';
import { withSignal } from '../options/option.js';
import { joinAlike } from '../runs/ranks.js';
import type { TrainOptions } from '../runs/resolve.js';
import { readRequest, type WithValues } from '../runs/values.js';
import { trainAs } from '../runs/train.js';

/**
 * What `distill` can be told: `teachers` and, as `model`, the student are required (docs/options.md).
 */
export interface DistillRequest extends WithValues<DistillOptions> {}

/**
 * Knowledge distillation: trains the student `model` on what `teachers` say of the images of `data`
 * (with the labels that it has) and of `unlabelled`. A built-in student begins with fresh weights,
 * any other is fine-tuned. Without `data` the classes are the teacher's, and what is measured on
 * held-out images is agreement with it. Gives what `train` gives; throws the same errors.
 */
export function distill(data: string | Dataset | undefined, options: DistillRequest): Job<RunEvent, TrainResult> {
  return new Job(async function* (signal) {
    const told = await readRequest<DistillOptions>(distillOptions, withSignal(options, signal));
    const { model: student, resume } = told;
    const mode = student !== undefined && isBuiltIn(student) ? 'scratch' : 'finetune';
    const own: TrainOptions = resume === undefined ? { technique: 'distillation', mode } : {};
    const ranks = await joinAlike('distill', options, signal);
    const all = withSignal({ ...told, ...own }, AbortSignal.any([signal, ranks.signal]));
    return yield* trainAs('distill', data, all, { dataOf: unlabelledOnly, ranks });
  }, options);
}

/**
 * A data set of images without labels: a fifth is held out, its labels what the first teacher says.
 */
async function unlabelledOnly(options: TrainOptions): Promise<Dataset> {
  const { teachers = [], unlabelled = [], engine, threads, signal } = options;
  const [name] = teachers;
  if (name === undefined || unlabelled.length === 0)
    throw new PupilError('usage', 'distillation without labelled data needs `teachers` and `unlabelled`', {
      option: name === undefined ? 'teachers' : 'unlabelled',
    });
  const teacher = await loadModel(name, {
    ...foreignTeacher(options),
    purpose: 'evaluation',
    engine,
    threads,
  }).catch(ofTeacher);
  try {
    const opened = await openImages(unlabelled, { signal });
    const { selection } = holdOut(opened.samples, 0.2);
    const { samples, logits } = await evaluateSamples(teacher, selection);
    const labels = new Map(
      samples.map(({ path }, row) => [path, argmax(logits, row * teacher.labels.length, teacher.labels.length)]),
    );
    return {
      ...opened,
      classes: teacher.labels,
      samples: opened.samples.map((sample) => {
        const label = labels.get(sample.path);
        return label === undefined ? sample : { ...sample, label, split: 'val' };
      }),
    };
  } finally {
    await teacher.close();
  }
}
