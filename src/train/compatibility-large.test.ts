import { test } from 'node:test';
import { fixtureNames } from '../testing/compatibility.js';
import { large, updatesTests } from '../testing/pytorch-updates.js';

/** In a file of their own: what runs again for tests that were skipped are whole files. */

const skip = process.env['PUPIL_NO_SKIPS'] !== '1' && 'takes long; PUPIL_NO_SKIPS=1 runs it';
for (const name of fixtureNames().filter((family) => large.has(family)))
  for (const { title, without, run } of updatesTests(name)) test(title, { skip: without || skip }, run);
