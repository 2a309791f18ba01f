import { basename, join } from 'node:path';
import { exportModel } from '../artifact/export.js';
import { writeFileAtomically } from '../artifact/files.js';
import { writePseudoLabels } from '../artifact/pseudo-labels.js';
import { counted, list } from '../data/dataset.js';
import { unprepared } from '../data/prepare.js';
import type { PseudoLabels } from '../data/pseudo-labels.js';
import { pathOf, sharedGroups, type Sample } from '../data/sample.js';
import { foldsOf } from '../data/split.js';
import { evaluationTarget, targetKey } from '../data/target.js';
import { argmax, effectiveCount } from '../evaluate/metrics.js';
import { readHead } from '../models/head.js';
import type { Model } from '../models/model.js';
import { originsOf } from '../models/licence.js';
import { common } from '../options/recipes.js';
import { consensus, type Consensus } from '../techniques/consensus.js';
import type { Features } from '../techniques/features.js';
import { fitHeads, withHead } from '../techniques/solved-head.js';
import { predict, type LinearHead } from '../techniques/regression.js';
import type { Tensor } from '../tensor.js';
import type { Backbone } from './consult.js';
import type { RunContext, TrainedModel } from './context.js';
import type { RunEvent } from './events.js';
import { runFeatures } from './features.js';
import { indexesOf } from './images.js';
import { reporting } from './relay.js';

/**
 * Solves the head on the labels that a consensus finds for all images, labelled and unlabelled.
 * Labels are held out fold by fold to weigh opinions, and heads fitted without them tell how good the
 * result is; images held out for selection take no part.
 */
export async function* consensusHead(
  context: RunContext,
  learn: readonly number[],
  select: readonly number[],
): AsyncGenerator<RunEvent, TrainedModel, undefined> {
  const { engine, model, images, run, settings, signal, backbones = [] } = context;
  const { evaluation, split } = images;
  const used = [...learn, ...images.unlabelled];
  const layers = yield* runFeatures(context, { subset: [...used, ...select] });
  const seen = layers.map(({ features, size }) => ({ features: features.subarray(0, used.length * size), size }));
  const networks = [seen];
  for (const backbone of backbones) networks.push(yield* featuresByBackbone(context, backbone, used));
  const classes = images.dataset.classes.length;
  const place = new Map(used.map((index, i) => [index, i]));
  const { selection } = split;
  const folds = (selection.kind === 'folds' ? selection.folds : foldsOf(split.train, common.folds)).map((fold) =>
    indexesOf(evaluation, fold.selection).map((index) => place.get(index)!),
  );
  for (const message of lacks(images.unlabelled.length, folds.length)) yield { type: 'warning', message };
  const labels = used.map((index, i) => (i < learn.length ? evaluation.samples[index]!.label : -1));
  const groups = sharedGroups(learn.map((index) => evaluation.samples[index]!)),
    worth = effectiveCount(groups) / Math.max(1, groups.length);
  const drawn = learn.flatMap((index, i) => (evaluation.samples[index]!.drawn === true ? [i] : []));
  const set = { networks, labels, classes, worth, drawn: drawn.length === 0 ? undefined : drawn };
  const agreed = yield* reporting('consensus', 'fits', (report) =>
    consensus(engine, set, folds, (done, total) => {
      signal?.throwIfAborted();
      report(done, total);
    }),
  );
  const samples = used.map((index) => evaluation.samples[index]!);
  const aside = samples.filter((_, i) => agreed.aside[i] === 1);
  if (aside.length > 0)
    yield { type: 'warning', message: setAside(aside, images.unlabelled.length), about: 'images of no class' };
  await run.log({ type: 'strangers', aside: aside.length, unlabelled: images.unlabelled.length });
  const said = labelsOf(samples, images.dataset.classes, agreed, folds);
  const alone = nearlyAll(said, learn.length, labels);
  if (alone !== undefined) yield { type: 'warning', message: alone, about: alone.replace(/\d+/g, '') };
  await writePseudoLabels(consensusLabels(run.path), { ...said, teachers: originsOf(model) });
  const names = [model.architecture, ...backbones.map(({ name }) => name)];
  for (const opinion of agreed.opinions)
    await run.log({ type: 'opinion', ...opinion, networks: opinion.networks.map((network) => names[network]!) });
  const fit = (targets: readonly Float32Array[]): Promise<LinearHead[]> =>
    fitHeads(engine, seen[0]!, targets, agreed.aside);
  const solved = await fit([agreed.probabilities, ...(selection.kind === 'folds' ? agreed.folds : [])]);
  const own = settings.keepHead === true ? readHead(model) : undefined;
  // Students begin as the network that was not a student itself.
  if (own === undefined) {
    const untold = Float32Array.from(said.rows.flatMap(({ probabilities }) => [...probabilities]));
    await writeUntold(context, withHead(model, (await fit([untold]))[0]!));
  }
  const [whole, ...foldHeads] = solved as [LinearHead, ...LinearHead[]];
  // The own one learned from images that knew the labels of every fold, so it has no say of those.
  const head = own ? meanOf(whole, own) : whole;
  const judged = (by: LinearHead, rows: readonly number[]): Float32Array =>
    predict(layers[0]!, by, rows, new Float32Array(rows.length * classes));
  const heldOut =
    selection.kind === 'folds'
      ? {
          indexes: folds.flat().map((i) => used[i]!),
          logits: Float32Array.from(folds.flatMap((fold, k) => [...judged(foldHeads[k]!, fold)])),
        }
      : {
          indexes: select,
          logits: judged(
            head,
            [...select.keys()].map((i) => used.length + i),
          ),
        };
  return { model: withHead(model, head), epoch: 1, heldOut };
}

