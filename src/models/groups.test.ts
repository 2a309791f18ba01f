import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../graph/builder.js';
import { float32, sizeOf } from '../tensor.js';
import { makePreprocessing } from '../data/preprocessing.js';
import { buildModel } from './families/index.js';
import { parameterGroups, stagesOf, unfreezeOrder } from './groups.js';
import { findHead } from './find-head.js';
import type { Model } from './model.js';

const resnet8 = buildModel('resnet8', { classes: 3, seed: 1 });

/** Named weights applied one after another, to see what names alone give. */
function chain(names: readonly string[]): Model {
  const builder = new GraphBuilder('chain');
  let x = builder.input('input', 'float32', ['N', 4]);
  const parameters = new Map(
    names.map((name) => {
      const dims = /bias|norm|token/.test(name) ? [4] : [4, 4];
      return [name, float32(dims, new Float32Array(sizeOf(dims)))];
    }),
  );
  for (const [name, { dims }] of parameters) {
    x = builder.op(dims.length === 1 ? 'Add' : 'MatMul', [x, builder.input(name, 'float32', dims)]);
  }
  builder.outputs({ logits: x });
  const graph = builder.build();
  return {
    graph,
    parameters,
    statistics: new Set(),
    head: findHead(graph, parameters),
    preprocessing: makePreprocessing(8),
    labels: undefined,
    architecture: 'chain',
    pretrained: true,
    temperature: 1,
  };
}

test('no decay on biases and norms, the head at the full rate, the backbone at its own', () => {
  const groups = parameterGroups(resnet8, { lr: 0.1, backboneLr: 0.001, weightDecay: 5e-4 });
  assert.deepEqual(
    groups.map(({ name, lrScale, weightDecay, frozen }) => ({ name, lrScale, weightDecay, frozen })),
    [
      { name: 'backbone', lrScale: 0.01, weightDecay: 5e-4, frozen: false },
      { name: 'backbone (no decay)', lrScale: 0.01, weightDecay: 0, frozen: false },
      { name: 'head', lrScale: 1, weightDecay: 5e-4, frozen: false },
      { name: 'head (no decay)', lrScale: 1, weightDecay: 0, frozen: false },
    ],
  );
  const all = groups.flatMap((group) => group.parameters);
  assert.deepEqual(
    [...all].sort(),
    [...resnet8.parameters.keys()].filter((name) => !resnet8.statistics.has(name)).sort(),
  );
  assert.deepEqual(groups[2]!.parameters, ['fc.weight']);
  assert.deepEqual(groups[3]!.parameters, ['fc.bias']);
  assert.ok(groups[1]!.parameters.every((name) => /bn\d\.(weight|bias)$/.test(name)));
});

test('layer decay: one factor a block, counted back from the head', () => {
  const groups = parameterGroups(resnet8, { lr: 0.1, layerDecay: 0.5 });
  assert.deepEqual(
    groups.map(({ name, lrScale }) => [name, lrScale]),
    [
      ['conv1', 0.0625],
      ['layer1.0', 0.125],
      ['layer2.0', 0.25],
      ['layer3.0', 0.5],
      ['head', 1],
    ],
  );
  assert.deepEqual(groups[0]!.parameters, ['conv1.weight', 'bn1.weight', 'bn1.bias']);
});

