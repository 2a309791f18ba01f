import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { noise } from '../testing/image-files.js';
import { padAndCrop, randomResizedCrop } from './geometry.js';
import { augmentationPresets, buildPipeline, runPipeline, trainPipeline, transforms, type PipelineSpec } from './pipeline.js';

const image = noise(1, 80, 60);

test('every transform is repeatable, pure and named as in its table', () => {
  const steps: PipelineSpec = [
    { name: 'resizeShortSide', size: 30 }, { name: 'resizeTo', width: 20, height: 10 }, { name: 'centreCropTo', width: 90, height: 20 },
    { name: 'randomResizedCrop', width: 16, height: 24 }, { name: 'horizontalFlip' }, { name: 'padAndCrop', pad: 4, width: 80, height: 60 },
    { name: 'rotate', degrees: 15 }, { name: 'brightnessJitter', amount: 0.4 }, { name: 'contrastJitter', amount: 0.4 },
    { name: 'saturationJitter', amount: 0.4 }, { name: 'colourJitter', brightness: 0.3, contrast: 0.3, saturation: 0.3 },
  ];
  assert.deepEqual(steps.map(({ name }) => name).sort(), Object.keys(transforms).sort());
  const before = Uint8Array.from(image.data);
  for (const step of steps) {
    const [transform] = buildPipeline(JSON.parse(JSON.stringify([step])) as PipelineSpec);
    assert.equal(transform!.name, step.name);
    const parameters = transform!.sample(new Random(3, step.name), image);
    assert.deepEqual(transform!.sample(new Random(3, step.name), image), parameters);
    const replayed = JSON.parse(JSON.stringify(parameters)) as typeof parameters; // parameters can be logged
    assert.deepEqual(transform!.apply(image, replayed), transform!.apply(image, parameters));
    assert.deepEqual(image.data, before, step.name);
  }
});

test('random resized crops cover the declared areas and ratios, inside the image', () => {
  const transform = randomResizedCrop({ width: 8, height: 8 });
  const areas: number[] = [];
  for (let i = 0; i < 3000; i++) {
    const { left, top, width, height } = transform.sample(new Random(0, i), image);
    assert.ok(left >= 0 && top >= 0 && left + width <= 80 && top + height <= 60);
    assert.ok(width / height > 0.7 && width / height < 1.42, `${width}x${height}`);
    areas.push((width * height) / 4800);
  }
  assert.ok(Math.min(...areas) > 0.07 && Math.min(...areas) < 0.1 && Math.max(...areas) > 0.9);
  // Uniform in [0.08, 1], less those that do not fit.
  const mean = areas.reduce((a, b) => a + b, 0) / areas.length;
  assert.ok(mean > 0.4 && mean < 0.54, String(mean));
  // Where nothing fits, the largest allowed central box.
  const wide = { width: 300, height: 10 };
  assert.deepEqual(randomResizedCrop({ width: 8, height: 8, scale: [0.9, 1] }).sample(new Random(0), wide), { left: 143, top: 0, width: 13, height: 10 });
});

test('pad-and-crop reaches every offset', () => {
  const transform = padAndCrop({ pad: 2, width: 80, height: 60 });
  const offsets = new Set(Array.from({ length: 400 }, (_, i) => JSON.stringify(transform.sample(new Random(0, i), image))));
  assert.equal(offsets.size, 25);
});

test('presets give the model size from any image', () => {
  for (const kind of augmentationPresets) {
    for (const size of [[28, 28], [96, 64]] as const) {
      const spec = trainPipeline(kind, { size, resizeShort: 100, interpolation: 'bilinear' }, { flip: false });
      assert.ok(spec.every(({ name }) => name !== 'horizontalFlip'));
      for (const [width, height] of [[1, 1], [80, 60], [17, 300]] as const) {
        const result = runPipeline(buildPipeline(spec), noise(2, width, height), new Random(1));
        assert.deepEqual([result.height, result.width, result.data.length], [...size, size[0] * size[1] * 3]);
      }
    }
  }
  assert.throws(() => trainPipeline('strong' as 'basic', { size: [8, 8], resizeShort: 8, interpolation: 'bilinear' }), /no augmentation preset 'strong'; known: none, light, basic/);
  assert.throws(() => buildPipeline([{ name: 'toString' } as never]), /no augmentation named 'toString'/);
});
