import type { Preprocessing } from '../data/preprocessing.js';
import { PupilError } from '../errors.js';
import { formatShape, type Graph, type Shape } from '../graph/graph.js';
import { gradients, reasons } from '../graph/gradients/table.js';
import type { OnnxFile, OnnxGraph, OnnxValue } from '../onnx/index.js';
import { readOnnx } from '../onnx/read.js';
import { countFlops } from './flops.js';
import { describeBeside, readClassNames } from './description.js';
import { headCandidates } from './find-head.js';
import { importFile, unquantisedBeside, type ImportOptions } from './import.js';
import { converters } from './import/converters.js';
import type { ForeignOptions } from './index.js';
import { fixedBatch, isEncoder, isNormalisationFolded, type Head, type Model } from './model.js';
import { countParameters } from './size.js';
import { isWeights, loadWeights } from './weights.js';

export interface InspectedOp {
  readonly op: string;
  readonly count: number;
  /** Whether weights before it can be trained. */
  readonly trainable: boolean;
  /** Why not, or what it does instead of carrying a gradient. */
  readonly note: string | undefined;
}

export interface InspectedValue {
  readonly name: string;
  readonly dtype: string;
  readonly shape: Shape | undefined;
}

/** What a file holds and how far Pupil can use it. */
export interface Inspection {
  readonly file: string;
  readonly producer: string;
  readonly opset: number;
  readonly inputs: readonly InspectedValue[];
  readonly outputs: readonly InspectedValue[];
  /** Why it cannot be imported, when it cannot; then what follows it is undefined. */
  readonly problem: string | undefined;
  /** Trainable numbers; BatchNormalization statistics are not counted. */
  readonly parameters: number | undefined;
  readonly tensors:
    readonly { readonly name: string; readonly shape: readonly number[]; readonly statistic: boolean }[] | undefined;
  /** Of one image; a multiply-add counts as 2. */
  readonly flops: number | undefined;
  readonly preprocessing: Preprocessing | undefined;
  readonly head: Head | undefined;
  /**
   * Whether it has convolutions but no BatchNormalization: exporters for inference fold it into
   * them.
   */
  readonly batchNormFolded: boolean | undefined;
  /** Whether batches of any size are possible. */
  readonly dynamicBatch: boolean | undefined;
  /**
   * In the form that is trained (opset 17); of a file that cannot be imported, as they are in the
   * file.
   */
  readonly ops: readonly InspectedOp[];
  readonly notes: readonly string[];
}

/**
 * Reads a model file and tells what is in it. Throws `not-found` or `bad-model` when it is neither
 * an ONNX file nor timm's weights.
 */
export async function inspectModel(path: string, told: ForeignOptions = {}): Promise<Inspection> {
  const options: ImportOptions = {
    ...told,
    classNames: told.classNames === undefined ? undefined : await readClassNames(told.classNames),
  };
  if (isWeights(path)) return inspectWeights(path, options);
  return inspectFile(await readOnnx(path), path, {
    ...options,
    description: await describeBeside(path),
    unquantised: unquantisedBeside(path),
  });
}

async function inspectWeights(path: string, options: ImportOptions): Promise<Inspection> {
  const notes: string[] = [];
  const model = await loadWeights(path, { ...options, warn: (message) => notes.push(message) });
  const { graph } = model;
  const value = (name: string): InspectedValue => {
    const { dtype, shape } = graph.values.get(name)!;
    return { name, dtype, shape };
  };
  return {
    file: path,
    producer: `timm: ${model.architecture}`,
    opset: 17,
    inputs: [value('input')],
    outputs: graph.outputs.map(value),
    ...factsOf(model, notes),
  };
}

/** The same for a file that was read already. */
export function inspectFile(onnx: OnnxFile, file: string, options: ImportOptions = {}): Inspection {
  const notes: string[] = [];
  const facts = {
    file,
    producer: onnx.producer,
    opset: onnx.opsets.get('')!,
    inputs: onnx.graph.inputs.filter((input) => !onnx.graph.initializers.has(input.name)).map(inspectedValue),
    outputs: onnx.graph.outputs.map(inspectedValue),
  };
  let model: Model;
  try {
    const imported = importFile(onnx, file, { ...options, warn: (message) => notes.push(message) });
    ({ model } = imported);
    if (imported.isGrey) notes.push('it takes grey images: colours become 0.299 red + 0.587 green + 0.114 blue');
    if (imported.kept.length > 0) notes.push(`taken for constants, not trained: ${imported.kept.join(', ')}`);
  } catch (error) {
    if (!(error instanceof PupilError) || (error.code !== 'bad-model' && error.code !== 'unsupported')) throw error;
    return {
      ...facts,
      problem: error.message,
      parameters: undefined,
      tensors: undefined,
      flops: undefined,
      preprocessing: undefined,
      head: undefined,
      batchNormFolded: undefined,
      dynamicBatch: undefined,
      ops: opsOfFile(onnx.graph),
      notes,
    };
  }
  return { ...facts, ...factsOf(model, notes) };
}

/** What a model tells of itself. */
function factsOf(
  model: Model,
  notes: string[],
): Omit<Inspection, 'file' | 'producer' | 'opset' | 'inputs' | 'outputs'> {
  const { graph, parameters, statistics, head } = model;
  const folded = isNormalisationFolded(graph);
  if (folded)
    notes.push(
      'BatchNormalization was folded into the convolutions (an export for inference): ' +
        'fine-tuning starts with a lower learning rate',
    );
  if (!head && !isEncoder(model)) {
    const candidates = headCandidates(graph, parameters)
      .slice(0, 3)
      .map((candidate) => `${candidate.node} (${candidate.classes})`)
      .join(', ');
    notes.push(`no classifier found at the end; name one with \`head\`${candidates ? `: ${candidates}` : ''}`);
  }
  return {
    problem: undefined,
    parameters: countParameters(model),
    tensors: Array.from(parameters, ([name, t]) => ({ name, shape: t.dims, statistic: statistics.has(name) })),
    flops: countFlops(graph),
    preprocessing: model.preprocessing,
    head,
    batchNormFolded: folded,
    dynamicBatch: fixedBatch(model) === undefined,
    ops: opsOf(graph),
    notes,
  };
}

