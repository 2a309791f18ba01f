/** A thread that sees all images by a frozen network and works out labels from those given so far. */
import { foldsOf } from '../data/split.js';
import { unitRows } from '../evaluate/distribution.js';
import { argmax } from '../evaluate/metrics.js';
import { openLooker, type Looker, type Seen } from '../jobs/look.js';
import { resolveModel } from '../models/index.js';
import { common } from '../options/recipes.js';
import { consensus, type Consensus } from '../techniques/consensus.js';
import { doubtLabels } from '../techniques/label-errors.js';
import { fitRejection } from '../techniques/rejection.js';
import { suggestImages } from '../techniques/suggestions.js';
import { answer } from '../threads/answer.js';
import type { LookAtAll, Looked, Said, Think, ThinkRequest, Thought } from './think.js';

let looker: Looker | undefined;
let seen: Seen | undefined;
/** Ids of the images that were seen, by row. */
let ids: readonly number[] = [];

answer<ThinkRequest>(
  (request) => {
    if (request.kind === 'look') return look(request);
    if (request.kind === 'think') return think(request);
    return looker?.close();
  },
  ({ kind }) => kind === 'close',
);

async function look({ model: spec, samples, cache, progress }: LookAtAll): Promise<Looked> {
  // A head of any classes shows where the features are.
  const model = await resolveModel(spec, {
    labels: ['unlabelled', 'labelled'],
    purpose: 'pretrained',
    hub: { offline: true },
  });
  looker = await openLooker(model, { featureCache: cache });
  const looking = looker.lookAt(samples);
  for (;;) {
    const { done, value } = await looking.next();
    if (done) {
      seen = value;
      break;
    }
    if (value.type !== 'progress') continue;
    Atomics.store(progress, 0, value.done);
    Atomics.store(progress, 1, value.total);
  }
  const place = new Map(samples.map(({ path }, id) => [path, id]));
  ids = seen.samples.map(({ path }) => place.get(path)!);
  const { features, size } = seen.layers[0]!;
  const rows = new Float32Array(new SharedArrayBuffer(features.length * 4));
  rows.set(unitRows(features, size));
  return { architecture: model.architecture, ids, rows, size };
}

async function think({ labels: byId, classes, skipped, count }: Think): Promise<Thought> {
  const { engine } = looker!,
    { samples, layers } = seen!;
  const labels = Int32Array.from(ids, (id) => byId[id]!);
  const known = [...labels.keys()].filter((row) => labels[row]! >= 0);
  const learnable = known.map((row) => ({ ...samples[row]!, label: labels[row]!, split: 'train' as const, row }));
  const isLearnable = new Set(known.map((row) => labels[row])).size >= 2;
  const place = new Map(learnable.map((sample) => [sample, sample.row]));
  const folds = isLearnable
    ? foldsOf(learnable, common.folds).map(({ selection }) =>
        selection.flatMap((sample) => place.get(sample as (typeof learnable)[number]) ?? []),
      )
    : [];
  const agreed = isLearnable ? await consensus(engine, { networks: [layers], labels, classes }, folds) : undefined;
  const aside = new Set(skipped);
  // Those that were set aside are as good as chosen: what is like them is not asked for.
  const left = labels.length - known.length - aside.size;
  const suggestions = await suggestImages(
    engine,
    { layers, labels, classes, folds, agreed },
    Math.max(0, Math.min(left + aside.size, count + aside.size)),
  );
  return {
    predictions: agreed === undefined ? [] : predictionsOf(agreed, labels, classes),
    ...(agreed === undefined ? { heldOut: [], doubts: [] } : heldOutOf(agreed, labels, classes, folds)),
    strangers: strangersOf(labels, classes, aside),
    proposals: suggestions
      .filter(({ index }) => !aside.has(ids[index]!))
      .slice(0, count)
      .map(({ index, why }) => ({ id: ids[index]!, why })),
  };
}

const bestOf = (rows: Float32Array, row: number, classes: number): Said => {
  const label = argmax(rows, row * classes, classes);
  return { id: ids[row]!, label, confidence: rows[row * classes + label]! };
};

const predictionsOf = ({ probabilities, aside }: Consensus, labels: Int32Array, classes: number): Said[] =>
  [...labels.keys()]
    .filter((row) => labels[row]! < 0 && aside[row] === 0)
    .map((row) => bestOf(probabilities, row, classes));

function heldOutOf(
  { folds: said, aside }: Consensus,
  labels: Int32Array,
  classes: number,
  folds: readonly (readonly number[])[],
): Pick<Thought, 'heldOut' | 'doubts'> {
  const rows = folds.flatMap((fold, k) => fold.map((row) => ({ row, k }))).filter(({ row }) => aside[row] === 0);
  const probabilities = new Float32Array(rows.length * classes);
  rows.forEach(({ row, k }, i) =>
    probabilities.set(said[k]!.subarray(row * classes, (row + 1) * classes), i * classes),
  );
  const own = rows.map(({ row }) => labels[row]!);
  return {
    heldOut: rows.map(({ row, k }) => bestOf(said[k]!, row, classes)),
    doubts: doubtLabels(probabilities, own, classes)
      .filter(({ suspect }) => suspect)
      .map(({ index, suggested, suggestedConfidence }) => ({
        id: ids[rows[index]!.row]!,
        label: suggested,
        confidence: suggestedConfidence,
      })),
  };
}

/** Images unlike all classes, the most unlike first; none as long as too few have labels to tell. */
function strangersOf(labels: Int32Array, classes: number, skipped: ReadonlySet<number>): Thought['strangers'] {
  const { features, size } = seen!.layers[0]!;
  const known = [...labels.keys()].filter((row) => labels[row]! >= 0);
  const rows = new Float32Array(known.length * size);
  known.forEach((row, i) => rows.set(features.subarray(row * size, (row + 1) * size), i * size));
  const rejection = fitRejection({ features: rows, size, labels: known.map((row) => labels[row]!), classes });
  if (rejection === undefined) return [];
  const all = unitRows(features, size),
    means = rejection.means.data as Float32Array;
  return ids
    .map((id, row) => {
      const cosines = Array.from({ length: classes }, (_, c) => {
        let sum = 0;
        for (let k = 0; k < size; k++) sum += all[row * size + k]! * means[k * classes + c]!;
        return sum;
      });
      return { id, score: 1 - Math.max(...cosines) };
    })
    .filter(({ id, score }) => score > rejection.threshold && !skipped.has(id))
    .sort((a, b) => b.score - a.score);
}
