import { PupilError } from '../../errors.js';
import type { Graph, Value } from '../../graph/graph.js';
import { prune } from '../../graph/passes.js';
import { suggestion } from '../../nearest.js';
import type { OnnxFile } from '../../onnx/index.js';
import type { Tensor } from '../../tensor.js';
import { findHead, headAt, usualClasses } from '../find-head.js';
import type { Head } from '../model.js';
import { NodeError } from './batch.js';
import { Broken } from './convert.js';
import type { Emitter } from './emitter.js';
import { scoresBehindProbabilities, type Behind } from './probabilities.js';

export interface OutputOptions {
  /** The classifier's node, when the end of the graph does not tell. */
  readonly head?: string | undefined;
  /** The file's output to use, when it has several and the wrong one would be taken. */
  readonly modelOutput?: string | undefined;
  /** The value of the file that a new classifier is to read: its output or any inside. */
  readonly features?: string | undefined;
}

/** A file whose nodes have been converted, its end not yet chosen. */
export interface Converted {
  readonly onnx: OnnxFile;
  /** What messages call the file. */
  readonly file: string;
  /** Holds the converted nodes; takes what is added behind them. */
  readonly emitter: Emitter;
  /** The graph's values by their names in the file. */
  readonly values: ReadonlyMap<string, Value | Broken>;
  /** The first size of every batched value: 'N', or the file's own where it is fixed. */
  readonly batch: number | 'N';
  /** Whether the file was exported for one size of the batch. */
  readonly wasFixed: boolean;
  /** How many classes are named, where they are. */
  readonly classes: number | undefined;
}

/** What a value of the file would give the model. */
interface Candidate {
  /** The file's name. */
  readonly name: string;
  /** One row of scores an image [N, classes], where it has that form. */
  readonly scores: Value | undefined;
  /** Whether the file makes probabilities of them. */
  readonly isProbability: boolean;
  /** What is to be said of the scores. */
  readonly meaning?: string | undefined;
  /** [N, features]. */
  readonly features: Value;
  /** How the features were made of what the file gives: `as they are`, `the class token`... */
  readonly taken: string;
  /** Sizes behind the batch: 1 for [N, F]. */
  readonly rank: number;
}

/** The value that the model ends in. */
export interface Chosen {
  readonly kind: 'logits' | 'features';
  readonly value: string;
  /** What was chosen and how to choose otherwise, where there was a choice. */
  readonly note: string | undefined;
}

/** Outputs whose name says that they are features, however they are made; the first are the best. */
const embeddings = [
  /^pooler_output$/i,
  /^image_embeds?$/i,
  /(^|[._/])(embeddings?|embeds?|features?|pooled|pre_logits|representation)$/i,
  /last_hidden_state|hidden|tokens/i,
];
const embeddingRank = (name: string): number => {
  const place = embeddings.findIndex((pattern) => pattern.test(name));
  return place < 0 ? embeddings.length : place;
};

const scoresName = /logit|prob|score|class|predict|softmax/i;

/**
 * Chooses what the model ends in: the scores of the output in which a classifier is found (of
 * several, the one that most of the network leads to), else scores whose classifier is not found,
 * else features. Adds what is needed to the emitter, and ends its graph there. Throws `bad-model`
 * when no output is usable, `not-found` for names that the file lacks.
 */
export function chooseOutput(converted: Converted, options: OutputOptions): { graph: Graph; chosen: Chosen } {
  const { emitter } = converted;
  const names = wantedNames(converted, options);
  const broken = names.map((name) => converted.values.get(name)).filter((value) => value instanceof Broken);
  // With the old batch still inside, another way of reading the file may do for all of them.
  const stuck =
    converted.batch === 'N' && converted.wasFixed ? broken.find(({ error }) => error instanceof NodeError) : undefined;
  const candidates = stuck
    ? []
    : names.map((name) => candidateOf(converted, name)).filter((candidate) => candidate !== undefined);
  if (candidates.length === 0) throw (stuck ?? broken[0])?.error ?? unusable(converted);
  const ends = new Map(
    candidates
      .flatMap(({ scores, features }) => [scores, features])
      .flatMap((value) => (value ? [[value.name, value] as const] : [])),
  );
  emitter.builder.outputs([...ends.values()]);
  const graph = emitter.builder.build();
  const chosen = withLeftOut(choose(candidates, graph, converted, options), converted, names);
  return { graph: prune({ ...graph, outputs: [chosen.value] }), chosen };
}

/** The choice, and what outputs were left out because they cannot be read. */
function withLeftOut(chosen: Chosen, { file, values }: Converted, names: readonly string[]): Chosen {
  const left = names.flatMap((name) => {
    const value = values.get(name);
    return value instanceof Broken ? [`its output ${name} is left out: ${value.error.message}`] : [];
  });
  if (left.length === 0) return chosen;
  return { ...chosen, note: [chosen.note ?? `${file}: takes another output`, ...left].join('; ') };
}