/** What a consensus has to do without. */
const lacks = (unlabelled: number, folds: number): string[] => [
  ...(unlabelled === 0
    ? ['no unlabelled images: the consensus has the labels alone, as a probe has; give some with `unlabelled`']
    : []),
  ...(folds === 0
    ? [
        'one label per class: none can be held out, so all parts of the consensus count the same and confidences are ' +
          'not calibrated; two labels or more of each class are better',
      ]
    : []),
];

/** Images that a line names. */
const mostNamed = 3;

/**
 * `1230 of 1550 unlabelled images take part; 320 (20.6%) look like none of the classes, such as a.jpg, ...`, which may
 * be a class without labels. Names are of images throughout the list.
 */
function setAside(aside: readonly Sample[], unlabelled: number): string {
  const count = aside.length,
    named = Math.min(mostNamed, count);
  const names = Array.from({ length: named }, (_, i) => basename(aside[Math.floor((i * count) / named)]!.path));
  return (
    `${unlabelled - count} of ${counted(unlabelled, 'unlabelled image')} take part; ` +
    `${count} (${((100 * count) / unlabelled).toFixed(1)}%) ${count === 1 ? 'looks' : 'look'} like none of the ` +
    `classes, such as ${names.join(', ')}: photos of something else, or of a class that has no label yet`
  );
}

/**
 * Of `least` unlabelled images and more it is told where their classes are unlike those of the labels: where more than
 * `share` fall into one class that has at most `given` of the labels, or so much would have to change class to have the
 * shares of the labels (`moved`). Of 80 bees beside ten labels each of ants and bees 66 and 67 are taken for bees
 * (MobileNetV2, MobileNetV1-0.75).
 */
const unlike = { least: 20, share: 0.8, given: 0.6, moved: 0.4 };
/** A class has hardly any images below this share. */
const hardlyAny = 0.02;

