import * as v from 'valibot';

/**
 * What the JSON files of a run have to look like before anything is made of them: a run folder may
 * come from anybody. Types are in formats.ts; fields that nothing computes with are not looked at.
 */
const number = v.pipe(v.number(), v.finite());
/** Null is what JSON has for NaN and infinity. */
const measured = v.nullable(number);
const index = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Of images, as how many independent ones they count. */
const independent = v.optional(v.pipe(number, v.minValue(1)));

/** evaluation.json */
const evaluationSchema = v.looseObject({
  top1: measured,
  top5: measured,
  balanced: measured,
  count: number,
  independent,
  loss: measured,
  ece: measured,
  eceByChance: v.optional(number),
  accepted: v.optional(index),
  drawn: v.optional(v.looseObject({ top1: number, count: v.pipe(index, v.minValue(1)), independent })),
  refused: v.optional(index),
  perClass: v.record(v.string(), v.looseObject({ recall: measured, precision: measured, count: number })),
  confusion: v.array(v.array(index)),
  classes: v.array(v.string()),
  predictions: v.array(
    v.looseObject({
      path: v.string(),
      label: v.string(),
      predicted: v.string(),
      confidence: measured,
      group: v.optional(v.string()),
    }),
  ),
});

/** learned.json */
const learnedSchema = v.looseObject({
  labelled: v.array(v.string()),
  unlabelled: v.array(v.string()),
  pixels: v.optional(v.array(v.string())),
});