function wantedNames({ onnx, file, values }: Converted, { modelOutput, features }: OutputOptions): string[] {
  const outputs = onnx.graph.outputs.map(({ name }) => name);
  if (features !== undefined) {
    if (values.has(features)) return [features];
    throw new PupilError(
      'not-found',
      `${file}: has no value ${features}; ${suggestion(features, [...outputs, ...values.keys()])}`,
      { option: 'features' },
    );
  }
  if (modelOutput === undefined) return outputs;
  if (outputs.includes(modelOutput)) return [modelOutput];
  throw new PupilError('not-found', `${file}: has no output ${modelOutput}; ${suggestion(modelOutput, outputs)}`, {
    option: 'modelOutput',
  });
}

function unusable({ onnx, file, values, batch }: Converted): Error {
  const outputs = onnx.graph.outputs.flatMap(({ name }) => valueOf(values, name) ?? []);
  // As above: the batch may be in the shape only.
  const fixed = outputs.find((output) => output.shape.length >= 2 && typeof output.shape[0] === 'number');
  if (batch === 'N' && fixed) return new NodeError(`its output is [${fixed.shape.join(', ')}] whatever the batch`);
  const described = onnx.graph.outputs
    .map(({ name }) => `${name} [${valueOf(values, name)?.shape.join(', ') ?? '?'}]`)
    .join(', ');
  return new PupilError(
    'bad-model',
    `${file}: its output is ${described || 'missing'}; a classifier gives one row of class scores an image ` +
      '[N, classes], an encoder [N, features], [N, tokens, features] or [N, features, height, width]',
  );
}

const valueOf = (values: Converted['values'], name: string): Value | undefined => {
  const found = values.get(name);
  return found instanceof Broken ? undefined : found;
};

/** How an output of the file can be used; undefined when it has no row, token or map an image. */
function candidateOf({ emitter, values, batch }: Converted, name: string): Candidate | undefined {
  const value = valueOf(values, name);
  if (value?.dtype !== 'float32' || value.shape[0] !== batch) return undefined;
  const inner = value.shape.slice(1);
  if (!inner.every((dim) => typeof dim === 'number')) return undefined;
  const sizes = inner.filter((dim) => dim !== 1);
  return emitter.named('outputs', () => {
    if (sizes.length <= 1) {
      const behind = scoresBehindProbabilities(emitter, value);
      return {
        name,
        scores: rowOf(emitter, behind?.scores ?? value),
        isProbability: behind !== undefined,
        meaning: meaningOf(sizes.length === 0, behind),
        features: flat(emitter, value),
        taken: 'as they are',
        rank: 1,
      };
    }
    const made = pooledFeatures(emitter, value);
    return made && { name, scores: undefined, isProbability: false, rank: inner.length, ...made };
  });
}

/** How scores are taken that are not those of classes that exclude one another. */
function meaningOf(isOne: boolean, behind: Behind | undefined): string | undefined {
  if (isOne && behind === undefined)
    return 'gives one number an image, which is taken as the score of the second of two classes';
  if (!isOne && behind?.areIndependent === true)
    return 'gives each class a probability of its own (sigmoid); the classes are taken to exclude one another';
  return undefined;
}

/** [N, C, 1, 1] or [N] as [N, C]. */
const flat = (emitter: Emitter, value: Value): Value =>
  value.shape.length === 2 ? value : emitter.op('Flatten', [value], { axis: 1 });

/** One row of scores: of one score s, which is for the second of two classes, 0 and s. */
function rowOf(emitter: Emitter, value: Value): Value {
  const row = flat(emitter, value);
  return row.shape[1] === 1 ? emitter.op('Pad', [row, emitter.builder.ints([0, 1, 0, 0])]) : row;
}

/** Tokens [N, T, F] and maps [N, F, H, W] as one row an image. */
function pooledFeatures(emitter: Emitter, value: Value): { features: Value; taken: string } | undefined {
  const { shape } = value;
  if (shape.length === 3) {
    const hasToken = beginsWithToken(emitter, value);
    const features = hasToken
      ? emitter.op('Gather', [value, emitter.builder.scalar(0, 'int64')], { axis: 1 })
      : emitter.op('ReduceMean', [value], { axes: [1], keepdims: 0 });
    return { features, taken: hasToken ? 'the class token' : `the mean of ${shape[1]} tokens` };
  }
  if (shape.length !== 4) return undefined;
  // A map that was put into channels-last order at the very end, as Keras has it.
  const last = emitter.producer(value);
  const isLast = last?.op === 'Transpose' && String(last.attributes['perm']) === '0,2,3,1';
  const map = isLast ? emitter.builder.value(last.inputs[0]!) : value;
  if (isPicture(emitter, map)) return undefined;
  const pooled = emitter.op('GlobalAveragePool', [map]);
  return { features: flat(emitter, pooled), taken: `the mean of a ${map.shape[2]}x${map.shape[3]} map` };
}

