import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseHTML } from 'linkedom';
import { Random } from '../random.js';
import { pupil } from '../testing/command-line.js';
import { spoilt } from '../testing/spoilt.js';

/** Run folders from anybody: `pupil report` makes a page without scripts of them, or says what is wrong. */

const script = '<script>document.title="PWNED"</script>';
const accuracy = (top1: number): object => ({ top1, interval: 0.1, count: 9 });
const round = { run: 'rounds/1', seconds: 9, parameters: 500, selection: accuracy(0.5), gain: { mean: 0.1 } };
const images = { path: '/home/somebody/photos', count: 2, found: 2 };

/** A folder of each kind, by the names of its files; texts are lines of JSON. */
const folders: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  training: {
    'run.json': {
      command: 'train',
      settings: { data: '/home/somebody/photos', model: '/home/somebody/net.onnx', mode: 'finetune', lr: 0.1, seed: 7 },
      classes: ['cat', 'dog'],
      versions: { pupil: '0.1.0' },
    },
    'result.json': { run: '/home/somebody/runs/a', seconds: 12 },
    'evaluation.json': {
      ...{ top1: 0.5, balanced: 0.5, top5: 1, count: 2, loss: 0.7, ece: 0.1, split: 'val', classes: ['cat', 'dog'] },
      perClass: { cat: { recall: 1, precision: 0.5, count: 1 }, dog: { recall: 0, precision: 0, count: 1 } },
      confusion: [
        [1, 0],
        [1, 0],
      ],
      predictions: [
        { path: '/home/somebody/photos/cat/1.png', label: 'cat', predicted: 'cat', confidence: 0.9 },
        { path: '/home/somebody/photos/dog/1.png', label: 'dog', predicted: 'cat', confidence: 0.8 },
      ],
      calibration: { temperature: 1, eceBefore: 0.1, eceAfter: 0.1 },
    },
    'ladder.json': {
      kept: 'b',
      seconds: 9,
      rungs: [
        { ...round, name: 'a', kept: true },
        { name: 'b', skipped: true },
      ],
    },
    'rounds.json': {
      kept: 1,
      rounds: [
        { ...round, round: 0, student: 'small' },
        { ...round, round: 1, student: 'x' },
      ],
    },
    'pseudo-labels.json': {
      rounds: [
        {
          ...{ round: 1, teacher: '/home/somebody/runs/b', total: 9, accepted: 5, meanConfidence: 0.7, threshold: 0.9 },
          histogram: [1, 2, 6],
          acceptedHistogram: [0, 0, 5],
          perClass: { cat: { predicted: 5, accepted: 3, copies: 3, meanConfidence: 0.8, known: 2, right: 1 } },
          truth: { known: 5, right: 4, acceptedKnown: 3, acceptedRight: 3 },
          samples: { cat: ['/home/somebody/u/1.png'] },
          doubtful: ['/home/somebody/u/2.png'],
          outOfDistribution: { count: 1, paths: ['/home/somebody/u/3.png'] },
        },
      ],
    },
    'metrics.jsonl': [
      { type: 'step', epoch: 1, step: 1, loss: 0.7, learningRate: 0.1 },
      { type: 'epoch', epoch: 1, train: { loss: 0.5, accuracy: 0.5 }, unlabelled: { kept: 0.5, weight: 0.4 } },
      { type: 'epoch', epoch: 2, unlabelled: { kept: 0.5, weight: 0.4, perClass: { cat: { kept: 1, predicted: 1 } } } },
      { type: 'evaluation', epoch: 1, selection: { top1: 0.5, loss: 1 } },
    ],
  },
  search: {
    'run.json': { command: 'search', settings: { space: 'grid', n: [1], m: [3], data: '/home/somebody/photos' } },
    'search.json': {
      cells: [{ policy: 'basic' }, { policy: 'randaugment:n=1,m=3', n: 1, m: 3 }],
      plan: { cells: 2, baseline: 0, seeds: 1, rungs: [2], eta: 3 },
      heldOut: [4],
      measured: [
        { cell: 0, rung: 0, seed: 0, top1: 0.5, loss: 1, right: '0101', seconds: 3 },
        { cell: 1, rung: 0, seed: 0, top1: 0.75, loss: 1, right: '0111', seconds: 3 },
      ],
    },
  },
  gap: {
    'run.json': { command: 'gap', settings: { real: ['/home/somebody/real'] } },
    'gap.json': {
      ...{ train: images, real: images, model: '/home/somebody/net.onnx', neighbours: 5, draws: 1, seconds: 9 },
      policies: ['none', 'trivial'].map((augment) => ({
        ...{ augment, coverage: 0.5, density: 0.5, mmd: 0.1, interval: 0.01, closes: 0.3, closesInterval: 0.1 },
      })),
      expected: { coverage: 0.9 },
      halves: { coverage: 0.9, density: 1, mmd: 0, interval: 0.01 },
      least: [{ path: '/home/somebody/real/1.png', score: 2 }],
      points: { train: [[0, 1]], real: [[1, 1]], augmented: { trivial: [[0, 0]] }, marked: [0] },
    },
  },
};

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'pupil-foreign-'));
});
after(() => rmSync(folder, { recursive: true }));

