import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAugment } from './policy.js';
import { presets } from './presets.js';
import {
  augMix,
  autoAugment,
  cutMix,
  erase,
  mixUp,
  randAugment,
  readAugmentation,
  timmAugment,
  transform,
  trivialAugment,
  type Augment,
} from './values.js';

const rows: readonly (readonly [Augment, string])[] = [
  [randAugment({ n: 2, m: 9 }), 'randaugment:n=2,m=9'],
  [randAugment({ n: 1, m: 3, scale: 'timm' }), 'randaugment:n=1,m=3,scale=timm'],
  [[trivialAugment()], 'trivial'],
  [autoAugment({ policy: 'cifar10' }), 'auto:cifar10'],
  [augMix({ severity: 2 }), 'augmix:severity=2'],
  [timmAugment({ config: 'rand-m9-n2-mstd0.5-inc1' }), 'timm:rand-m9-n2-mstd0.5-inc1'],
  ['light', 'light'],
];
for (const [value, text] of rows) {
  test(`a value means what its short form means: ${text}`, async () => {
    const { policy, mixing } = await readAugmentation(value);
    assert.deepEqual(policy, parseAugment(text));
    assert.deepEqual(mixing, {});
  });
}

test('a list is done in order, on the crops of the policy that names some; batches are mixed', async () => {
  const { policy, mixing } = await readAugmentation([
    'light',
    transform('rotate', { range: [-5, 5] }),
    erase({ probability: 0.25 }),
    cutMix(),
    mixUp({ alpha: 0.4, probability: 0.5 }),
  ]);
  assert.equal(policy!.base, 'light');
  assert.deepEqual(
    policy!.steps.map(({ name }) => name),
    ['rotate', 'randomErasing'],
  );
  assert.equal(policy!.name, 'rotate+random-erasing');
  assert.deepEqual(mixing, { cutmix: 1, mixup: 0.4, probability: 0.5 });
  const only = await readAugmentation([cutMix({ alpha: 2 })]);
  assert.deepEqual(only, { policy: undefined, mixing: { cutmix: 2, probability: undefined } });
  assert.equal((await readAugmentation([presets.none, 'none'])).policy!.base, 'none');
});

test('mistakes in values are told', async () => {
  const wrong = (value: unknown): Promise<unknown> => readAugmentation(value as Augment);
  assert.throws(() => randAugment({ m: 99 }), { code: 'usage', message: /m is 99/, option: 'm' });
  assert.throws(() => cutMix({ alpha: -1 }), { code: 'usage', option: 'alpha' });
  assert.throws(() => cutMix(-1 as never), { code: 'usage', message: /options are an object.*got -1/ });
  await assert.rejects(wrong([{ name: 'randAgument' }]), { code: 'usage', message: /randAugment/ });
  await assert.rejects(wrong([cutMix({ probability: 0.1 }), mixUp({ probability: 0.2 })]), {
    code: 'usage',
    message: /share a probability/,
  });
});