const inspectedValue = ({ name, dtype, shape }: OnnxValue): InspectedValue => ({
  name,
  dtype: dtype ?? 'unknown',
  shape: shape?.map((dim) => (dim === '' ? '?' : dim)),
});

const sorted = (counts: ReadonlyMap<string, number>): [string, number][] =>
  [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));

/** Ops of a graph that can be imported, with what the gradient table says of each. */
function opsOf(graph: Graph): InspectedOp[] {
  const counts = new Map<string, number>();
  for (const node of graph.nodes) counts.set(node.op, (counts.get(node.op) ?? 0) + 1);
  // Only what lies between parameters and logits needs a gradient.
  const carries = new Set<string>();
  const reached = new Set(graph.inputs.slice(1).map((input) => input.name));
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => reached.has(input))) continue;
    const floats = node.outputs.some((output) => graph.values.get(output)?.dtype === 'float32');
    if (!floats) continue;
    carries.add(node.op);
    for (const output of node.outputs) reached.add(output);
  }
  return sorted(counts).map(([op, count]) => {
    const entry = gradients.get(op);
    if (!carries.has(op)) return { op, count, trainable: true, note: 'works on sizes or constants: needs no gradient' };
    if (entry === undefined) return { op, count, trainable: false, note: reasons.get(op) ?? 'no gradient' };
    return entry === 'none'
      ? { op, count, trainable: false, note: reasons.get(op) ?? 'carries no gradient' }
      : { op, count, trainable: true, note: undefined };
  });
}

/** Ops of a file as it is, the functions and branches in it not looked into. */
function opsOfFile(graph: OnnxGraph): InspectedOp[] {
  const counts = new Map<string, number>();
  for (const node of graph.nodes) {
    const op = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
    counts.set(op, (counts.get(op) ?? 0) + 1);
  }
  return sorted(counts).map(([op, count]) => {
    const entry = gradients.get(op),
      isWrittenOut = converters.has(op);
    return {
      op,
      count,
      trainable: entry === undefined ? isWrittenOut : entry !== 'none',
      note: entry === undefined && !isWrittenOut ? (reasons.get(op) ?? 'no gradient') : undefined,
    };
  });
}

const compact = (n: number): string =>
  n >= 1e9
    ? `${(n / 1e9).toPrecision(3)} G`
    : n >= 1e6
      ? `${(n / 1e6).toPrecision(3)} M`
      : n >= 1e3
        ? `${(n / 1e3).toPrecision(3)} k`
        : String(n);

const formatValue = ({ name, dtype, shape }: InspectedValue): string =>
  `${name}: ${dtype} ${shape ? formatShape(shape) : '[?]'}`;

/** The text of `pupil models inspect`. */
export function formatInspection(inspection: Inspection): string {
  const { preprocessing: p, head } = inspection;
  const rows: [string, string][] = [
    ['file', inspection.file],
    ['made by', `${inspection.producer || 'unknown'}, opset ${inspection.opset}`],
    ...inspection.inputs.map((value): [string, string] => ['input', formatValue(value)]),
    ...inspection.outputs.map((value): [string, string] => ['output', formatValue(value)]),
  ];
  if (inspection.problem !== undefined) rows.push(['problem', inspection.problem]);
  if (inspection.parameters !== undefined) {
    const tensors = inspection.tensors!.filter(({ statistic }) => !statistic).length;
    rows.push(['parameters', `${compact(inspection.parameters)} (${inspection.parameters}) in ${tensors} tensors`]);
  }
  if (inspection.flops !== undefined)
    rows.push(['FLOPs', `${compact(inspection.flops)} an image (a multiply-add counts as 2)`]);
  if (p) {
    const range = (values: readonly number[]): string => values.map((x) => Number(x.toPrecision(4))).join(', ');
    rows.push([
      'images',
      `${p.size.join('x')} of short side ${p.resizeShort} (${p.interpolation}), ` +
        `(x / 255 - [${range(p.mean)}]) / [${range(p.std)}]`,
    ]);
  }
  if (head)
    rows.push([
      'head',
      `${head.node}: ${head.featureCount} features -> ${head.classes} classes ` +
        `(${head.weight}${head.bias ? `, ${head.bias}` : ''})` +
        (head.others ?? []).map(({ node }) => `; its scores are added to those of ${node}`).join(''),
    ]);
  if (inspection.dynamicBatch !== undefined)
    rows.push(['batch', inspection.dynamicBatch ? 'any size' : `fixed: ${String(inspection.inputs[0]?.shape?.[0])}`]);
  for (const note of inspection.notes) rows.push(['note', note]);
  const width = Math.max(...rows.map(([label]) => label.length));
  const widest = Math.max(2, ...inspection.ops.map(({ op }) => op.length));
  return [
    ...rows.map(([label, text]) => `${label.padEnd(width)}  ${text}`),
    '',
    `${'op'.padEnd(widest)}  count  can be trained through`,
    ...inspection.ops.map(
      ({ op, count, trainable, note }) =>
        `${op.padEnd(widest)}  ${String(count).padStart(5)}  ${trainable ? 'yes' : 'no'}${note ? ` (${note})` : ''}`,
    ),
    '',
  ].join('\n');
}
