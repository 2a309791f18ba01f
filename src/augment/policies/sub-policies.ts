import * as v from 'valibot';
import { ops, type OpName } from '../ops.js';
import * as option from '../options.js';
import { row, type Transform } from '../transform.js';
import {
  applyDrawn,
  describeDrawn,
  drawOp,
  drawOptions,
  opOptions,
  opSchema,
  pick,
  reach,
  scaleSchema,
  type Drawn,
} from './draw.js';
import { largest } from './scales.js';
import { subPolicies } from './tables.js';

/**
 * AutoAugment with its published policy for a data set (Cubuk et al. 2019): one of 25 sub-policies
 * per image, each of its two ops applied with a probability of its own, the sign drawn per op.
 */
export const autoAugment = row(
  v.strictObject({
    policy: v.optional(v.picklist(['imagenet', 'cifar10', 'svhn'], 'give imagenet, cifar10 or svhn'), 'imagenet'),
    ...drawOptions,
  }),
  ({ policy, ...options }): Transform<readonly Drawn[]> => {
    const how = opOptions(options, 'autoAugment');
    return {
      name: 'autoAugment',
      sample: (random, size) =>
        pick(random, subPolicies[policy])
          .filter(([, probability]) => random.chance(probability))
          .map(([op, , m]) => drawOp(random, 'autoAugment', op, m, size)),
      apply: (image, drawn) => applyDrawn(image, drawn, how),
      describe: describeDrawn,
    };
  },
);

/** Whether the op's value depends on the magnitude, so that it needs one. */
export const needsMagnitude = (op: OpName): boolean => ops[op].unit !== 'none';

const stepSchema = v.strictObject(
  {
    op: opSchema,
    magnitude: v.optional(option.numberFrom(0, 30)),
    probability: v.optional(option.share),
  },
  'give an op: {"op", "magnitude", "probability"}',
);

const policiesSchema = v.pipe(
  v.array(
    v.pipe(v.array(stepSchema, 'give a list of ops'), v.minLength(1, 'give one op or more')),
    'give lists of ops: [[{"op", "magnitude"}]]',
  ),
  v.minLength(1, 'give one list of ops or more'),
);

export const randomChoiceOptions = v.pipe(
  v.strictObject({ policies: policiesSchema, scale: scaleSchema, ...drawOptions }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { value } = dataset;
    const item = <T extends 'object' | 'array', K>(type: T, input: object, key: K, inside: unknown) =>
      ({ type, origin: 'value', input, key, value: inside }) as never;
    for (const [i, list] of value.policies.entries()) {
      for (const [j, step] of list.entries()) {
        const { op, magnitude: m } = step;
        if (needsMagnitude(op) ? m !== undefined && m <= largest[value.scale] : true) continue;
        addIssue({
          message: reach(value.scale),
          input: m,
          path: [
            item('object', value, 'policies', value.policies),
            item('array', value.policies, i, list),
            item('array', list, j, step),
            item('object', step, 'magnitude', m),
          ],
        });
        return;
      }
    }
  }),
);

/**
 * Lists of ops with a magnitude each (on one scale) and a probability (default 1): one list is
 * drawn per image and its ops run in order. With a single list, that list. What `search --space
 * policies` finds.
 */
export const randomChoice = row(randomChoiceOptions, ({ policies, scale, ...options }): Transform<readonly Drawn[]> => {
  const how = opOptions(options, scale);
  return {
    name: 'randomChoice',
    sample: (random, size) =>
      pick(random, policies)
        .filter(({ probability = 1 }) => random.chance(probability))
        .map(({ op, magnitude: m = 0 }) => drawOp(random, scale, op, m, size)),
    apply: (image, drawn) => applyDrawn(image, drawn, how),
    describe: describeDrawn,
  };
});
