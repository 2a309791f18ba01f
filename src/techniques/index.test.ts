import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trainingOptions } from '../options/training.js';
import { techniques } from './index.js';
import { costOf, type Technique } from './technique.js';

const rows: readonly Technique[] = Object.values(techniques);

test('rows agree with themselves: options are options, views have names, what is needed is shown', () => {
  for (const { name, options, views, needs } of rows) {
    for (const option of options) assert.ok(option in trainingOptions, `${name}: ${option}`);
    assert.equal(new Set(views.map((view) => view.name)).size, views.length, name);
    const isShown = (...kinds: string[]): boolean => views.some(({ images }) => kinds.includes(images));
    assert.equal(isShown('unlabelled', 'all', 'pseudo-labelled'), needs.unlabelled !== false, name);
    assert.equal(isShown('pseudo-labelled'), needs.pseudoLabels === true, name);
    assert.equal(options.includes('teachers'), needs.teacher === true, name);
    assert.equal(options.includes('pseudoLabels'), needs.pseudoLabels === true, name);
    const ratio = views.some(({ perLabelled }) => perLabelled === 'unlabelledRatio');
    assert.equal(options.includes('unlabelledRatio'), ratio, name);
    assert.equal(
      options.includes('strong'),
      views.some(({ augment }) => augment === 'strong'),
      name,
    );
  }
});

test('an epoch is once through the view that has most to show', () => {
  const images = { labelled: 20, unlabelled: 60 };
  const epoch = (name: keyof typeof techniques, unlabelledRatio?: number, labelled = 20): number =>
    costOf(techniques[name], { ...images, labelled }, { batchSize: 4, unlabelledRatio });
  assert.equal(epoch('supervised'), 20);
  assert.equal(epoch('distillation'), 80 * (4 / 3), 'a teacher looks at all of them');
  assert.equal(epoch('pseudo-labels', 3), 5 * (4 + 12), 'sixty by twelve, or twenty by four');
  assert.equal(epoch('fixmatch', 4), 5 * (4 + 16 + 16), 'eighty by sixteen');
  assert.equal(epoch('fixmatch', 4, 60), 15 * (4 + 16 + 16), 'sixty labelled images by four take longer');
  assert.equal(
    costOf(techniques.fixmatch, images, { batchSize: 4, unlabelledRatio: 4, weakPass: 'apart' }),
    5 * (4 + 16 / 3 + 16),
    'weak views that are only looked at',
  );
  assert.equal(epoch('adamatch', 4), 5 * (4 * 2 + 4 * 2 + 16 + 16), 'labelled images go through twice');
  assert.equal(epoch('mean-teacher', 4), 5 * ((4 + 16) * (4 / 3)), 'the teacher only looks');
});
