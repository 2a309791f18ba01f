import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { evaluateGraph } from '../../graph/evaluate.js';
import { Random } from '../../random.js';
import { float32, sizeOf, type Tensor } from '../../tensor.js';
import type { Model } from '../model.js';
import { refused } from '../../testing/kit.js';
import { buildModel, builtInNames, isBuiltIn, listModels } from './index.js';

interface Case {
  classes: number;
  size: number;
  /** Variance of matrices and filters, times fan-in / 3. */
  gain: number;
  trainable: number;
  names: string[];
  logits: number[][];
}
const fixture = JSON.parse(
  readFileSync(new URL('../../../fixtures/models/logits.json', import.meta.url), 'utf8'),
) as Record<string, Case>;

/** The fixture's filling (fixtures/models/make.py). */
function filled(name: string, dims: readonly number[], base: number, scale: number): Tensor {
  const random = new Random(7, 'fixture', name);
  const data = new Float32Array(sizeOf(dims));
  for (let i = 0; i < data.length; i++) data[i] = base + scale * (2 * random.uniform() - 1);
  return float32(dims, data);
}

function fill(name: string, dims: readonly number[], gain: number): Tensor {
  if (name.endsWith('running_var')) return filled(name, dims, 1, 0.5);
  if (name.endsWith('.weight'))
    return dims.length === 1
      ? filled(name, dims, 1, 0.2)
      : filled(name, dims, 0, Math.sqrt(gain / sizeOf(dims.slice(1))));
  return filled(name, dims, 0, 0.1);
}

const countTrainable = (model: Model): number =>
  [...model.parameters].reduce((sum, [name, { dims }]) => sum + (model.statistics.has(name) ? 0 : sizeOf(dims)), 0);

for (const [name, expected] of Object.entries(fixture)) {
  test(`${name}: parameter names and logits of PyTorch`, () => {
    const model = buildModel(name, { classes: expected.classes, seed: 1, inputSize: expected.size });
    assert.deepEqual([...model.parameters.keys()].sort(), expected.names);
    assert.equal(countTrainable(model), expected.trainable);
    const feeds: Record<string, Tensor> = { input: filled('input', [2, 3, expected.size, expected.size], 0, 2) };
    for (const [parameter, { dims }] of model.parameters) feeds[parameter] = fill(parameter, dims, expected.gain);
    const { logits } = evaluateGraph(model.graph, feeds);
    const wanted = expected.logits.flat();
    const worst = Math.max(...wanted.map((value, i) => Math.abs(value - Number(logits!.data[i]))));
    assert.ok(worst < 1e-4, `largest difference ${worst}`);
  });
}