test('freezing by glob, by regular expression and up to a stage', () => {
  const frozen = (options: Partial<Parameters<typeof parameterGroups>[1]>): string[] =>
    parameterGroups(resnet8, { lr: 0.1, ...options })
      .filter((group) => group.frozen)
      .flatMap((group) => group.parameters);
  assert.deepEqual(frozen({ freeze: ['layer1'] }).length, 6);
  assert.deepEqual(frozen({ freeze: ['conv1', 'bn1'] }), ['conv1.weight', 'bn1.weight', 'bn1.bias']);
  assert.deepEqual(frozen({ freeze: ['*.conv2'] }).length, 3);
  assert.deepEqual(frozen({ freeze: ['/^layer[12].*conv1/'] }), ['layer1.0.conv1.weight', 'layer2.0.conv1.weight']);
  assert.equal(
    frozen({ unfreezeFrom: 'layer3' }).some((name) => /^layer3|^fc/.test(name)),
    false,
  );
  assert.equal(frozen({ unfreezeFrom: 'layer3' }).length, 15);
  assert.equal(frozen({ unfreezeFrom: 'head' }).length, 21);
  assert.equal(frozen({ backboneLr: 0 }).length, 21);
  assert.throws(
    () => frozen({ freeze: ['layr1'] }),
    /`freeze` layr1: no parameter of resnet8 matches; did you mean "layer1"\?/,
  );
  assert.throws(() => frozen({ freeze: ['/(/'] }), /pattern \/\(\//);
  assert.throws(() => frozen({ freeze: ['*'] }), /nothing is left to train/);
  assert.throws(() => frozen({ layerDecay: 0 }), /`layerDecay` 0/);
});

test('gradual unfreezing goes from the head to the input', () => {
  assert.deepEqual(
    unfreezeOrder(resnet8).map((stage) => stage.name),
    ['head', 'layer3', 'layer2', 'layer1', 'conv1'],
  );
  const order = unfreezeOrder(buildModel('wrn-16-1', { classes: 2, seed: 0 }));
  assert.deepEqual(
    order.map((stage) => stage.name),
    ['head', 'layer3', 'layer2', 'layer1', 'conv1'],
  );
  assert.ok(order[1]!.parameters.includes('bn1.weight'), 'the last norm goes with the stage before it');
});

test('blocks are read off the names of torchvision, timm, Hugging Face and TensorFlow', () => {
  const blocks = (...names: string[]): string[] =>
    stagesOf(chain([...names, 'head.weight'])).map((stage) => stage.name);
  assert.deepEqual(
    blocks(
      'features.0.0.weight',
      'features.1.conv.0.0.weight',
      'features.1.conv.1.weight',
      'features.2.conv.0.0.weight',
    ),
    ['features.0.0', 'features.1', 'features.2', 'head'],
  );
  assert.deepEqual(blocks('blocks.0.0.conv_pw.weight', 'blocks.0.1.conv_pw.weight', 'blocks.0.1.norm.bias'), [
    'blocks.0.0',
    'blocks.0.1',
    'head',
  ]);
  assert.deepEqual(
    blocks('stages.0.blocks.0.mlp.fc1.weight', 'stages.0.blocks.1.mlp.fc1.weight', 'stages.1.downsample.1.weight'),
    ['stages.0.blocks.0', 'stages.0.blocks.1', 'stages.1', 'head'],
  );
  assert.deepEqual(
    blocks('patch_embed.proj.weight', 'cls_token', 'blocks.0.attn.qkv.weight', 'blocks.0.mlp.fc1.weight', 'norm.bias'),
    ['patch_embed.proj', 'blocks.0', 'head'],
  );
  assert.deepEqual(
    blocks('encoder.layers.encoder_layer_0.mlp.0.weight', 'encoder.layers.encoder_layer_1.mlp.0.weight'),
    ['encoder.layers.encoder_layer_0', 'encoder.layers.encoder_layer_1', 'head'],
  );
  assert.deepEqual(blocks('vit.encoder.layer.0.output.weight', 'vit.encoder.layer.1.output.weight'), [
    'vit.encoder.layer.0',
    'vit.encoder.layer.1',
    'head',
  ]);
  assert.deepEqual(
    blocks('features.denseblock1.denselayer1.conv1.weight', 'features.denseblock1.denselayer2.conv1.weight'),
    ['features.denseblock1.denselayer1', 'features.denseblock1.denselayer2', 'head'],
  );
  assert.deepEqual(blocks('MobilenetV2/expanded_conv_1/expand/weights', 'MobilenetV2/expanded_conv_2/expand/weights'), [
    'MobilenetV2.expanded_conv_1',
    'MobilenetV2.expanded_conv_2',
    'head',
  ]);
  assert.deepEqual(
    blocks(
      'resnet/conv1_conv/weights',
      'resnet/conv2_block1_1_conv/weights',
      'resnet/conv2_block1_2_conv/weights',
      'resnet/conv2_block2_1_conv/weights',
    ),
    ['resnet.conv1_conv', 'resnet.conv2_block1', 'resnet.conv2_block2', 'head'],
  );
});

test('names that say nothing: stages follow the size of the picture, blocks the residual Adds', () => {
  // ResNet-14 with its parameters renamed w0, w1...
  const source = buildModel('resnet14', { classes: 3, seed: 1 });
  const names = new Map(
    [...source.parameters.keys()].filter((name) => name !== 'fc.weight').map((name, i) => [name, `w${i}`]),
  );
  const renamed = (name: string): string => names.get(name) ?? name;
  const rename = <T>(map: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...map].map(([name, value]) => [renamed(name), value]));
  const model: Model = {
    ...source,
    graph: {
      ...source.graph,
      inputs: source.graph.inputs.map((input) => ({ ...input, name: renamed(input.name) })),
      nodes: source.graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(renamed) })),
      values: rename(source.graph.values),
    },
    parameters: rename(source.parameters),
    statistics: new Set([...source.statistics].map(renamed)),
    head: { ...source.head!, bias: renamed('fc.bias') },
  };
  const first = (stages: ReturnType<typeof stagesOf>): string[] => stages.map((stage) => renamed(stage.parameters[0]!));
  const blocks = stagesOf(model),
    expected = stagesOf(source);
  // The stem and the first block have one size and no Add between them.
  assert.equal(blocks.length, expected.length - 1);
  assert.deepEqual(first(blocks).slice(1), first(expected).slice(2));
  const coarse = stagesOf(model, true);
  assert.deepEqual(first(coarse), [
    'w0',
    renamed('layer2.0.conv1.weight'),
    renamed('layer3.0.conv1.weight'),
    'fc.weight',
  ]);
});
