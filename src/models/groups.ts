import { PupilError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from './model.js';
import { suggestion } from '../nearest.js';

/** Parameters that are updated in the same way. */
export interface ParameterGroup {
  /** For people: `head`, `backbone`, `layer3.0`, `frozen`, with ` (no decay)` where that holds. */
  readonly name: string;
  readonly parameters: readonly string[];
  /** Factor of the learning rate. */
  readonly lrScale: number;
  readonly weightDecay: number;
  /** No gradient is built for it, and its normalisation statistics stay. */
  readonly frozen: boolean;
}

/** A stretch of the network: blocks in the order in which they run. */
export interface Stage {
  readonly name: string;
  readonly parameters: readonly string[];
}

export interface GroupOptions {
  /** Learning rate of the head, and of everything when no other is given. */
  readonly lr: number;
  /** Learning rate of everything but the head. */
  readonly backboneLr?: number;
  /**
   * Factor between neighbouring blocks, from the head (1) back to the input, in (0, 1]: the last
   * block gets it once, the one before it twice (timm's `--layer-decay`; Clark et al. 2020,
   * ELECTRA).
   */
  readonly layerDecay?: number;
  /** Default 0. Never applied to biases, norms and other vectors. */
  readonly weightDecay?: number;
  /** Patterns of parameters to keep as they are (see `matcher`). */
  readonly freeze?: readonly string[];
  /** Keeps as it is everything that runs before the first parameter this pattern matches. */
  readonly unfreezeFrom?: string;
}

/** Biases, norms, class tokens: at most one size differs from 1. */
const isVector = (dims: readonly number[]): boolean => dims.filter((dim) => dim !== 1).length <= 1;

/**
 * Parameter names, in the order in which the graph first reads them (a cast or transpose of one
 * counts).
 */
function inOrderOfUse(graph: Graph, names: ReadonlySet<string>): string[] {
  const ordered = new Set<string>();
  for (const node of graph.nodes) for (const input of node.inputs) if (names.has(input)) ordered.add(input);
  for (const name of names) ordered.add(name);
  return [...ordered];
}

const trainableNames = (model: Model): Set<string> =>
  new Set([...model.parameters.keys()].filter((name) => !model.statistics.has(name)));

const headNames = ({ head }: Model): Set<string> =>
  new Set(
    [head, ...(head?.others ?? [])].flatMap((part) => [part?.weight, part?.bias]).filter((name) => name !== undefined),
  );

/**
 * The parts of a name that own the parameter: `layer1`, `0`, `conv1` of `layer1.0.conv1.weight`.
 */
const ownersOf = (parameter: string): string[] =>
  parameter
    .split(/[./]/)
    .filter((part) => part !== '')
    .slice(0, -1);

/** How many leading parts all names share. Names of one part do not count. */
function sharedParts(names: readonly string[]): number {
  const owners = names.map(ownersOf).filter((parts) => parts.length > 0);
  const first = owners[0] ?? [];
  let shared = 0;
  while (shared < first.length && owners.every((parts) => parts[shared] === first[shared])) shared++;
  return shared;
}

/**
 * The block a parameter belongs to, read off its name: everything up to the first part with a digit
 * (after the parts that all names share) and the plain numbers after it (`layer1.0`, `blocks.2.1`,
 * `features.3`, `encoder.layers.encoder_layer_4`), and one `blocks.3`, `layers.3` or `denselayer3`
 * more (`stages.2.blocks.3`); without a digit, everything but the last part. Undefined for a name
 * of one part.
 */
function blockName(parameter: string, shared: number, coarse: boolean): string | undefined {
  const owners = ownersOf(parameter);
  if (owners.length === 0) return undefined;
  const first = owners.findIndex((part, index) => index >= shared && /\d/.test(part));
  if (first < 0) return owners.join('.');
  let end = first + 1;
  if (!coarse) {
    const skipNumbers = (): void => {
      while (/^\d+$/.test(owners[end] ?? '')) end++;
    };
    skipNumbers();
    if (/^(blocks?|layers?)$/.test(owners[end] ?? '') && /^\d+$/.test(owners[end + 1] ?? '')) {
      end++;
      skipNumbers();
    } else if (/^[a-z]*layer\d+$/.test(owners[end] ?? '')) {
      end++;
    }
  }
  // Keras writes block and layer in one part: conv2_block1_1_conv, block_3_expand, block2a_dwconv.
  const named = owners.slice(0, end);
  named[first] = /^.*?block_?\d+[a-z]?(?=_|$)/i.exec(named[first]!)?.[0] ?? named[first]!;
  return named.join('.');
}

/**
 * Stretches for files whose names say nothing (`w12`, `onnx::Conv_193`), by first parameter: a new
 * one begins where a convolution changes the size of the picture and, unless `coarse`, after each
 * Add that closes a residual block.
 */
function stretches(model: Model, parameters: readonly string[], coarse: boolean): Map<string, string> {
  const wanted = new Set(parameters);
  const shapeOf = (name: string | undefined): readonly (number | string)[] =>
    model.graph.values.get(name ?? '')?.shape ?? [];
  const result = new Map<string, string>();
  let current: string | undefined;
  for (const node of model.graph.nodes) {
    const [a, b] = node.inputs.map(shapeOf);
    const output = shapeOf(node.outputs[0]);
    if (node.op === 'Conv' && a!.slice(2).join() !== output.slice(2).join()) current = undefined;
    for (const input of node.inputs) {
      if (!wanted.has(input) || result.has(input)) continue;
      current ??= input;
      result.set(input, current);
    }
    if (!coarse && node.op === 'Add' && output.length > 2 && a!.join() === b!.join()) current = undefined;
  }
  return result;
}

/**
 * The network as stages in the order in which they run, head last: blocks (`layer1.0`), or with
 * `coarse` what is above them (`layer1`). Single names among structured ones (`pos_embed`) belong
 * to the stage before; where most names say nothing, stages follow the graph (see `stretches`). A
 * stage that is only normalisation joins the one before it.
 */
export function stagesOf(model: Model, coarse = false): Stage[] {
  const trainable = trainableNames(model);
  const head = headNames(model);
  const body = inOrderOfUse(model.graph, trainable).filter((name) => !head.has(name));
  const isMatrix = (name: string): boolean => !isVector(model.parameters.get(name)!.dims);
  const shared = sharedParts(body);
  const matrices = body.filter(isMatrix);
  const anonymous = matrices.filter((name) => ownersOf(name).length === 0).length > matrices.length / 2;
  const byGraph = anonymous ? stretches(model, body, coarse) : undefined;

  const stages: { name: string; parameters: string[]; matrices: boolean }[] = [];
  const byName = new Map<string, (typeof stages)[number]>();
  for (const parameter of body) {
    const name = byGraph?.get(parameter) ?? blockName(parameter, shared, coarse) ?? stages.at(-1)?.name ?? parameter;
    let stage = byName.get(name);
    if (!stage) {
      stage = { name, parameters: [], matrices: false };
      stages.push(stage);
      byName.set(name, stage);
    }
    stage.parameters.push(parameter);
    stage.matrices ||= isMatrix(parameter);
  }
  const merged: { name: string; parameters: string[] }[] = [];
  for (const stage of stages) {
    const before = merged.at(-1);
    if (before && !stage.matrices) before.parameters.push(...stage.parameters);
    else merged.push({ name: stage.name, parameters: [...stage.parameters] });
  }
  if (model.head)
    merged.push({ name: 'head', parameters: inOrderOfUse(model.graph, head).filter((name) => trainable.has(name)) });
  return merged;
}

/**
 * Stage names in the order of gradual unfreezing (Howard and Ruder 2018, ULMFiT): head first, input
 * last. Training begins with `unfreezeFrom` the first and moves on through the list.
 */
export const unfreezeOrder = (model: Model): Stage[] => stagesOf(model, true).reverse();

/**
 * A test of parameter names. A pattern is a glob (`*` any text, `?` one character) that has to
 * match the whole name or a leading part of it up to a dot or slash (`layer1` matches
 * `layer1.0.conv1.weight`), or a regular expression between slashes (`/bn\d/`).
 */
export function matcher(pattern: string): (name: string) => boolean {
  const slashed = /^\/(.*)\/$/.exec(pattern)?.[1];
  let expression: RegExp;
  try {
    expression =
      slashed !== undefined
        ? new RegExp(slashed)
        : new RegExp(
            `^${pattern
              .replace(/[.+^${}()|[\]\\]/g, '\\$&')
              .replaceAll('*', '.*')
              .replaceAll('?', '.')}(?:$|[./])`,
          );
  } catch (error) {
    throw new PupilError('usage', `pattern ${pattern}: ${(error as Error).message}`);
  }
  return (name) => expression.test(name);
}

/**
 * The trainable parameters a pattern matches; `head` also means the classifier. Throws `usage` with
 * the nearest names when there are none.
 */
function matching(model: Model, pattern: string, option: string): string[] {
  const test = matcher(pattern);
  const names = [...trainableNames(model)];
  const head = headNames(model);
  const found = names.filter((name) => test(name) || (pattern === 'head' && head.has(name)));
  if (found.length > 0) return found;
  const known = [...stagesOf(model, true), ...stagesOf(model)].map((stage) => stage.name).concat(names);
  throw new PupilError(
    'usage',
    `\`${option}\` ${pattern}: no parameter of ${model.architecture} matches; ` +
      suggestion(pattern, [...new Set(known)]),
    { option },
  );
}

/**
 * The parameters of a model by how they are updated, in the order in which they run: learning-rate
 * factor (relative to `lr`), weight decay and whether they are frozen. Biases, norms and other
 * vectors get no weight decay. Throws `usage` for impossible values, a pattern without a match, and
 * when nothing is left to train.
 */
export function parameterGroups(model: Model, options: GroupOptions): ParameterGroup[] {
  const { lr, backboneLr = lr, layerDecay = 1, weightDecay = 0, freeze = [], unfreezeFrom } = options;
  const check = (name: string, value: number, valid: boolean, expected: string): void => {
    if (!valid) throw new PupilError('usage', `\`${name}\` ${value}: expected ${expected}`, { option: name });
  };
  check('lr', lr, lr > 0 && Number.isFinite(lr), 'a positive number');
  check('backboneLr', backboneLr, backboneLr >= 0 && Number.isFinite(backboneLr), 'zero or a positive number');
  check('layerDecay', layerDecay, layerDecay > 0 && layerDecay <= 1, 'a number above 0 and at most 1');
  check('weightDecay', weightDecay, weightDecay >= 0 && Number.isFinite(weightDecay), 'zero or a positive number');

  const stages = stagesOf(model);
  const frozen = new Set(freeze.flatMap((pattern) => matching(model, pattern, 'freeze')));
  if (unfreezeFrom !== undefined) {
    const wanted = new Set(matching(model, unfreezeFrom, 'unfreezeFrom'));
    const first = stages.findIndex((stage) => stage.parameters.some((name) => wanted.has(name)));
    for (const stage of stages.slice(0, first)) for (const name of stage.parameters) frozen.add(name);
  }

  const depth = model.head ? stages.length - 1 : stages.length;
  const groups = new Map<string, { group: Omit<ParameterGroup, 'parameters'>; parameters: string[] }>();
  stages.forEach((stage, index) => {
    const isHead = index === depth;
    const lrScale = isHead ? 1 : (backboneLr / lr) * layerDecay ** (depth - index);
    for (const parameter of stage.parameters) {
      const decay = isVector(model.parameters.get(parameter)!.dims) ? 0 : weightDecay;
      const stays = frozen.has(parameter) || lrScale === 0;
      const base = isHead ? 'head' : layerDecay < 1 ? stage.name : 'backbone';
      const name = stays ? 'frozen' : `${base}${weightDecay > 0 && decay === 0 ? ' (no decay)' : ''}`;
      let entry = groups.get(name);
      if (!entry) {
        entry = {
          group: { name, lrScale: stays ? 0 : lrScale, weightDecay: stays ? 0 : decay, frozen: stays },
          parameters: [],
        };
        groups.set(name, entry);
      }
      entry.parameters.push(parameter);
    }
  });
  const result = [...groups.values()].map(({ group, parameters }) => ({ ...group, parameters }));
  if (result.every((group) => group.frozen)) {
    throw new PupilError('usage', `${model.architecture}: everything is frozen, nothing is left to train; freeze less`);
  }
  return result;
}
