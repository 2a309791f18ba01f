import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReferenceEngine } from '../engine/reference/index.js';
import { compare, fixtureNames, loadGraph, readFixture } from '../testing/compatibility.js';
import { large, updatesTests } from '../testing/pytorch-updates.js';

for (const name of fixtureNames().filter((family) => !large.has(family)))
  for (const { title, without, run } of updatesTests(name)) test(title, { skip: without }, run);

/**
 * Small ones, one of each kind, on the reference engine, which computes in double precision and
 * needs no rounding to be excused.
 */
for (const name of ['shufflenet', 'mnasnet', 'efficientnet']) {
  const fixture = readFixture(name);
  test(`${fixture.family} in double precision: updates equal PyTorch's to 1e-6`, async () => {
    const reference = createReferenceEngine({ float64: true });
    const { max, parameter, statistics } = await compare(reference, loadGraph(fixture, fixture.graphs[0]!), 'trained');
    assert.ok(max < 1e-6, `the update of ${parameter} off by ${max.toExponential(2)}`);
    assert.ok((statistics ?? 0) < 1e-5, `running statistics off by ${statistics}`);
  });
}
