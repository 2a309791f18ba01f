/** A thread that sees all images by a frozen network and works out labels from those given so far. */
import { foldsOf } from '../data/split.js';
import { unitRows } from '../evaluate/distribution.js';
import { argmax } from '../evaluate/metrics.js';
import { openLooker, type Looker, type Seen } from '../jobs/look.js';
import { resolveModel } from '../models/index.js';
import { common } from '../options/recipes.js';
import { keptViews, type Views } from '../techniques/closed-form/views.js';
import { consensus, setAside, type Consensus } from '../techniques/consensus.js';
import { doubtLabels } from '../techniques/label-errors.js';
import { fitRejection } from '../techniques/rejection.js';
import { suggestImages } from '../techniques/suggestions.js';
import { answer } from '../threads/answer.js';
import type { Known, Learned, LookAtAll, Looked, Propose, Proposed, Said, ThinkRequest } from './think.js';

/** Numbers of a consensus, images times classes, beyond which fewer labels are held out in turn. */
const many = 50_000;
const fewFolds = 3;

/** All that was seen of the images, which does not change with labels. */
interface Sight extends Seen {
  /** Ids of the images, by row. */
  readonly ids: readonly number[];
  /** Features of the last layer, of unit length. */
  readonly unit: Float32Array;
  readonly views: Views;
}

/** What was learned last, by row. */
interface Lesson {
  readonly labels: Int32Array;
  readonly classes: number;
  readonly skipped: ReadonlySet<number>;
  readonly folds: readonly (readonly number[])[];
  /** Undefined as long as fewer than two classes have labels. */
  readonly agreed: Consensus | undefined;
}

let looker: Looker | undefined;
let sight: Sight | undefined;
let lesson: Lesson | undefined;
/** Images that look like no class, as `propose` found them last. */
let strange: Uint8Array | undefined;

answer<ThinkRequest>(
  (request) => {
    if (request.kind === 'look') return look(request);
    if (request.kind === 'learn') return learn(request);
    if (request.kind === 'propose') return propose(request);
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
  looker ??= await openLooker(model, { featureCache: cache });
  const looking = looker.lookAt(samples);
  let seen: Seen;
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
  const ids = seen.samples.map(({ path }) => place.get(path)!);
  const { features, size } = seen.layers[0]!;
  const unit = new Float32Array(new SharedArrayBuffer(features.length * 4));
  unit.set(unitRows(features, size));
  sight = { ...seen, ids, unit, views: keptViews(looker.engine, [seen.layers]) };
  [lesson, strange] = [undefined, undefined];
  // Worked out while nobody waits for it.
  if (ids.length > 2) await sight.views.of([0], 'all');
  return { architecture: model.architecture, ids, rows: unit, size };
}

async function learn({ labels: byId, classes, skipped }: Known): Promise<Learned> {
  const { ids, samples, layers, views } = sight!;
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
  strange ??= new Uint8Array(ids.length);
  const set = { networks: [layers], labels, classes, views, aside: strange, isQuick: true };
  const agreed = isLearnable ? await consensus(looker!.engine, set, folds) : undefined;
  lesson = { labels, classes, skipped: new Set(skipped), folds, agreed };
  return {
    predictions: agreed === undefined ? [] : predictionsOf(agreed, labels, classes),
    ...(agreed === undefined ? { heldOut: [], doubts: [] } : heldOutOf(agreed, labels, classes, folds)),
  };
}

async function propose({ count }: Propose): Promise<Proposed> {
  const { ids, layers, views } = sight!,
    { engine } = looker!,
    { labels, classes, skipped, folds, agreed } = lesson!;
  if (agreed !== undefined) strange = await setAside(engine, views, labels, classes, folds);
  const free = labels.reduce((sum, label) => sum + Number(label < 0), 0);
  // Those that were set aside are as good as chosen: what is like them is not asked for.
  const suggestions = await suggestImages(
    engine,
    { layers, labels, classes, folds, agreed, views },
    Math.min(free, count + skipped.size),
  );
  return {
    strangers: strangersOf(labels, classes, skipped),
    proposals: suggestions
      .filter(({ index }) => !skipped.has(ids[index]!))
      .slice(0, count)
      .map(({ index, why }) => ({ id: ids[index]!, why })),
  };
}

const bestOf = (rows: Float32Array, row: number, classes: number): Said => {
  const label = argmax(rows, row * classes, classes);
  return { id: sight!.ids[row]!, label, confidence: rows[row * classes + label]! };
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
): Pick<Learned, 'heldOut' | 'doubts'> {
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
        id: sight!.ids[rows[index]!.row]!,
        label: suggested,
        confidence: suggestedConfidence,
      })),
  };
}

/** Images unlike all classes, the most unlike first; none as long as too few have labels to tell. */
function strangersOf(labels: Int32Array, classes: number, skipped: ReadonlySet<number>): Proposed['strangers'] {
  const { ids, layers, unit } = sight!,
    { features, size } = layers[0]!;
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
