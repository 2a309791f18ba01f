/** What the studio's assistant works out from the features of all images and the labels given so far. */
import { foldsOf } from '../data/split.js';
import type { Engine } from '../engine/engine.js';
import { argmax } from '../evaluate/metrics.js';
import type { Seen } from '../jobs/look.js';
import { common } from '../options/recipes.js';
import type { Views } from '../techniques/closed-form/views.js';
import { consensus, setAside, type Consensus } from '../techniques/consensus.js';
import { doubtLabels } from '../techniques/label-errors.js';
import { fitRejection } from '../techniques/rejection.js';
import { suggestImages } from '../techniques/suggestions.js';
import type { Known, Learned, Proposed, Said } from './think.js';

/** Numbers of a consensus, images times classes, beyond which fewer labels are held out in turn. */
const many = 50_000;
const fewFolds = 3;

/** All that was seen of the images, which does not change with labels. */
export interface Sight extends Pick<Seen, 'samples' | 'layers'> {
  /** Ids of the images, by row. */
  readonly ids: readonly number[];
  /** Features of the last layer, of unit length. */
  readonly unit: Float32Array;
  readonly views: Views;
}

/** What was learned of some labels, by row. */
export interface Lesson {
  readonly labels: Int32Array;
  readonly classes: number;
  readonly skipped: ReadonlySet<number>;
  readonly folds: readonly (readonly number[])[];
  /** Of those with labels, which were drawn at random. */
  readonly drawn: readonly number[] | undefined;
  /** Undefined as long as fewer than two classes have labels. */
  readonly agreed: Consensus | undefined;
}

/** Learns from the labels of now. `strange`: images that look like no class, as `propose` found them last. */
export async function learn(
  engine: Engine,
  sight: Sight,
  { labels: byId, classes, skipped, drawn: sample }: Known,
  strange: Uint8Array = new Uint8Array(sight.ids.length),
): Promise<Lesson & { readonly learned: Learned }> {
  const { ids, samples, layers, views } = sight;
  const labels = Int32Array.from(ids, (id) => byId[id]!);
  const known = [...labels.keys()].filter((row) => labels[row]! >= 0);
  const learnable = known.map((row) => ({ ...samples[row]!, label: labels[row]!, split: 'train' as const, row }));
  const isLearnable = new Set(known.map((row) => labels[row])).size >= 2;
  const place = new Map(learnable.map((sample) => [sample, sample.row]));
  const most = ids.length * classes > many ? fewFolds : common.folds;
  const folds = isLearnable
    ? foldsOf(learnable, most).map(({ selection }) =>
        selection.flatMap((sample) => place.get(sample as (typeof learnable)[number]) ?? []),
      )
    : [];
  const set = { networks: [layers], labels, classes, views, aside: strange, isQuick: true };
  const agreed = isLearnable ? await consensus(engine, set, folds) : undefined;
  const isDrawn = sample && new Set(sample);
  const drawn = isDrawn && known.filter((row) => isDrawn.has(ids[row]!));
  const lesson = { labels, classes, skipped: new Set(skipped), folds, drawn, agreed };
  if (agreed === undefined) return { ...lesson, learned: { predictions: [], heldOut: [], doubts: [] } };
  return {
    ...lesson,
    learned: { predictions: predictionsOf(sight, agreed, lesson), ...heldOutOf(sight, agreed, lesson) },
  };
}

/** Which images to label next, and which look like no class. */
export async function propose(
  engine: Engine,
  sight: Sight,
  { labels, classes, skipped, folds, agreed, drawn }: Lesson,
  count: number,
): Promise<{ readonly proposed: Proposed; readonly strange: Uint8Array | undefined }> {
  const { ids, layers, views } = sight;
  const strange = agreed && (await setAside(engine, views, { labels, classes, drawn }, folds));
  const free = labels.reduce((sum, label) => sum + Number(label < 0), 0);
  // Those that were set aside are as good as chosen: what is like them is not asked for.
  const suggestions = await suggestImages(
    engine,
    { layers, labels, classes, folds, agreed, views },
    Math.min(free, count + skipped.size),
  );
  const proposed = {
    strangers: strangersOf(sight, labels, classes, skipped),
    proposals: suggestions
      .filter(({ index }) => !skipped.has(ids[index]!))
      .slice(0, count)
      .map(({ index, why }) => ({ id: ids[index]!, why })),
  };
  return { proposed, strange };
}

const bestOf = ({ ids }: Sight, rows: Float32Array, row: number, classes: number): Said => {
  const label = argmax(rows, row * classes, classes);
  return { id: ids[row]!, label, confidence: rows[row * classes + label]! };
};

const predictionsOf = (sight: Sight, { probabilities, aside }: Consensus, { labels, classes }: Lesson): Said[] =>
  [...labels.keys()]
    .filter((row) => labels[row]! < 0 && aside[row] === 0)
    .map((row) => bestOf(sight, probabilities, row, classes));

function heldOutOf(
  sight: Sight,
  { folds: said, aside }: Consensus,
  { labels, classes, folds }: Lesson,
): Pick<Learned, 'heldOut' | 'doubts'> {
  const rows = folds.flatMap((fold, k) => fold.map((row) => ({ row, k }))).filter(({ row }) => aside[row] === 0);
  const probabilities = new Float32Array(rows.length * classes);
  rows.forEach(({ row, k }, i) =>
    probabilities.set(said[k]!.subarray(row * classes, (row + 1) * classes), i * classes),
  );
  const own = rows.map(({ row }) => labels[row]!);
  return {
    heldOut: rows.map(({ row, k }) => bestOf(sight, said[k]!, row, classes)),
    doubts: doubtLabels(probabilities, own, classes)
      .filter(({ suspect }) => suspect)
      .map(({ index, suggested, suggestedConfidence }) => ({
        id: sight.ids[rows[index]!.row]!,
        label: suggested,
        confidence: suggestedConfidence,
      })),
  };
}

/** Images unlike all classes, the most unlike first; none as long as too few have labels to tell. */
function strangersOf(
  { ids, layers, unit }: Sight,
  labels: Int32Array,
  classes: number,
  skipped: ReadonlySet<number>,
): Proposed['strangers'] {
  const { features, size } = layers[0]!;
  const known = [...labels.keys()].filter((row) => labels[row]! >= 0);
  const rows = new Float32Array(known.length * size);
  known.forEach((row, i) => rows.set(features.subarray(row * size, (row + 1) * size), i * size));
  const rejection = fitRejection({ features: rows, size, labels: known.map((row) => labels[row]!), classes });
  if (rejection === undefined) return [];
  const means = rejection.means.data as Float32Array;
  const cosines = new Float64Array(classes);
  return ids
    .map((id, row) => {
      cosines.fill(0);
      for (let k = 0; k < size; k++)
        for (let c = 0; c < classes; c++) cosines[c]! += unit[row * size + k]! * means[k * classes + c]!;
      return { id, score: 1 - Math.max(...cosines) };
    })
    .filter(({ id, score }) => score > rejection.threshold && !skipped.has(id))
    .sort((a, b) => b.score - a.score);
}