/** Whether a map has more than half the image's side: what segments, draws or enlarges, not features. */
function isPicture({ builder }: Emitter, { shape }: Value): boolean {
  const height = builder.inputs[0]?.shape[2];
  return typeof height === 'number' && height >= 16 && 2 * Number(shape[2]) > height;
}

/** Whether one token was put before those of the picture: a Concat of [N, 1, F] and others upstream. */
function beginsWithToken(emitter: Emitter, value: Value): boolean {
  const tokens = value.shape[1];
  const seen = new Set<string>();
  const pending = [value.name];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name) || !emitter.builder.has(name)) continue;
    seen.add(name);
    const node = emitter.producer(emitter.builder.value(name));
    if (!node) continue;
    if (node.op === 'Concat' && node.attributes['axis'] === 1) {
      const [first, made] = [node.inputs[0]!, node.outputs[0]!].map((part) => emitter.builder.value(part).shape);
      if (first!.length === 3 && first![1] === 1 && made![1] === tokens) return true;
    }
    pending.push(...node.inputs.filter((input) => input !== ''));
  }
  return false;
}

function choose(
  candidates: readonly Candidate[],
  graph: Graph,
  { file, classes }: Converted,
  options: OutputOptions,
): Chosen {
  const stored = graph.constants;
  const others =
    candidates.length > 1
      ? `; its outputs are ${candidates.map((candidate) => candidate.name).join(', ')}: \`modelOutput\` chooses another`
      : '';
  const asScores = ({ name, scores, meaning }: Candidate, head: Head | undefined): Chosen => {
    const classifier = head ? ` (classifier ${head.node}, ${head.classes} classes)` : '';
    const said = [
      ...(candidates.length > 1 ? [`takes the output ${name}${classifier}${others}`] : []),
      meaning ?? [],
    ].flat();
    return { kind: 'logits', value: scores!.name, note: said.length > 0 ? `${file}: ${said.join('; ')}` : undefined };
  };
  const asFeatures = ({ name, features, taken }: Candidate): Chosen => ({
    kind: 'features',
    value: features.name,
    note:
      options.features === undefined
        ? `${file}: has no classifier; a new one reads ${String(features.shape[1])} features of the output ${name}` +
          `${taken === 'as they are' ? '' : ` (${taken})`}; \`features\` chooses another value, ` +
          '`modelOutput` takes an output as class scores'
        : undefined,
  });
  if (options.features !== undefined) return asFeatures(candidates[0]!);

  const scoring = candidates.filter(({ scores }) => scores !== undefined);
  if (options.head !== undefined) {
    const able = scoring.find(({ scores }) => hasHeadAt(graph, stored, scores!.name, options.head!));
    return asScores(able ?? scoring[0] ?? refuseHead(file, options.head), undefined);
  }
  const found = scoring
    .map((candidate) => ({
      candidate,
      head: findHead(graph, stored, { output: candidate.scores!.name, strict: !isNamedScores(candidate) }),
    }))
    .filter(
      ({ candidate, head }) => head && (candidate.isProbability || embeddingRank(candidate.name) === embeddings.length),
    )
    .map(({ candidate, head }) => ({ candidate, head, depth: depthOf(graph, candidate.scores!.name) }));
  const best = Math.max(...found.map(({ depth }) => depth));
  const byName = found.find(({ candidate }) => candidate.name === 'logits');
  const winner = byName ?? found.find(({ depth }) => depth === best);
  if (winner) return asScores(winner.candidate, winner.head);
  const unfound = scoring.find(
    ({ scores, isProbability }) =>
      isProbability ||
      options.modelOutput !== undefined ||
      usualClasses.has(Number(scores!.shape[1])) ||
      scores!.shape[1] === classes,
  );
  if (unfound) return asScores(unfound, undefined);
  const [features] = [...candidates].sort((a, b) => embeddingRank(a.name) - embeddingRank(b.name) || a.rank - b.rank);
  return asFeatures(features!);
}

function refuseHead(file: string, head: string): never {
  throw new PupilError('not-found', `${file}: \`head\` ${head}: none of its outputs is one row of scores an image`, {
    option: 'head',
  });
}

/** Whether more than the network's end says that an output is scores. */
const isNamedScores = ({ name, scores, isProbability }: Candidate): boolean =>
  isProbability || scoresName.test(name) || usualClasses.has(Number(scores!.shape[1]));

function hasHeadAt(graph: Graph, stored: ReadonlyMap<string, Tensor>, output: string, head: string): boolean {
  try {
    headAt(prune({ ...graph, outputs: [output] }), stored, head);
    return true;
  } catch {
    return false;
  }
}

/** Nodes that a value depends on. */
const depthOf = (graph: Graph, output: string): number => prune({ ...graph, outputs: [output] }).nodes.length;
