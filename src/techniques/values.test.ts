import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveSettings } from '../runs/resolve.js';
import * as values from '../techniques.js';
import { techniqueNames } from '../options/training.js';

test('a value is plain data: a name and options', () => {
  assert.deepEqual(values.fixMatch(), { name: 'fixmatch' });
  assert.deepEqual(values.freeMatch({ fairnessWeight: 0.05, runningDecay: 'auto' }), {
    name: 'freematch',
    fairnessWeight: 0.05,
    runningDecay: 'auto',
  });
  // @ts-expect-error FreeMatch has no threshold to give.
  values.freeMatch({ threshold: 0.9 });
});

test('every technique but plain supervised learning has a function, and a training takes what it gives', () => {
  const made = Object.values(values).map((of) => of({}).name);
  assert.deepEqual([...made, 'supervised'].sort(), [...techniqueNames].sort());
  const { name, ...options } = values.meanTeacher({ unlabelledWeight: 5 });
  assert.equal(resolveSettings(undefined, { technique: name, ...options }).unlabelledWeight, 5);
});
