import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseHTML } from 'linkedom';
import { openRun, readMetrics } from '../artifact/run.js';
import { writeTechniqueRun } from '../testing/technique-runs.js';
import { shareAxis } from './axis.js';
import { imagesOf } from './blocks.js';
import { duration, parameters } from './format.js';
import { ladderBlocks, readLadder } from './ladder.js';
import { pseudoLabelsBlocks, readPseudoLabels } from './pseudo-labels.js';
import { writeReport } from './report.js';
import { renderSection } from './render.js';
import { readRounds, roundsBlocks } from './rounds.js';
import { readSections } from './sections.js';
import { readUnlabelled } from './unlabelled.js';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pupil-sections-'));
});
after(() => rm(folder, { recursive: true }));

type Page = ReturnType<typeof parseHTML>['document'];
/** As a browser shows it: white space counts once. */
const textOf = ({ textContent }: { readonly textContent: string }): string => textContent.replace(/\s+/g, ' ').trim();
const open = async (path: string): Promise<{ html: string; document: Page }> => {
  const html = await readFile(path, 'utf8');
  return { html, document: parseHTML(html).document };
};
const headings = (document: Page): string[] => [...document.querySelectorAll('h2')].map(textOf);
const rowsOf = (table: {
  querySelectorAll(
    what: string,
  ): Iterable<{ textContent: string; querySelectorAll(what: string): Iterable<{ textContent: string }> }>;
}): string[][] => [...table.querySelectorAll('tbody tr')].map((row) => [...row.querySelectorAll('td')].map(textOf));
/** The part of the page below a heading. */
const tablesAfter = (document: Page, heading: string): string[][] => {
  const tables = [...document.querySelectorAll('h2, table.rows')];
  return rowsOf(tables[tables.findIndex((item) => item.textContent === heading) + 1]!);
};
/** What must not stand in a page, images aside. */
const faultsOf = (html: string): string[] =>
  html.replace(/data:image[^"]*/g, '').match(/<script|<link|<iframe|javascript:|\son\w+=|\bNaN|undefined|\[object/g) ??
  [];
const nasty = '<script>alert("1")</script> & \'Zwölf\'';

describe('the report of a ladder with self-training', () => {
  let page: Awaited<ReturnType<typeof open>>;
  let run: Awaited<ReturnType<typeof writeTechniqueRun>>;
  before(async () => {
    run = await writeTechniqueRun(join(folder, 'few'), { classes: ['cat', nasty, 'bird'], epochs: 6, rounds: 2 });
    page = await open(await writeReport(join(folder, 'few')));
  });

  test('has every section, and nothing from elsewhere', () => {
    assert.deepEqual(headings(page.document), [
      'Techniques compared',
      'Rounds of self-training',
      'Learning curves',
      'Unlabelled images',
      'Pseudo-labels',
      'Configuration',
    ]);
    assert.deepEqual(faultsOf(page.html), []);
    const addresses = [...page.html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address!);
    assert.deepEqual(
      [...new Set(addresses.filter((address) => !address.startsWith('data:image/')))],
      ['rungs/1-probe/report.html'],
    );
    assert.deepEqual(
      [...page.html.matchAll(/https?:\/\/[^"' <)]+/g)]
        .map(([address]) => address)
        .filter((address) => !address.startsWith('http://www.w3.org/')),
      [],
    );
    assert.deepEqual(
      [...page.document.querySelectorAll('.strips, .multiples')].map((item) => item.className),
      ['multiples'],
    );
  });

  test('says of each rung what it brought and cost, and links those whose report is there', () => {
    const [chart] = page.document.querySelectorAll('.rungs');
    const lines = [...chart!.querySelectorAll('.rung:not(.axis)')];
    assert.deepEqual(
      lines.map((line) => line.className),
      ['rung kept', 'rung kept', 'rung', 'rung best', 'rung', 'rung skipped'],
    );
    assert.match(textOf(lines[3]!), /fixmatch.*84\.6% 82\.1 to 87\.1% \+5\.4 ± 2\.2 points/);
    assert.match(textOf(lines[5]!), /self-training.*skipped: expected 22 min, 16 min are left/);
    // The rule to beat stands at the best kept before: the third and fourth line share it.
    const rules = lines.map((line) => line.querySelector('.beat')?.getAttribute('style'));
    assert.equal(rules[0], undefined);
    assert.equal(rules[1], lines[0]!.querySelector('.dot')!.getAttribute('style'));
    assert.equal(rules[2], rules[3]);
    const cells = tablesAfter(page.document, 'Techniques compared');
    assert.deepEqual(cells[1], [
      'finetune',
      'mobilenetv22.24 M parameters',
      '79.2% (76.4 to 82.0%)',
      '+4.2 ± 2.0',
      '78.1%',
      '2 min 20 sexpected 2 min',
      'kepthelps by more than its interval',
    ]);
    assert.deepEqual(cells[5]!.slice(0, 5), ['self-training', '–', '–', '–', '–']);
    assert.match(
      textOf(page.document.querySelector('p.lead + .card')!.previousElementSibling!),
      /From 75\.0% \(72\.0 to 78\.0%\) by probe to 84\.6% \(82\.1 to 87\.1%\) by fixmatch: 5 techniques tried, 1 skipped\. 13 min 32 s of 30 min\./,
    );
  });

  test('says of each round whether its student helped, and why it stopped', () => {
    const cells = tablesAfter(page.document, 'Rounds of self-training');
    assert.deepEqual(
      cells.map((row) => row.at(-1)),
      ['', 'better', 'final model', 'not better'],
    );
    assert.deepEqual(cells[2]!.slice(0, 4), [
      'round 2',
      'resnet20272,474 parameters',
      '80.1% (74.0 to 85.0%)',
      '+3.6 ± 2.0',
    ]);
    assert.ok(
      page.html.includes('round 3 no longer helps') && page.html.includes('Accuracy on the 200 held-out images'),
    );
  });

  test('shows what was kept of unlabelled images, overall and by class', () => {
    assert.match(
      textOf(page.document.querySelector('main')!),
      /In epoch 6 it used [\d.]+% of the unlabelled images, and 99\.0% of those were right \(the true label is known for 2,000 of them/,
    );
    assert.deepEqual(
      [...page.document.querySelectorAll('.multiples h4')].map((name) => name.textContent),
      ['cat', nasty, 'bird'],
    );
    assert.equal(page.document.querySelectorAll('.multiples svg').length, 3);
  });

  test('shows how many pseudo-labels there are, how sure, how balanced and how right', () => {
    const last = run.labels.at(-1)!;
    const rounds = tablesAfter(page.document, 'Pseudo-labels');
    assert.deepEqual(
      rounds.map(([round, teacher]) => [round, teacher]),
      [
        ['1', 'runs/flowers/rounds/0'],
        ['2', 'runs/flowers/rounds/1'],
      ],
    );
    assert.equal(rounds[1]!.at(-1), `${((100 * last.truth!.acceptedRight) / last.truth!.acceptedKnown).toFixed(1)}%`);
    const [table] = [...page.document.querySelectorAll('table.rows')].filter((item) => item.querySelector('.balance'));
    const { cat } = last.perClass;
    assert.deepEqual(
      rowsOf(table!)[0]!
        .filter((cell) => cell !== '')
        .slice(0, 5),
      ['cat', `${cat!.predicted}`, `${cat!.accepted}`, `${cat!.copies}`, '80.0%'],
    );
    assert.match(textOf(page.document.querySelector('main')!), /No image was predicted as bird\./);
    assert.ok(page.html.includes(`aria-label="Images by confidence: ${last.histogram.join(', ')} `));
  });

  test('shows samples, the doubtful and the strange as images inside the page', () => {
    const pairs = [...page.document.querySelectorAll('.pair')];
    assert.deepEqual(
      pairs.slice(0, 2).map((pair) => [pair.querySelector('p')!.textContent, pair.querySelectorAll('img').length]),
      [
        ['cat', 6],
        [nasty, 6],
      ],
    );
    assert.ok(
      [...page.document.querySelectorAll('.mistakes figcaption')].some((caption) => caption.textContent === 'away.png'),
    );
    assert.equal([...page.document.querySelectorAll('.photo.missing')].length, 2); // once in each round
  });
});

test('many classes get a line each, and fewer images', async () => {
  const classes = Array.from({ length: 100 }, (_, i) => `class ${i}`);
  const run = await writeTechniqueRun(join(folder, 'many'), { classes, epochs: 90, rounds: 2, truth: false });
  const { html, document } = await open(
    await writeReport(join(folder, 'many'), { readImage: () => Promise.resolve(undefined) }),
  );
  // Files are found even where the run's own data does not know them.
  assert.ok(document.querySelector('.tile img'));
  const [kept, balance] = document.querySelectorAll('.strips');
  assert.equal(kept!.querySelectorAll('svg').length, 100);
  assert.equal(balance!.querySelectorAll('.balance').length, 100);
  assert.equal(document.querySelectorAll('.multiples').length, 0);
  assert.deepEqual(
    [...document.querySelectorAll('.tile')].map((tile) => tile.querySelectorAll('.photo').length),
    Array(99).fill(2),
  );
  assert.deepEqual(faultsOf(html), []);
  assert.ok(!html.includes('accuracy of'));
  assert.ok(imagesOf(pseudoLabelsBlocks({ rounds: run.labels })).length <= 240 + 4 * 12);
  assert.ok(html.length < 1e6, `${html.length} bytes`);
});

describe('files that lack something', () => {
  test('a run without them has no such section', async () => {
    const path = join(folder, 'plain');
    await mkdir(path);
    await writeFile(join(path, 'run.json'), '{}');
    assert.deepEqual(headings((await open(await writeReport(path))).document), ['Evaluation', 'Configuration']);
  });

  test('a damaged file is named and the rest is shown', async () => {
    const path = join(folder, 'damaged');
    await mkdir(path);
    await writeFile(join(path, 'run.json'), '{}');
    await writeFile(join(path, 'ladder.json'), '{"rungs":[');
    await writeFile(join(path, 'rounds.json'), JSON.stringify({ rounds: [{ round: 0, student: 'resnet8' }] }));
    await writeFile(
      join(path, 'pseudo-labels.json'),
      JSON.stringify({ rounds: [{ total: 10, accepted: 0, samples: { a: ['gone.png'] } }] }),
    );
    const { html, document } = await open(await writeReport(path));
    assert.deepEqual(headings(document), [
      'Techniques compared',
      'Rounds of self-training',
      'Pseudo-labels',
      'Configuration',
    ]);
    assert.match(html, /ladder\.json: not valid JSON/);
    assert.ok(html.includes('images were moved or deleted'));
    assert.deepEqual(faultsOf(html), []);
  });

  test('nothing, null and numbers of another type are no error', () => {
    for (const value of [undefined, null, 3, 'text', [], {}, { rungs: 1, rounds: {} }]) {
      assert.equal(readLadder(value), undefined);
      assert.equal(readRounds(value), undefined);
      assert.equal(readPseudoLabels(value), undefined);
    }
    assert.equal(
      readUnlabelled([
        { type: 'epoch', epoch: 1 },
        { type: 'step', unlabelled: { kept: 1 } },
      ]),
      undefined,
    );
    const { rungs } = readLadder({
      rungs: [{ name: 'probe', selection: { top1: null }, kept: 'yes', seconds: '3' }],
    })!;
    assert.equal(JSON.stringify(rungs), JSON.stringify([{ name: 'probe', kept: false, skipped: false }]));
    assert.equal(
      readUnlabelled([{ type: 'epoch', epoch: 2, unlabelled: { kept: 0.5, perClass: { a: null } } }])!.epochs[0]!.kept,
      0.5,
    );
  });
});

test('an axis of accuracies has room at both ends and round ticks', () => {
  const { ticks, at } = shareAxis([0.7, 0.8, NaN, 1.3]);
  assert.deepEqual(
    ticks.map((tick) => tick.toFixed(2)),
    ['0.70', '0.80', '0.90', '1.00'],
  );
  assert.ok(at(0.7) > 0 && at(1) < 1 && at(0) === 0 && at(2) === 1);
});

test('times and counts are short', () => {
  assert.deepEqual([9.96, 59, 60, 61, 3600, 3700].map(duration), [
    '10 s',
    '59 s',
    '1 min',
    '1 min 01 s',
    '1 h',
    '1 h 01 min',
  ]);
  assert.deepEqual([78042, 272474, 2236682, 2.5e7].map(parameters), ['78,042', '272,474', '2.24 M', '25.0 M']);
});

test('labels of a ladder are called as its rounds are, and the page says why there is no further round', () => {
  const round = { total: 10, accepted: 8, meanConfidence: 0.9, histogram: [], acceptedHistogram: [], perClass: {} };
  const labels = readPseudoLabels({
    rounds: [
      { ...round, round: 0, name: 'consensus', teacher: 'consensus' },
      { ...round, round: 1, name: 'round 1', teacher: 'round 1', moved: 0.1 },
    ],
  })!;
  const { document } = parseHTML(
    `<main>${renderSection({ blocks: pseudoLabelsBlocks(labels) }, new Map()).html}</main>`,
  );
  const cells = rowsOf(document.querySelector('table.rows')!);
  assert.deepEqual(
    cells.map(([first]) => first),
    ['consensus', 'round 1'],
  );
  assert.match(textOf(document.querySelector('main')!), /^In round 1 the teacher labelled 10 images/);
  assert.ok([...document.querySelectorAll('summary')].some((item) => textOf(item) === 'Consensus'));
  const first = renderSection({ blocks: pseudoLabelsBlocks(labels, 'consensus') }, new Map()).html;
  assert.match(first, /The consensus labelled 10 images/, 'what is kept comes first');
  assert.ok(![...document.querySelectorAll('th')].some((item) => textOf(item) === 'Teacher'));
  const ladder = readLadder({
    rungs: [{ name: 'round 1', kept: true, seconds: 3 }],
    kept: 'round 1',
    stopped: 'no further round: 0.2% of the labels changed',
  })!;
  const { html } = renderSection({ blocks: ladderBlocks(ladder, new Map()) }, new Map());
  assert.ok(html.includes('No further round: 0.2% of the labels changed.'));
});

test('rounds of a run that holds nothing out are drawn by what they gave on images for the report only', () => {
  const rounds = readRounds({
    kept: 1,
    rounds: [
      { round: 0, student: 'resnet8', test: { top1: 0.7 } },
      { round: 1, student: 'resnet8', test: { top1: 0.8 } },
    ],
  })!;
  const { document } = parseHTML(
    `<main>${renderSection({ blocks: roundsBlocks(rounds, new Map()) }, new Map()).html}</main>`,
  );
  assert.deepEqual(
    [...document.querySelectorAll('.rung .score b')].map(({ textContent }) => textContent),
    ['70.0%', '80.0%'],
  );
  assert.equal(document.querySelectorAll('.track .test').length, 2);
  assert.equal(document.querySelectorAll('.track .dot, .skipped').length, 0);
  assert.match(document.querySelector('.note')!.textContent, /No images were held out/);
});

test('what sections show is data: the same after it was JSON', async () => {
  const path = join(folder, 'json');
  await writeTechniqueRun(path, { classes: Array.from({ length: 13 }, (_, i) => `class ${i}`), epochs: 3, rounds: 2 });
  const pair = { first: { path: 'a.png', split: 'train', label: 'cat' }, second: { path: 'b.png', split: 'val' } };
  await writeFile(join(path, 'alike.json'), JSON.stringify({ count: 1, pairs: [{ ...pair, samePixels: true }] }));
  const sections = await readSections(await openRun(path), await readMetrics(path));
  assert.deepEqual(
    sections.map(({ title }) => title),
    ['Unlabelled images', 'Techniques compared', 'Rounds of self-training', 'Pseudo-labels', 'Images in two splits'],
  );
  const shown = (items: typeof sections): string[] => {
    const pictures = new Map(items.flatMap(({ blocks }) => imagesOf(blocks)).map((name) => [name, picture]));
    return items.map((section) => renderSection(section, pictures).html);
  };
  const picture = { uri: 'data:image/png;base64,', tiny: false };
  assert.deepEqual(shown(JSON.parse(JSON.stringify(sections)) as typeof sections), shown(sections));
  assert.deepEqual(faultsOf(shown(sections).join('')), []);
});

test('what was warned of stands in the report and in the card, without places of this machine', async () => {
  const path = join(folder, 'warned');
  await writeTechniqueRun(path, { classes: ['cat', 'dog'], epochs: 2, rounds: 1 });
  const warnings = ['few labels of cat (3)', `/home/anna/secret/${'a.jpg'} cannot be read`, ...Array(20).fill('more')];
  await writeFile(join(path, 'warnings.json'), JSON.stringify({ warnings }));
  await writeFile(join(path, 'model.onnx'), 'a model');
  const { document, html } = await open(await writeReport(path));
  assert.equal(headings(document)[0], 'Warnings');
  const lines = [...document.querySelectorAll('li')].map(textOf);
  assert.deepEqual(lines.slice(0, 2), ['few labels of cat (3)', '\u2026/a.jpg cannot be read']);
  assert.equal(lines[20], 'and 2 more, in warnings.json');
  assert.doesNotMatch(html, /anna/);
  const card = await readFile(join(path, 'model-card.md'), 'utf8');
  assert.match(card, /## Warnings while it was trained\n\n- few labels of cat \(3\)\n- \u2026\/a\.jpg cannot be read/);

  await writeFile(join(path, 'warnings.json'), '{"warnings": 3}');
  const damaged = await open(await writeReport(path));
  assert.match(textOf(damaged.document.body), /This part is missing\. .*warnings\.json/);
});