/** A line where the unlabelled images, the rows from `first` on, fall into few classes, unlike the labels. */
export function nearlyAll(
  { rows, classes }: Pick<PseudoLabels, 'rows' | 'classes'>,
  first: number,
  labels: readonly number[],
): string | undefined {
  const shares = (of: readonly number[]): number[] =>
    classes.map((_, label) => of.filter((one) => one === label).length / of.length);
  const found = rows.slice(first).flatMap(({ accepted, label }) => (accepted ? [label] : []));
  if (found.length < unlike.least) return undefined;
  const share = shares(found),
    given = shares(labels.slice(0, first)),
    most = share.indexOf(Math.max(...share));
  const moved = share.reduce((sum, one, c) => sum + Math.max(0, one - given[c]!), 0);
  const isOne = share[most]! > unlike.share && given[most]! <= unlike.given;
  if (!isOne && moved < unlike.moved) return undefined;
  const lacking = classes.filter((_, c) => given[c]! > 0 && share[c]! < hardlyAny);
  const percent = (of: number): string => `${(100 * of).toFixed(0)}%`;
  const lacks = lacking.length > 0 ? `, hardly any for ${list(lacking)}` : '';
  return (
    `${Math.round(share[most]! * found.length)} of ${counted(found.length, 'unlabelled image')} ` +
    `(${percent(share[most]!)}) are taken for ${list([classes[most]!])}, which ${percent(given[most]!)} of the ` +
    `labels are${lacks}: either their classes are so unlike those of the labels, or the labels are too few to tell ` +
    'the classes apart; look at some of them'
  );
}

/** Features by a network with an input of its own, for which images are decoded as they are needed. */
function featuresByBackbone(
  context: RunContext,
  { name, model }: Backbone,
  used: readonly number[],
): AsyncGenerator<RunEvent, Features[], undefined> {
  const { samples, pool, target } = context.images.evaluation;
  const own = evaluationTarget(model.preprocessing);
  const isSame = targetKey(own) === targetKey(target);
  return runFeatures(context, {
    model,
    of: ` of ${basename(name)}`,
    images: isSame ? undefined : unprepared(samples, { target: own, pool }),
    subset: used,
  });
}

/**
 * Where a consensus writes its network with a head that was told no label: solved on what the consensus says of the
 * images, of labelled ones without the labels of their fold. A student that begins so says nothing of a label that it
 * was told.
 */
export const untoldModel = (run: string): string => join(run, 'untold.onnx');

function writeUntold({ run, settings: { mode, seed } }: RunContext, model: Model): Promise<void> {
  const { dataHash, versions } = run.config;
  const bytes = exportModel(model, { technique: mode, mode, seed, dataHash: dataHash!, versions });
  return writeFileAtomically(untoldModel(run.path), bytes);
}

/** Where a consensus writes what it says of the images that it learned from. */
export const consensusLabels = (run: string): string => join(run, 'labels.parquet');

/**
 * Soft labels of all images: of those without a label what all labels together say, of labelled ones
 * what was said of them without the labels of their fold.
 */
function labelsOf(
  samples: readonly Sample[],
  classes: readonly string[],
  { probabilities, folds: said, aside }: Consensus,
  folds: readonly (readonly number[])[],
): PseudoLabels {
  const foldOf = new Map(folds.flatMap((fold, k) => fold.map((i) => [i, k])));
  const size = classes.length;
  return {
    classes,
    soft: true,
    rows: samples.map((sample, i) => {
      const k = foldOf.get(i);
      const own = (k === undefined ? probabilities : said[k]!).slice(i * size, (i + 1) * size);
      const label = argmax(own, 0, size);
      // What is set aside as an image of no class is not learned from.
      const accepted = aside[i] === 0;
      const { hash } = sample,
        confidence = own[label]!;
      return { path: pathOf(sample), hash, label, confidence, probabilities: own, accepted, copies: Number(accepted) };
    }),
  };
}

/** The head that says what both say: the normalised product of their probabilities, a linear head again. */
function meanOf(one: LinearHead, other: { readonly weight: Tensor; readonly bias: Tensor }): LinearHead {
  const mean = (a: Float32Array, { data }: Tensor): Float32Array => a.map((x, i) => (x + Number(data[i])) / 2);
  return { weight: mean(one.weight, other.weight), bias: mean(one.bias, other.bias) };
}