/** Makes the report of a run folder with these files. */
async function reportOf(files: Readonly<Record<string, unknown>>): ReturnType<typeof pupil> {
  for (const [name, value] of Object.entries(files)) {
    const lines = name.endsWith('.jsonl') && Array.isArray(value) ? value : [value];
    writeFileSync(join(folder, name), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  rmSync(join(folder, 'report.html'), { force: true });
  return pupil('report', folder);
}

/** A page in which nothing runs and nothing is fetched, whatever the values are. */
function assertHarmless(what: string): void {
  const { document } = parseHTML(readFileSync(join(folder, 'report.html'), 'utf8'));
  assert.equal(document.querySelectorAll('script,iframe,object,embed,link,base,form').length, 0, what);
  const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.getAttribute('content');
  assert.match(policy ?? '', /^default-src 'none'; img-src data:; style-src 'unsafe-inline';/, what);
  for (const element of document.querySelectorAll('*'))
    for (const { name, value } of element.attributes) {
      assert.doesNotMatch(name, /^on/i, what);
      if (/^(src|href|xlink:href)$/.test(name)) assert.match(value, /^(data:image\/|[\w%.-]+\/|#)/, what);
    }
}

for (const [kind, files] of Object.entries(folders)) {
  test(`the report of a ${kind} has no path of this machine, and a browser may run nothing in it`, async () => {
    const { code, err } = await reportOf(files);
    assert.equal(code, 0, err);
    assertHarmless(kind);
    const page = readFileSync(join(folder, 'report.html'), 'utf8');
    assert.doesNotMatch(page, /somebody/);
    assert.ok(!page.includes(dirname(folder)));
    if (kind === 'gap') assert.match(page, /…\/photos are from …\/photos/);
  });

  test(`a ${kind} whose files hold anything gives a harmless page or one line`, async (t) => {
    const outcomes = { page: 0, refused: 0 };
    const tries = kind === 'training' ? 60 : 25;
    for (let i = 0; i < tries; i++) {
      const random = new Random(i, kind);
      const names = Object.keys(files);
      const name = names[random.integer(names.length)]!;
      const { code, out, err } = await reportOf({ ...files, [name]: spoilt(files[name], random) });
      const what = `try ${i}, ${name}: ${readFileSync(join(folder, name), 'utf8').slice(0, 1500)}`;
      assert.ok(code === 0 || code === 2, `${err} ${what}`);
      assert.doesNotMatch(out + err, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/, what);
      outcomes[code === 0 ? 'page' : 'refused']++;
      if (code === 0) assertHarmless(what);
      else assert.match(err, /^pupil: [^\n]*\n$/, what);
    }
    t.diagnostic(`${tries} tries: ${outcomes.page} pages, ${outcomes.refused} refused`);
    assert.ok(outcomes.page > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
  });
}

test('a value that looks like markup of ours is refused or shown as text', async () => {
  const training = folders['training']!;
  const evaluation = training['evaluation.json'] as Record<string, object>;
  const perClass = { ...evaluation['perClass'], cat: { recall: 1, precision: 1, count: { html: script } } };
  const refused = await reportOf({ ...training, 'evaluation.json': { ...evaluation, perClass } });
  assert.equal(refused.code, 2);
  assert.match(refused.err, /evaluation\.json: "perClass\.cat\.count": Invalid type: Expected number/);
  const ladder = await reportOf({ ...training, 'ladder.json': { rungs: [{ name: 'a', kept: { html: script } }] } });
  assert.equal(ladder.code, 0, ladder.err);
  assertHarmless(basename(folder));
  assert.match(
    readFileSync(join(folder, 'report.html'), 'utf8'),
    /This part is missing\.[^<]*ladder\.json: .*rungs\.0\.kept.*: Invalid type/,
  );
  const shown = await reportOf({ ...training, 'ladder.json': { rungs: [{ name: script, kept: true }] } });
  assert.equal(shown.code, 0, shown.err);
  assertHarmless(basename(folder));
});

test('control characters of any text stay off the terminal, also in JSON', async () => {
  const { err } = await reportOf({ ...folders['training'], 'run.json': 'x' });
  assert.match(err, /holds no object/);
  const odd = 'a\u001b[2J\u009b\u202e';
  const plain = await pupil('predict', `${odd}.onnx`, odd);
  const json = await pupil('predict', `${odd}.onnx`, odd, '--json');
  for (const text of [plain.err, json.err, json.out]) {
    assert.match(text, /\\u001b\[2J\\u009b\\u202e/);
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
  }
  const { error } = JSON.parse(json.out) as { readonly error: { readonly message: string } };
  assert.ok(error.message.includes(odd));
});
