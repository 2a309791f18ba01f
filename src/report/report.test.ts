import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseHTML } from 'linkedom';
import { encodePng } from '../image/decode.js';
import { blank } from '../image/image.js';
import { alsoDecided, recognised, reliability } from './evaluation.js';
import { readHistory } from './history.js';
import { html } from './html.js';
import { cardText, modelCard } from './model-card.js';
import { writeReport } from './report.js';

const nasty = '<script>alert("1")</script> & \'Zwölf\'\n';

/** As a browser shows it: white space counts once. */
const textOf = ({ textContent }: { readonly textContent: string }): string => textContent.replace(/\s+/g, ' ').trim();

describe('the report of a run', () => {
  let folder = '';
  let page = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pupil-report-'));
    const classes = ['plain', nasty, '日本'];
    const predictions = [
      { path: 'a/1.png', label: 'plain', predicted: nasty, confidence: 0.9 },
      { path: `b/${nasty}.png`, label: nasty, predicted: 'plain', confidence: 0.99 },
      { path: 'gone.png', label: '日本', predicted: 'plain', confidence: 0.5 },
      { path: 'c.png', label: '日本', predicted: '日本', confidence: 0.7 },
    ];
    const perClass = Object.fromEntries(classes.map((name) => [name, { recall: 0.5, precision: 0.25, count: 2 }]));
    await writeFile(
      join(folder, 'run.json'),
      JSON.stringify({
        data: nasty,
        seed: 3,
        settings: {
          mode: 'probe',
          freeze: [nasty],
          lr: 1e-5,
          augment: { name: 'trivial', base: 'basic', steps: [{ name: 'trivialAugment' }] },
        },
      }),
    );
    await writeFile(join(folder, 'preview.png'), await encodePng(blank(90, 70, [0, 200, 0])));
    await writeFile(
      join(folder, 'evaluation.json'),
      JSON.stringify({
        top1: 0.25,
        balanced: 0.25,
        top5: 1,
        count: 4,
        loss: 1.25,
        ece: 0.1,
        perClass,
        confusion: [
          [0, 1, 0],
          [1, 0, 0],
          [1, 0, 1],
        ],
        classes,
        split: 'val',
        predictions,
      }),
    );
    const records = [1, 2, 3].flatMap((epoch) => [
      { type: 'step', epoch, step: epoch, loss: 1 / epoch, learningRate: 0.1 },
      { type: 'epoch', epoch, step: epoch, train: { loss: 1 / epoch, accuracy: epoch / 4 } },
      { type: 'evaluation', epoch, step: epoch, selection: { top1: epoch / 5, loss: 2 / epoch } },
    ]);
    await writeFile(
      join(folder, 'metrics.jsonl'),
      `${records.map((record) => JSON.stringify(record)).join('\n')}\n{"type":"st`,
    );
    const path = await writeReport(folder, {
      readImage: (name) =>
        Promise.resolve(name === 'gone.png' ? undefined : blank(name.startsWith('a') ? 300 : 28, 28, [200, 10, 10])),
    });
    page = await readFile(path, 'utf8');
  });
  after(() => rm(folder, { recursive: true }));

  test('needs nothing from the network and runs no script', () => {
    assert.doesNotMatch(page, /<script|<link|<iframe|javascript:|\son\w+=/i);
    const addresses = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address!);
    assert.ok(
      addresses.length > 0 && addresses.every((address) => /^(data:image\/|#cell-\d+-\d+$)/.test(address)),
      addresses.join(' ').slice(0, 200),
    );
    assert.deepEqual(
      [...page.matchAll(/https?:\/\/[^"' <)]+/g)]
        .map(([address]) => address)
        .filter((address) => !address.startsWith('http://www.w3.org/')),
      [],
    );
  });

  test('shows names as they are, never as markup', () => {
    const { document } = parseHTML(page);
    assert.equal(document.querySelectorAll('script').length, 0);
    const rows = [...document.querySelectorAll('table.rows tbody tr td:first-child')].map((cell) => cell.textContent);
    assert.ok(rows.includes(nasty.replace('\n', '\u240a')), rows.join('|'));
    assert.ok(rows.includes('日本'));
  });

  test('shows the first batch, and an augmentation policy by its name', () => {
    const { document } = parseHTML(page);
    assert.match(document.querySelector('img.sheet')!.getAttribute('src')!, /^data:image\/jpeg/);
    const settings = [...document.querySelectorAll('table.facts tr')].map(textOf);
    assert.deepEqual(
      settings.filter((line) => line.startsWith('augment')),
      ['augment trivial'],
    );
  });

  test('cells of the confusion matrix lead to their images', () => {
    const { document } = parseHTML(page);
    const links = [...document.querySelectorAll('table.matrix a')].map((link) => link.getAttribute('href')!);
    assert.deepEqual(links, ['#cell-0-1', '#cell-1-0', '#cell-2-0', '#cell-2-2']);
    for (const link of links) assert.equal(document.querySelectorAll(`${link} .photo`).length, 1, link);
  });

  test('shows curves, the confusion matrix and the worst mistakes in order', () => {
    const { document } = parseHTML(page);
    assert.equal(document.querySelectorAll('figure.card svg').length, 3);
    assert.equal(document.querySelectorAll('table.matrix tbody td').length, 9);
    const mistakes = [...document.querySelectorAll('.mistakes figcaption')].map(
      (caption) => /([\d.]+)%/.exec(caption.textContent)?.[1],
    );
    assert.deepEqual(mistakes, ['99.0', '90.0', '50.0']);
    // A picture for each mistake there is a file for: JPEG when large, PNG when tiny.
    const pictures = [...document.querySelectorAll('.mistakes .photo')].map(
      (photo) => photo.getAttribute('src')?.slice(0, 15) ?? photo.textContent,
    );
    assert.deepEqual(pictures, ['data:image/png;', 'data:image/jpeg', 'not found']);
    assert.match(
      textOf(document.querySelector('.figures')!),
      /Accuracy 25\.0% 3 of 4 wrong; 95% interval 4\.6 to 69\.9%/,
    );
  });
});

test('curves stand where their epochs are', () => {
  const steps = (epoch: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({ type: 'step', epoch, step: i, loss: i, learningRate: 1 }));
  const { loss, accuracy, epochs } = readHistory([
    ...steps(1, 4),
    { type: 'epoch', epoch: 1, train: { loss: 2 } },
    ...steps(2, 2),
  ]);
  assert.equal(epochs, 1);
  assert.deepEqual(
    loss.map(({ name }) => name),
    ['training, step by step'],
  );
  assert.deepEqual(
    loss[0]!.points.map(({ x }) => x),
    [0.25, 0.5, 0.75, 1, 1.25, 1.5],
  );
  assert.deepEqual(accuracy, []);
});

test('templates escape all that is not markup already', () => {
  assert.equal(
    html`<p title="${'"&'}">${['<', html`<b>${'>'}</b>`]}${1}${undefined}</p>`.html,
    '<p title="&quot;&amp;">&lt;<b>&gt;</b>1</p>',
  );
});

test('a folder that is no run is refused', async () => {
  await assert.rejects(writeReport(join(tmpdir(), 'pupil-no-such-run')), { code: 'not-found' });
});

test('a reliability diagram has how often predictions of about the same confidence are right', () => {
  const said = (confidence: number, right: boolean) => ({
    path: `${confidence}.png`,
    label: 0,
    predicted: right ? 0 : 1,
    confidence,
  });
  const bins = reliability({
    predictions: [said(0.91, true), said(0.95, false), said(1, true), said(0.5, false), said(NaN, true)],
  });
  assert.deepEqual(
    bins.map(({ confidence, accuracy, count }) => [confidence.toFixed(2), accuracy.toFixed(2), count]),
    [
      ['0.50', '0.00', 1],
      ['0.95', '0.67', 3],
    ],
  );
  assert.ok(bins[0]!.interval[1] > 0.7, 'one image tells little');
});

test('images that chose the model are said to have done so, others are not', () => {
  const said = (command: string, mode: string, split: string, reportOn?: string): string | undefined =>
    alsoDecided({ command, settings: { mode, reportOn } }, { split });
  assert.match(said('learn', 'finetune', 'held out of train')!, /also decided which technique is kept/);
  assert.match(said('learn', 'finetune', 'val')!, /which technique/);
  assert.match(said('self-train', 'scratch', 'val')!, /which round/);
  assert.match(said('train', 'finetune', 'val')!, /which epoch/);
  assert.match(said('distill', 'scratch', 'held out of train')!, /which epoch/);
  const seen = alsoDecided({ command: 'learn' }, { split: 'held out of train', optimistic: true });
  assert.match(seen!, /has seen something of them: on new images expect a little less/);
  assert.equal(said('learn', 'finetune', 'test'), undefined);
  assert.equal(said('learn', 'finetune', 'val', 'val'), undefined);
  assert.equal(said('train', 'probe', 'val'), undefined, 'a closed form has nothing to choose');
});

test('of a class that is recognised the surest and the least sure are shown', () => {
  const predictions = [0.5, 0.9, 0.7, 0.6].map((confidence) => ({
    ...{ path: `${confidence}.png`, label: 1, predicted: 1 },
    confidence,
  }));
  assert.deepEqual(
    recognised({ predictions: [...predictions, { ...predictions[0]!, predicted: 0 }] }, 1).map(({ path }) => path),
    ['0.9.png', '0.5.png', '0.7.png', '0.6.png'],
  );
});

test('a model card says what the model is, how it was measured and where it fails, in words that are no markup', () => {
  const classes = ['cat', nasty, 'none'];
  const perClass = { cat: { recall: 0.9, precision: 1, count: 10 }, [nasty]: { recall: 0.5, precision: 1, count: 10 } };
  const card = modelCard({
    title: nasty,
    config: {
      command: 'train',
      settings: { data: '\u2026/photos', mode: 'probe', technique: 'supervised', model: 'hf:a/b' },
      classes,
      dataHash: 'abc',
    },
    evaluation: {
      ...{ top1: 0.7, top5: 1, balanced: 0.7, count: 20, loss: 1, ece: 0.05, classes, split: 'val' },
      perClass: { ...perClass, none: { recall: 0, precision: 0, count: 0 } },
      confusion: [
        [9, 1, 0],
        [5, 5, 0],
        [0, 0, 0],
      ],
      predictions: [],
      calibration: { temperature: 1.5, eceBefore: 0.2, eceAfter: 0.05 },
    },
    learned: { labelled: 40, unlabelled: 7 },
    modelBytes: 4e6,
  });
  const text = cardText(nasty, card);
  assert.match(text, /^---\npipeline_tag: image-classification\n/);
  assert.doesNotMatch(text.slice(text.indexOf('# ')), /(?<!\\)[<*[]/, 'escaped');
  for (const says of [
    /Trained with Pupil \(probe\), from hf:a\/b\./,
    /Learned from 40 labelled images and 7 images without their labels \(hash of the data: abc\)\./,
    /Command: pupil train '\u2026\/photos' --mode probe .*--model hf:a\/b/,
    /Accuracy 70\.0% \(95% interval 48\.1 to 85\.5%\) on 20 validation images/,
    /lowest first: .*50\.0% of 10.* cat 90\.0% of 10\./,
    /Not measured, without an image: none\./,
  ])
    assert.match(text, says);
});