/** selection.json */
const selectionSchema = v.looseObject({
  images: v.array(
    v.looseObject({
      path: v.string(),
      right: v.boolean(),
      group: v.optional(v.string()),
      loss: measured,
      logits: v.array(measured),
    }),
  ),
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
    groups: v.optional(v.array(v.array(v.nullable(v.string())))),
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

const text = v.string();
const optional = <S extends v.GenericSchema>(schema: S): v.OptionalSchema<S, undefined> => v.optional(schema);
const named = v.record(text, v.unknown());

const sourceSchema = v.looseObject({ name: v.nullable(text), licence: v.nullable(text) });

/** run.json; its settings are checked by their command. */
const configSchema = v.looseObject({
  command: optional(text),
  settings: optional(named),
  reasons: optional(v.record(text, text)),
  classes: optional(v.array(text)),
  dataHash: optional(text),
  filesHash: optional(text),
  architecture: optional(text),
  backbone: optional(sourceSchema),
  teachers: optional(v.array(sourceSchema)),
  versions: optional(v.record(text, text)),
  engine: optional(text),
  ranOn: optional(v.looseObject({ name: text, precision: v.picklist(['f32', 'bf16']) })),
  machine: optional(v.pipe(text, v.regex(/^[0-9a-f]{12}$/))),
  checksum: optional(text),
});

/** What machines that train together have agreed on (shared-folder.ts). */
const agreementSchema = v.looseObject({
  version: text,
  command: text,
  images: text,
  names: text,
  network: text,
  teaching: text,
  options: named,
});

/** A training of a job that other processes may make (tasks.ts). */
const taskSchema = v.looseObject({
  title: text,
  out: text,
  hash: text,
  samples: v.array(v.union([index, v.tuple([index, named])])),
  options: named,
  begun: v.looseObject({ folder: text, run: text }),
});

/** result.json: what trainings that build on another read of it. */
const resultSchema = v.looseObject({
  run: text,
  seconds: number,
  completed: optional(number),
  val: optional(v.looseObject({ top1: measured, count: index, independent })),
  test: optional(v.looseObject({ top1: measured, count: index, independent })),
});

/** folds.json: a fold that is not finished is null. */
const foldsSchema = v.array(v.nullable(v.array(measured)));

/** automatic.json */
const automaticSchema = v.looseObject({
  batchSize: v.pipe(index, v.minValue(1)),
  lr: number,
  backboneLr: optional(number),
});

const accuracy = v.looseObject({
  top1: measured,
  interval: v.nullish(number),
  count: v.nullish(number),
  independent,
});
const reported = v.looseObject({ ...accuracy.entries, split: optional(v.picklist(['val', 'test'])) });
const gain = v.looseObject({ mean: measured, interval: v.nullish(number) });
const measuredRun = {
  parameters: optional(number),
  selection: optional(accuracy),
  test: optional(reported),
  gain: optional(gain),
  run: optional(text),
};

/** rounds.json */
const roundsSchema = v.looseObject({
  kept: index,
  rounds: v.array(
    v.looseObject({ ...measuredRun, round: index, student: text, helped: optional(v.boolean()), seconds: number }),
  ),
  stopped: optional(text),
});

/** ladder.json */
const ladderSchema = v.looseObject({
  rungs: v.array(
    v.looseObject({
      ...measuredRun,
      name: text,
      what: optional(text),
      model: optional(text),
      optimistic: optional(v.boolean()),
      kept: optional(v.boolean()),
      reason: optional(text),
      seconds: optional(number),
      expectedSeconds: v.nullish(number),
      skipped: optional(v.boolean()),
    }),
  ),
  kept: optional(text),
  budgetMinutes: v.nullish(number),
  seconds: v.nullish(number),
  stopped: optional(text),
  underWay: v.nullish(v.looseObject({ name: text, seconds: number })),
});

/** seeds.json */
const seedsSchema = v.looseObject({
  seeds: v.array(index),
  kept: index,
  techniques: v.array(
    v.looseObject({
      name: text,
      kept: index,
      selection: optional(accuracy),
      test: optional(accuracy),
      seconds: number,
    }),
  ),
});

/** plan.json */
const planSchema = v.looseObject({
  rungs: v.array(
    v.looseObject({
      name: text,
      expectedSeconds: v.nullable(v.number()),
      usualSeconds: v.nullish(v.number()),
      leastSeconds: v.nullish(v.number()),
      besideSeconds: v.nullish(v.number()),
      mostSeconds: v.nullish(v.number()),
      skip: optional(text),
    }),
  ),
  unlabelled: optional(index),
  closingSeconds: optional(number),
  reasons: optional(v.record(text, text)),
});

const labelled = {
  total: number,
  accepted: number,
  threshold: v.nullish(number),
  meanConfidence: measured,
  histogram: v.array(number),
  acceptedHistogram: v.array(number),
  perClass: v.record(text, v.looseObject({ predicted: number, accepted: number, copies: number })),
  samples: v.record(text, v.array(text)),
  doubtful: v.array(text),
  outOfDistribution: optional(v.looseObject({ count: number, paths: v.array(text) })),
};

/** The statistics beside the labels of a part. */
const labelledPartSchema = v.looseObject(labelled);

/** pseudo-labels.json */
const pseudoLabelsSchema = v.looseObject({
  rounds: v.array(
    v.partial(v.looseObject({ ...labelled, round: index, name: text, teacher: text, moved: v.nullable(number) })),
  ),
});

/** The JSON of a checkpoint; `meta` is its owner's. */
const checkpointSchema = v.looseObject({
  format: number,
  best: v.boolean(),
  tensors: v.looseObject({ file: v.pipe(text, v.regex(/^\d+\.safetensors$/)), bytes: index, sha256: text }),
});

const best = v.nullable(v.looseObject({ epoch: index, step: index, score: measured }));
/** `meta` of a training's checkpoint. */
const positionSchema = v.looseObject({
  phase: index,
  fit: v.looseObject({
    epoch: index,
    finished: v.boolean(),
    stepInEpoch: index,
    step: index,
    plannedSteps: v.nullable(index),
    sums: v.looseObject({ loss: measured, correct: measured, images: index, steps: index }),
    best,
    waited: index,
    seconds: number,
  }),
  metrics: v.looseObject({ bytes: index, sha256: text }),
  averaged: v.boolean(),
});

const alikeImage = v.looseObject({ path: text, split: text, label: optional(text) });
/** alike.json */
const alikeSchema = v.looseObject({
  count: index,
  pairs: v.array(v.looseObject({ first: alikeImage, second: alikeImage, samePixels: v.boolean() })),
});

const schemas = {
  alike: alikeSchema,
  agreement: agreementSchema,
  config: configSchema,
  result: resultSchema,
  folds: foldsSchema,
  automatic: automaticSchema,
  choices: named,
  workTime: v.looseObject({ seconds: number }),
  warnings: v.looseObject({ warnings: v.array(text) }),
  rounds: roundsSchema,
  ladder: ladderSchema,
  seeds: seedsSchema,
  plan: planSchema,
  labelledPart: labelledPartSchema,
  pseudoLabels: pseudoLabelsSchema,
  checkpoint: checkpointSchema,
  position: positionSchema,
  evaluation: evaluationSchema,
  learned: learnedSchema,
  selection: selectionSchema,
  search: searchSchema,
  searchSettings: searchSettingsSchema,
  gap: gapSchema,
  task: taskSchema,
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