test('parameter counts are the published ones', () => {
  const listed = new Map(listModels().map((entry) => [entry.name, entry]));
  // timm, 1000 classes
  assert.equal(listed.get('resnet18')?.parameters, 11_689_512);
  assert.equal(listed.get('resnet34')?.parameters, 21_797_672);
  assert.equal(listed.get('resnet50')?.parameters, 25_557_032);
  assert.equal(listed.get('resnet101')?.parameters, 44_549_160);
  assert.equal(listed.get('resnet152')?.parameters, 60_192_808);
  const counts = {
    mobilenetv2_035: 1_677_128,
    mobilenetv2_050: 1_968_680,
    mobilenetv2_075: 2_636_424,
    mobilenetv2_100: 3_504_872,
    mobilenetv2_110d: 4_516_520,
    mobilenetv2_120d: 5_831_144,
    mobilenetv2_140: 6_108_776,
    mobilenetv3_small_050: 1_593_224,
    mobilenetv3_small_075: 2_041_872,
    mobilenetv3_small_100: 2_542_856,
    mobilenetv3_large_075: 3_993_528,
    mobilenetv3_large_100: 5_483_032,
    efficientnet_b0: 5_288_548,
    efficientnet_b1: 7_794_184,
    efficientnet_b2: 9_109_994,
    efficientnet_b3: 12_233_232,
    efficientnet_b4: 19_341_616,
    efficientnet_b5: 30_389_784,
    efficientnet_b6: 43_040_704,
    efficientnet_b7: 66_347_960,
    vit_tiny_patch16_224: 5_717_416,
    vit_small_patch16_224: 22_050_664,
    vit_base_patch16_224: 86_567_656,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(counts).map((name) => [name, listed.get(name)?.parameters])), counts);
  // He et al. 2016 table 6 and Zagoruyko and Komodakis 2016 table 4, millions at 10 classes
  const millions = (name: string, digits: number): string => (listed.get(name)!.parameters / 1e6).toFixed(digits);
  assert.equal(millions('resnet20', 2), '0.27');
  assert.equal(millions('resnet32', 2), '0.46');
  assert.equal(millions('resnet44', 2), '0.66');
  assert.equal(millions('resnet56', 2), '0.85');
  assert.equal(millions('wrn-16-4', 1), '2.7');
  assert.equal(millions('wrn-40-4', 1), '8.9');
  assert.equal(millions('wrn-28-10', 1), '36.5');
  assert.equal(millions('resnet18-small', 2), '11.17');
  // Multiply-adds of torchvision's documentation: 1.81 and 4.09 G
  assert.equal((listed.get('resnet18')!.flops / 2e9).toFixed(2), '1.81');
  const multiplyAdds = (name: string): string => (listed.get(name)!.flops / 2e9).toPrecision(2);
  assert.equal((listed.get('resnet50')!.flops / 2e9).toFixed(2), '4.09');
  // As published, in G: Sandler et al. 2018 table 4, Howard et al. 2019 table 3, Tan and Le 2019
  // table 2, Touvron et al. 2021 table 1
  assert.equal(multiplyAdds('mobilenetv2_100'), '0.30');
  assert.equal(multiplyAdds('mobilenetv3_large_100'), '0.22');
  assert.equal(multiplyAdds('mobilenetv3_small_100'), '0.057');
  assert.equal(multiplyAdds('efficientnet_b0'), '0.39');
  assert.equal(multiplyAdds('efficientnet_b3'), '1.8');
  assert.equal(multiplyAdds('efficientnet_b7'), '38');
  assert.equal(multiplyAdds('vit_tiny_patch16_224'), '1.3');
  assert.equal(multiplyAdds('vit_small_patch16_224'), '4.6');
});

test('families grow: each next larger member has more parameters', () => {
  const listed = new Map(listModels().map((entry) => [entry.name, entry]));
  for (const entry of listed.values()) {
    if (entry.larger === undefined) continue;
    assert.ok(listed.get(entry.larger)!.parameters > entry.parameters, `${entry.name} -> ${entry.larger}`);
  }
  assert.equal(listed.get('resnet8')!.larger, 'resnet14');
  assert.equal(listed.get('resnet56')!.larger, undefined);
  assert.equal(listed.get('mobilenetv2_140')!.larger, undefined);
  assert.equal(listed.get('mobilenetv3_small_100')!.larger, 'mobilenetv3_large_075');
  for (let i = 0; i < 7; i++) assert.equal(listed.get(`efficientnet_b${i}`)!.larger, `efficientnet_b${i + 1}`);
});

