import { distillationOptions } from '../options/techniques.js';
import { correctCount, teacherAndLabels } from '../train/losses.js';
import { mixingOptions } from './parts.js';
import { technique } from './technique.js';

/**
 * Knowledge distillation (Hinton, Vinyals and Dean 2015): the student learns what the teacher says
 * of an image, softened by a temperature T. With p_T = softmax(teacher / T) and q_T =
 * softmax(student / T):
 *
 *   without a label   T^2 KL(p_T || q_T)
 *   with a label      alpha T^2 KL(p_T || q_T) + (1 - alpha) CE(label, softmax(student))
 *
 * The mean over the batch, in which images of both kinds are mixed. The teacher is fixed and sees
 * the view that the student sees (Beyer et al. 2022, "A good teacher is patient and consistent"),
 * at its own size; of views that never change it is asked once.
 */
export const distillation = technique({
  name: 'distillation',
  says: 'a network imitates one or several trained ones',
  source: 'Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network"',
  needs: { labels: 'optional', unlabelled: 'optional', teacher: true },
  options: [...distillationOptions, ...mixingOptions],
  views: [{ name: 'all', images: 'all', augment: 'augment', perLabelled: 1, targets: true, cost: 4 / 3 }],
  loss: ({ math: m, forward, targets, teacher }, { temperature, alpha }) => {
    const { all: student } = forward(['all']);
    return {
      loss: m.meanBatch(teacherAndLabels(m, student, teacher(), targets('all'), { temperature, alpha })),
      // Agreement with the teacher: there may be no labels.
      metrics: { correct: correctCount(m, student, teacher()) },
    };
  },
});
