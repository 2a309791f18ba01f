import { correctCount } from '../train/losses.js';
import { labelLoss } from '../train/objective.js';
import type { Value } from '../graph/graph.js';
import { labelOptions, rampUpTo } from './parts.js';
import { technique } from './technique.js';

/**
 * Mean Teacher (Tarvainen and Valpola 2017): the student agrees with the running average of its own
 * weights, the teacher, on two views of every image, which are varied independently:
 *
 *   loss = mean CE(label, x) + w(t) * mean over all images of ||softmax(student(view 1)) -
 *          softmax(teacher(view 2))||^2
 *   w(t) = lambda exp(-5 (1 - min(1, t / T))^2),   T = ramp-up * all steps
 *
 * No gradient goes through the teacher. It is run as in training: dropout is drawn, and
 * BatchNormalization takes the statistics of the teacher's own batch.
 */
export const meanTeacher = technique({
  name: 'mean-teacher',
  says: 'agreement with the running average of the weights on every image',
  source:
    'Tarvainen and Valpola 2017, "Mean teachers are better role models: weight-averaged consistency targets improve ' +
    'semi-supervised deep learning results"',
  needs: { labels: true, unlabelled: true },
  options: ['unlabelledRatio', 'unlabelledWeight', 'rampUp', ...labelOptions],
  views: [
    { name: 'labelled', images: 'labelled', augment: 'augment', perLabelled: 1, targets: true },
    { name: 'unlabelled', images: 'unlabelled', augment: 'augment', perLabelled: 'unlabelledRatio' },
    { name: 'labelled again', images: 'labelled', augment: 'augment', perLabelled: 1, cost: 1 / 3 },
    { name: 'unlabelled again', images: 'unlabelled', augment: 'augment', perLabelled: 'unlabelledRatio', cost: 1 / 3 },
  ],
  loss: (context, { unlabelledWeight, rampUp, ...labels }) => {
    const { math: m, forward, targets } = context;
    const student = forward(['labelled', 'unlabelled']);
    const teacher = forward(['labelled again', 'unlabelled again'], { weights: 'averaged' });
    const distance = (a: Value, b: Value): Value => m.sumClasses(m.square(m.sub(m.softmax(a), m.softmax(b))));
    const distances = m.concat([
      distance(student.labelled, teacher['labelled again']),
      distance(student.unlabelled, teacher['unlabelled again']),
    ]);
    const consistency = m.meanBatch(distances);
    const weight = rampUpTo(context, unlabelledWeight, rampUp, (x) => Math.exp(-5 * (1 - x) ** 2));
    return {
      loss: m.add(labelLoss(m, student.labelled, targets('labelled'), labels), m.mul(consistency, weight)),
      metrics: { correct: correctCount(m, student.labelled, targets('labelled')), unsupervised: consistency },
    };
  },
});
