import * as v from 'valibot';

/**
 * What the JSON files of a run have to look like before anything is made of them: a run folder may
 * come from anybody. Types are in formats.ts; fields that nothing computes with are not looked at.
 */
const number = v.pipe(v.number(), v.finite());
/** Null is what JSON has for NaN and infinity. */
const measured = v.nullable(number);
const index = v.pipe(v.number(), v.integer(), v.minValue(0));

/** evaluation.json */
const evaluationSchema = v.looseObject({
  top1: measured,
  top5: measured,
  balanced: measured,
  count: number,
  loss: measured,
  ece: measured,
  refused: v.optional(index),
  perClass: v.record(v.string(), v.looseObject({ recall: measured, precision: measured, count: number })),
  confusion: v.array(v.array(index)),
  classes: v.array(v.string()),
  predictions: v.array(
    v.looseObject({ path: v.string(), label: v.string(), predicted: v.string(), confidence: measured }),
  ),
});

/** learned.json */
const learnedSchema = v.looseObject({ labelled: v.array(v.string()), unlabelled: v.array(v.string()) });

/** selection.json */
const selectionSchema = v.looseObject({
  images: v.array(v.looseObject({ path: v.string(), right: v.boolean(), loss: measured, logits: v.array(measured) })),
});

/** search.json */
const searchSchema = v.pipe(
  v.looseObject({
    cells: v.pipe(
      v.array(v.looseObject({ policy: v.string(), n: v.optional(number), m: v.optional(number) })),
      v.minLength(1),
    ),
    plan: v.looseObject({
      cells: index,
      baseline: v.optional(index),
      seeds: v.pipe(index, v.maxValue(10_000)),
      rungs: v.pipe(v.array(index), v.minLength(1), v.maxLength(1000)),
      eta: v.pipe(number, v.minValue(1)),
    }),
    heldOut: v.pipe(v.array(index), v.minLength(1)),
    measured: v.array(
      v.looseObject({
        cell: index,
        rung: index,
        seed: index,
        top1: number,
        loss: measured,
        right: v.pipe(v.string(), v.regex(/^[01]*$/)),
        seconds: number,
      }),
    ),
  }),
  v.check(
    ({ cells, plan, measured: done }) =>
      plan.cells === cells.length &&
      (plan.baseline ?? 0) < cells.length &&
      done.every(({ cell, rung }) => cell < cells.length && rung < plan.rungs.length),
    'names cells and rungs that it has not',
  ),
);

/** `settings` of a search's run.json. */
const searchSettingsSchema = v.variant('space', [
  v.looseObject({ space: v.literal('grid'), n: v.array(number), m: v.array(number) }),
  v.looseObject({ space: v.literal('policies') }),
]);

const images = v.looseObject({ path: v.string(), count: number, found: number });
const points = v.array(v.pipe(v.array(number), v.length(2)));

/** gap.json */
const gapSchema = v.pipe(
  v.looseObject({
    train: images,
    real: images,
    model: v.string(),
    neighbours: number,
    draws: number,
    policies: v.pipe(
      v.array(
        v.looseObject({
          augment: v.string(),
          coverage: number,
          density: number,
          mmd: number,
          interval: number,
          closes: measured,
          closesInterval: measured,
        }),
      ),
      v.minLength(1),
    ),
    expected: v.looseObject({ coverage: number }),
    halves: v.nullish(v.looseObject({ coverage: number, density: number, mmd: number, interval: number })),
    least: v.array(v.looseObject({ path: v.string(), score: number })),
    points: v.looseObject({
      train: points,
      real: points,
      augmented: v.record(v.string(), points),
      marked: v.array(index),
    }),
    seconds: number,
  }),
  v.check(({ points: { real, marked } }) => marked.every((at) => at < real.length), 'marks images that it has not'),
);

const schemas = {
  evaluation: evaluationSchema,
  learned: learnedSchema,
  selection: selectionSchema,
  search: searchSchema,
  searchSettings: searchSettingsSchema,
  gap: gapSchema,
} as const;

/** A file, or a part of one, that has a schema. */
export type Described = keyof typeof schemas;

/** What is wrong with a value, in words; undefined: nothing. */
export function faultOf(name: Described, value: unknown): string | undefined {
  const result = v.safeParse<v.GenericSchema>(schemas[name], value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return undefined;
  const [issue] = result.issues;
  const path = v.getDotPath(issue);
  if (path === null) return issue.message;
  return issue.received === 'undefined' ? `has no "${path}"` : `"${path}": ${issue.message}`;
}
