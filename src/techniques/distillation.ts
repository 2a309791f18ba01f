import { float32 } from '../tensor.js';
import { correctCount, teacherAndLabels } from '../train/losses.js';
import type { Objective } from '../train/objective.js';
import { mixingOf } from './augmentation.js';
import type { Settings } from '../runs/settings.js';
import { loaderOf } from './views.js';
import type { Technique, TechniqueContext } from './technique.js';
import { resizePixels, teachersSay } from './teacher.js';

/**
 * Knowledge distillation (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural
 * network"): the student learns what the teacher says of an image, softened by a temperature T.
 * With p_T = softmax(teacher / T) and q_T = softmax(student / T):
 *
 *   without a label   T^2 KL(p_T || q_T)
 *   with a label      alpha T^2 KL(p_T || q_T) + (1 - alpha) CE(label, softmax(student))
 *
 * The mean over the batch, in which images of both kinds are mixed. The teacher is fixed and sees
 * the view that the student sees (Beyer et al. 2022, "A good teacher is patient and consistent"),
 * at its own size; of views that never change it is asked once.
 */
export const distillationObjective =
  (settings: Settings): Objective =>
  (context) => {
    const { math: m, batchSize, classes, size } = context;
    const pixels = context.input('pixels', 'uint8', [batchSize, ...size, 3]);
    const targets = context.input('targets', 'float32', [batchSize, classes]);
    const teacher = context.input('teacher', 'float32', [batchSize, classes]);
    const student = context.forward(pixels);
    return m.scope('loss', () => ({
      loss: m.meanBatch(
        teacherAndLabels(m, student, teacher, targets, {
          temperature: settings.temperature!,
          alpha: settings.alpha!,
        }),
      ),
      // Agreement with the teacher: there may be no labels.
      metrics: { correct: correctCount(m, student, teacher) },
    }));
  };

function distillationBatches(context: TechniqueContext): ReturnType<Technique['batches']> {
  const { images, learnFrom, model, settings, teachers, firstEpoch } = context;
  const loader = loaderOf(context, { subset: [...learnFrom, ...images.unlabelled] });
  const [height, width] = model.preprocessing.size;
  const fixed = images.training === undefined && mixingOf(settings) === undefined;
  return {
    stepsPerEpoch: loader.stepsPerEpoch,
    async *batches(epoch, startStep) {
      for await (const batch of loader.batches(firstEpoch + epoch, startStep)) {
        const { count, targets, paths } = batch,
          classes = targets.length / count;
        const said = await teachersSay(teachers, batch, settings.temperature!, fixed);
        const pixels = resizePixels(batch, height, width);
        yield {
          feeds: {
            pixels: { dtype: 'uint8', dims: [count, height, width, 3], data: pixels },
            targets: float32([count, classes], targets),
            teacher: float32([count, classes], said),
          },
          files: paths,
          parts: [batch],
        };
      }
    },
  };
}

/** T and alpha as usual for CIFAR. */
export const distillation: Technique = {
  unlabelled: 'optional',
  objective: distillationObjective,
  batches: distillationBatches,
  defaults: { all: { temperature: 4, alpha: 0.9, labelSmoothing: 0 } },
};
