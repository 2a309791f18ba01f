import { prepareImages, type PreparedImages } from '../data/prepare.js';
import type { Preprocessing } from '../data/preprocessing.js';
import { groupOf, type Sample } from '../data/sample.js';
import { evaluationTarget } from '../data/target.js';
import type { Batch } from '../data/loader.js';
import { list } from '../data/dataset.js';
import type { Engine } from '../engine/engine.js';
import type { Graph } from '../graph/graph.js';
import { PupilError } from '../errors.js';
import { run } from '../evaluate/evaluate.js';
import { classifierOf, deployedGraph } from '../evaluate/load.js';
import { argmax, besideChance, effectiveCount, isBetterThanChance } from '../evaluate/metrics.js';
import type { Classifier } from '../evaluate/classifier.js';
import { resize } from '../image/resize.js';
import type { Model } from '../models/model.js';

/**
 * A trained network to learn from. It is only ever run: its weights are constants of an inference
 * graph.
 */
export interface Teacher {
  readonly name: string;
  readonly preprocessing: Preprocessing;
  /**
   * Logits of pixels uint8 [count, H, W, 3] of its own size: float32 [count, classes], in the order
   * of the run's classes.
   */
  logits(pixels: Uint8Array, count: number): Promise<Float32Array>;
  /** Logits of images whose view never changes, by their index, once they are known. */
  readonly known: Map<number, Float32Array>;
  close(): Promise<void>;
}

/** A model to be a teacher, not yet running. */
export interface TeacherModel {
  readonly name: string;
  readonly model: Model;
  /** For each class of the run its place among the teacher's outputs. */
  readonly columns: readonly number[];
}

/**
 * A model as a teacher of `classes`. Its outputs are matched by name; one without names must have
 * as many outputs. Throws `bad-data` when it does not know a class.
 */
export function teacherOf(name: string, model: Model, classes: readonly string[]): TeacherModel {
  const { labels } = model,
    outputs = model.head?.classes ?? Number(model.graph.values.get('logits')?.shape[1]);
  if (labels === undefined) {
    if (outputs === classes.length) return { name, model, columns: classes.map((_, i) => i) };
    throw new PupilError(
      'bad-data',
      `teacher ${name} has ${outputs} outputs without names, the data has ${classes.length} classes ` +
        `(${list(classes)}); name its classes with \`teacherClassNames\`, or fine-tune it on these classes first`,
    );
  }
  const missing = classes.filter((label) => !labels.includes(label));
  if (missing.length > 0) {
    throw new PupilError(
      'bad-data',
      `teacher ${name} does not know the ${missing.length === 1 ? 'class' : 'classes'} ${list(missing)} of the data ` +
        `(it knows ${list(labels)}); fine-tune it on these classes first, or give data of its classes`,
    );
  }
  return { name, model, columns: classes.map((label) => labels.indexOf(label)) };
}

/** What a teacher will run. */
export const teacherGraph = ({ model }: TeacherModel): Graph => deployedGraph(model);

/** Starts a teacher as an inference-optimised program. */
export async function openTeacher(engine: Engine, { name, model, columns }: TeacherModel): Promise<Teacher> {
  const classifier = await classifierOf(engine, model, { exact: false });
  const outputs = classifier.labels.length;
  const isIdentity = columns.length === outputs && columns.every((column, i) => column === i);
  return {
    name,
    preprocessing: model.preprocessing,
    known: new Map(),
    async logits(pixels, count) {
      const { logits } = await classifier.run(pixels, count);
      if (isIdentity) return logits;
      return Float32Array.from(
        { length: count * columns.length },
        (_, i) => logits[Math.floor(i / columns.length) * outputs + columns[i % columns.length]!]!,
      );
    },
    close: () => classifier.close(),
  };
}

/**
 * Asks a teacher once for each of `samples`, as it evaluates them; the answers stay in `known`
 * under their indexes in `all`.
 */