test('weights follow from the seed and the name, spread as PyTorch spreads them', () => {
  const model = buildModel('resnet8', { labels: ['a', 'b'], seed: 3 });
  const again = buildModel('resnet8', { classes: 2, seed: 3, inputSize: 28 });
  const other = buildModel('resnet8', { classes: 2, seed: 4 });
  const weight = (from: Model): Float32Array => from.parameters.get('layer2.0.conv1.weight')!.data as Float32Array;
  assert.deepEqual(weight(model), weight(again));
  assert.notDeepEqual(weight(model), weight(other));
  const std = Math.sqrt(weight(model).reduce((sum, w) => sum + w * w, 0) / weight(model).length);
  assert.ok(Math.abs(std / Math.sqrt(2 / (32 * 9)) - 1) < 0.05, `std ${std}`);
  assert.ok(Math.abs(Math.max(...(model.parameters.get('fc.weight')!.data as Float32Array)) - 1 / 8) < 0.02);
  // The last scale of a block begins at 1 with option A shortcuts and, as in timm, at 0 with
  // projections.
  assert.deepEqual([...(model.parameters.get('layer1.0.bn2.weight')!.data as Float32Array)], new Array(16).fill(1));
  const projected = buildModel('resnet18-small', { classes: 2, seed: 3 });
  assert.deepEqual([...(projected.parameters.get('layer1.0.bn2.weight')!.data as Float32Array)], new Array(64).fill(0));
  assert.deepEqual(model.labels, ['a', 'b']);
  assert.deepEqual(model.preprocessing.size, [32, 32]);
  assert.deepEqual(again.graph.inputs[0]!.shape, ['N', 3, 28, 28]);
  assert.deepEqual(model.head, {
    node: 'fc',
    features: 'global_pool.flatten',
    featureCount: 64,
    weight: 'fc.weight',
    bias: 'fc.bias',
    classes: 2,
  });
});

test('mobile networks and transformers begin as in timm', () => {
  const spread = (model: Model, name: string): number => {
    const data = model.parameters.get(name)!.data as Float32Array;
    return Math.sqrt(data.reduce((sum, w) => sum + w * w, 0) / data.length);
  };
  const near = (got: number, wanted: number): void =>
    assert.ok(Math.abs(got / wanted - 1) < 0.06, `${got}, expected ${wanted}`);
  const mobile = buildModel('efficientnet_b0', { classes: 100, seed: 3 });
  near(spread(mobile, 'blocks.5.1.conv_dw.weight'), Math.sqrt(2 / 25)); // fan-out of one group
  near(spread(mobile, 'blocks.5.1.conv_pwl.weight'), Math.sqrt(2 / 192));
  near(spread(mobile, 'classifier.weight'), 0.1 / Math.sqrt(3)); // uniform in +-1/sqrt(100)
  assert.equal(spread(mobile, 'classifier.bias'), 0);
  assert.equal(spread(mobile, 'blocks.5.1.bn3.weight'), 1);
  assert.equal(mobile.head?.weight, 'classifier.weight');
  const transformer = buildModel('vit_tiny_patch4_32', { classes: 100, seed: 3 });
  near(spread(transformer, 'patch_embed.proj.weight'), 1 / Math.sqrt(3 * 48));
  near(spread(transformer, 'blocks.0.attn.qkv.weight'), 0.02);
  near(spread(transformer, 'pos_embed'), 0.02);
  near(spread(transformer, 'cls_token'), 1e-6);
  near(spread(transformer, 'head.weight'), 0.02);
  assert.equal(transformer.head?.weight, 'head.weight');
});

test('names: every row is known, wrn-d-k by its formula, others are refused with the nearest', () => {
  assert.ok(builtInNames().every(isBuiltIn));
  assert.ok(isBuiltIn('wrn-22-8') && !isBuiltIn('wrn-17-4') && !isBuiltIn('wrn-16-0'));
  const refuses = (name: string, message: RegExp): void =>
    assert.throws(() => buildModel(name, { classes: 2, seed: 0 }), refused('usage', message));
  refuses('resnet81', /did you mean "resnet/);
  refuses('wrn-17-4', /6n \+ 4/);
  refuses('efficientnet_b9', /did you mean "efficientnet_b/);
  refuses('densenet121', /known: /);
  assert.throws(() => buildModel('resnet8', { classes: 0, seed: 0 }), /at least 1/);
  assert.throws(() => buildModel('resnet8', { classes: 2, seed: 0, inputSize: 4 }), /8 to 4096/);
  assert.throws(() => buildModel('vit_tiny_patch16_224', { classes: 2, seed: 0, inputSize: 40 }), /multiples of 16/);
});
