import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heatMap, rankedChart } from './heat-map.js';
import { svgOf, renderPage } from './render.js';
import { searchDrawing, searchPage, type CellScore, type SearchedCell, type SearchView } from './search.js';

const texts = (svg: string): string[] => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text!);

const cell = (
  policy: string,
  score: Partial<CellScore> | undefined,
  at: { n?: number; m?: number } = {},
): SearchedCell => ({
  policy,
  ...at,
  baseline: policy === 'basic',
  score: score && {
    rung: 0,
    top1: 0,
    interval: 0.03,
    gain: { mean: 0, interval: 0.02 },
    loss: 1,
    seeds: [0, 0],
    ...score,
  },
});
const view: SearchView = {
  title: 'run',
  space: 'grid',
  rungs: [3, 9],
  heldOut: 200,
  grid: { n: [1, 2], m: [3, 9] },
  trainings: { done: 10, planned: 12 },
  seconds: 60,
  verdict: 'found <it>',
  command: 'pupil train x',
  config: {},
  cells: [
    cell('randaugment:n=2,m=3', { rung: 1, top1: 0.72, gain: { mean: 0.02, interval: 0.01 } }, { n: 2, m: 3 }),
    cell('basic', { rung: 1, top1: 0.7 }),
    cell('randaugment:n=1,m=9', { top1: 0.48, gain: { mean: -0.02, interval: 0.03 } }, { n: 1, m: 9 }),
    cell('randaugment:n=1,m=3', { top1: 0.4, gain: { mean: -0.1, interval: 0.03 } }, { n: 1, m: 3 }),
    cell('randaugment:n=2,m=9', undefined, { n: 2, m: 9 }),
  ],
};

const picture = (of: SearchView): string => svgOf(searchDrawing(of));

test('a heat map says mean, interval and gain of each cell, and how far the unfinished ones came', () => {
  const svg = picture(view);
  assert.deepEqual(texts(svg), [
    'RandAugment: accuracy by N and M',
    'basic',
    '70.0%',
    '±3.0',
    '',
    'ops N',
    '1',
    '2',
    '3',
    '9',
    '40.0%',
    '±3.0 (−10.0)',
    'rung 1: 3 of 9 ep.',
    '48.0%',
    '±3.0 (−2.0)',
    'rung 1: 3 of 9 ep.',
    '72.0%',
    '±3.0 (+2.0)',
    'best',
    'not measured',
    'magnitude M',
    'Accuracy on 200 held-out images, 2 seeds; ± is the 95% interval.',
    'Colour and brackets: points above basic after the same number of epochs. Dashed: stopped early.',
  ]);
  assert.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" viewBox="0 0 \d+ \d+".*<\/svg>$/s);
  assert.equal([...svg.matchAll(/stroke-dasharray="5 4"/g)].length, 2);
  // The strongest loss has the full colour, what equals the baseline none.
  assert.ok(svg.includes('fill="rgb(181,80,36)"') && svg.includes('fill="rgb(238,238,232)"'));
});

test('a ranking groups what was trained for as many epochs, with a rule at the baseline of each', () => {
  const svg = picture({ ...view, space: 'policies', grid: undefined });
  const shown = texts(svg);
  for (const text of [
    'trained in full: 9 epochs',
    'stopped after rung 1: 3 of 9 epochs',
    '72.0% ±3.0 (+2.0)',
    '70.0% ±3.0',
  ])
    assert.ok(shown.includes(text), text);
  assert.ok(shown.indexOf('basic') < shown.indexOf('randaugment:n=1,m=9') && !shown.includes('randaugment:n=2,m=9'));
  assert.equal([...svg.matchAll(/stroke-dasharray="4 3"/g)].length, 1);
  assert.equal([...svg.matchAll(/<circle/g)].length, 4);
});

const htmlOf = (of: SearchView): string => renderPage(searchPage(of), new Map()).html;

test('a page says what was found, how sure that is, and how many seeds there were', () => {
  const html = htmlOf(view);
  for (const text of ['found &lt;it&gt;', '72.0% ± 3.0', '+2.0 ± 1.0', 'pupil train x', 'not compared'])
    assert.ok(html.includes(text), text);
  const one = htmlOf({
    ...view,
    command: undefined,
    cells: [cell('basic', { top1: 0.8, seeds: [0.8], interval: undefined, gain: { mean: 0 } })],
  });
  assert.ok(one.includes('Accuracy on 200 held-out images, 1 seed.') && !one.includes('±'), one);
  assert.ok(!one.includes('Train with this policy'));
  assert.ok(htmlOf({ ...view, rungs: [1] }).includes('Every candidate trains for 1 epoch.'));
});

test('names are escaped and long ones cut', () => {
  const svg = rankedChart({ title: '<&>', rows: [{ name: 'x'.repeat(100), mean: 0.5, group: 'a"b' }] });
  assert.ok(svg.includes('&lt;&amp;&gt;') && svg.includes('…') && !svg.includes('x'.repeat(99)));
  assert.ok(
    heatMap({ title: 't', xLabel: 'x', yLabel: 'y', columns: ['1'], rows: ['<'], cells: [[undefined]] }).includes(
      '&lt;',
    ),
  );
});