export async function askOnce(
  teacher: Teacher,
  samples: readonly Sample[],
  all: PreparedImages,
  classes: readonly string[],
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  if (samples.length === 0) return;
  const target = evaluationTarget(teacher.preprocessing);
  const images = await prepareImages(samples, { pool: all.pool, target, share: true });
  try {
    const asClassifier: Pick<Classifier, 'labels' | 'run'> = {
      labels: classes,
      run: async (pixels, count) => {
        const logits = await teacher.logits(pixels, count);
        return { logits, probabilities: logits };
      },
    };
    const { logits } = await run(asClassifier, images, {
      onProgress: (done) => onProgress(done, images.samples.length),
    });
    const rowOf = new Map(images.samples.map(({ path }, row) => [path, row]));
    all.samples.forEach(({ path }, index) => {
      const row = rowOf.get(path);
      if (row !== undefined) teacher.known.set(index, logits.slice(row * classes.length, (row + 1) * classes.length));
    });
  } finally {
    images.close();
  }
}

/**
 * What teachers say of a batch, [count, classes]: one teacher's logits; of several, T log of the
 * mean of their p_T, whose p_T is that mean. With `fixed` the answers that `askOnce` has kept.
 */
export async function teacherLogits(
  teachers: readonly Teacher[],
  batch: Batch,
  temperature: number,
  fixed: boolean,
): Promise<Float32Array> {
  const answers: Float32Array[] = [];
  for (const teacher of teachers) {
    if (fixed) answers.push(rows(batch, (index) => teacher.known.get(index)!));
    else {
      const [height, width] = teacher.preprocessing.size;
      answers.push(await teacher.logits(resizePixels(batch, height, width), batch.count));
    }
  }
  return answers.length === 1 ? answers[0]! : meanOpinion(answers, batch.count, temperature);
}

const rows = ({ indexes }: Batch, rowOf: (index: number) => Float32Array): Float32Array =>
  Float32Array.from([...indexes].flatMap((index) => [...rowOf(index)]));

/** T log(mean over teachers of softmax(z / T)), in double precision. */
export function meanOpinion(answers: readonly Float32Array[], count: number, temperature: number): Float32Array {
  const classes = answers[0]!.length / count;
  const result = new Float32Array(count * classes);
  for (let row = 0; row < count; row++) {
    const mean = new Float64Array(classes);
    for (const logits of answers) {
      const own = logits.subarray(row * classes, (row + 1) * classes),
        most = Math.max(...own);
      const powers = Float64Array.from(own, (z) => Math.exp((z - most) / temperature));
      const sum = powers.reduce((a, b) => a + b, 0);
      powers.forEach((p, c) => {
        mean[c]! += p / sum / answers.length;
      });
    }
    mean.forEach((p, c) => {
      result[row * classes + c] = temperature * Math.log(Math.max(p, 1e-300));
    });
  }
  return result;
}

/**
 * The images of a batch at another size, [count, height, width, 3]; a copy where the size is the
 * same, since buffers are given away.
 */
export function resizePixels(
  { pixels, count, height: h, width: w }: Pick<Batch, 'pixels' | 'count' | 'height' | 'width'>,
  height: number,
  width: number,
): Uint8Array {
  if (h === height && w === width) return pixels.slice();
  const result = new Uint8Array(count * height * width * 3);
  for (let i = 0; i < count; i++) {
    result.set(
      resize({ width: w, height: h, data: pixels.subarray(i * h * w * 3, (i + 1) * h * w * 3) }, width, height).data,
      i * height * width * 3,
    );
  }
  return result;
}

/**
 * Throws `bad-data` when a teacher is right on labelled images no more often than chance. `known`
 * holds its answers.
 */
export function assertBetterThanChance({ name, known }: Teacher, samples: readonly Sample[], classes: number): void {
  const labelled = [...known].filter(([index]) => samples[index]!.label >= 0);
  const right = labelled.filter(([index, logits]) => argmax(logits, 0, classes) === samples[index]!.label).length;
  const count = labelled.length,
    independent = effectiveCount(labelled.map(([index]) => groupOf(samples[index]!)));
  if (isBetterThanChance(right, count, classes, independent)) return;
  throw new PupilError(
    'bad-data',
    `teacher ${name}: ${besideChance(right, count, classes, 'labelled images')}; ` +
      'check its classes, `teacherNormalize`, `teacherChannels` and `teacherSize`; ' +
      'pupil evaluate shows its predictions',
  );
}
