// Measures the rows of results/README.md: `npm run results -- NAME...` (names below; none: list them).
// Every finished seed is saved in results/measurements.json at once, so a run that was stopped goes on where it was; --again measures
// a row from the beginning. Needs the images and weights that docs/results.md names, in ../shared or $PUPIL_SHARED.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { meanInterval } from '../dist/evaluate/metrics.js';
import { version } from '../dist/version.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const shared = process.env.PUPIL_SHARED ?? join(root, '..', 'shared');
const file = join(root, 'results', 'measurements.json');
const page = join(root, 'results', 'README.md');

const backbone = '--model MODELS/mobilenetv2-1.0-224.onnx --normalize symmetric';
/** name: what is measured, its command (DATA and MODELS stand for the folders; OUT for the run), seeds, the goal of the row. */
const rows = {
  'hymenoptera-probe': { what: 'hymenoptera, frozen MobileNetV2, head to its optimum', command: `train DATA/hymenoptera --mode probe ${backbone} --report-on val`, seeds: [0, 1, 2], goal: 0.93, reference: '0.948' },
  'hymenoptera-finetune': { what: 'hymenoptera, MobileNetV2 fine-tuned', command: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val`, seeds: [0, 1, 2], goal: 0.945, reference: '' },
  'flowers-probe': { what: 'flowers, frozen MobileNetV2, head to its optimum', command: `train DATA/flowers --mode probe ${backbone} --report-on val`, seeds: [0, 1, 2], goal: 0.87, reference: '0.887' },
  'flowers-finetune': { what: 'flowers, MobileNetV2 fine-tuned', command: `train DATA/flowers --mode finetune ${backbone} --report-on val --epochs 5`, seeds: [0, 1, 2], goal: 0.91, reference: '' },
  'flowers-finetune-faster': { what: 'the same with a backbone rate of 2e-4 in place of the default 5e-5', command: `train DATA/flowers --mode finetune ${backbone} --report-on val --epochs 5 --backbone-lr 0.0002`, seeds: [0, 1, 2], goal: 0.93, reference: '' },
  'hymenoptera-finetune-faster': { what: 'hymenoptera with a backbone rate of 2e-4: too much for 199 images', command: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val --backbone-lr 0.0002`, seeds: [0], goal: undefined, reference: '' },
  'flowers-from-hymenoptera': {
    what: 'flowers probed with a backbone fine-tuned on hymenoptera', seeds: [0], goal: undefined, reference: 'flowers-probe',
    before: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val`,
    command: 'train DATA/flowers --mode probe --model BEFORE --report-on val',
  },
  'hymenoptera-after-flowers': {
    what: 'hymenoptera probed again after fine-tuning on hymenoptera, then on flowers: what is kept', seeds: [0], goal: undefined, reference: 'hymenoptera-probe',
    before: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val`,
    then: 'train DATA/flowers --mode finetune --model BEFORE --report-on val --epochs 3',
    command: 'train DATA/hymenoptera --mode probe --model BEFORE --report-on val',
  },
  'cifar-scratch': { what: 'cifar10-25k (re-encoded), 20,000 images, resnet8 from scratch', command: 'train DATA/cifar10-25k.tar --mode scratch --model resnet8 --epochs 10 --batch-size 128', seeds: [0], goal: undefined, reference: '' },
};

mkdirSync(join(root, 'results'), { recursive: true });
const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});

function pupil(command, seed, out, before) {
  const words = [...command.split(' '), '--seed', String(seed), '--out', out, '--json']
    .map((word) => word.replace(/^DATA/, join(shared, 'data')).replace(/^MODELS/, join(shared, 'models')).replace(/^BEFORE$/, before ?? ''));
  return JSON.parse(execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...words], { stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 2 ** 28 }));
}

function measure(name, again) {
  const row = rows[name];
  for (const seed of row.seeds) {
    const all = read();
    if (!again && all[name]?.seeds?.[seed] && all[name].command === row.command) continue;
    const folder = mkdtempSync(join(tmpdir(), `pupil-results-${name}-`));
    try {
      let before;
      for (const [i, command] of [row.before, row.then].entries()) {
        if (command === undefined) continue;
        const out = join(folder, `before-${i}`);
        pupil(command, seed, out, before);
        before = out;
      }
      const result = pupil(row.command, seed, join(folder, 'run'), before);
      const measured = result.test ?? result.val;
      const epochs = readFileSync(join(folder, 'run', 'metrics.jsonl'), 'utf8').split('\n').filter((line) => line.includes('"type":"epoch"')).length;
      const latest = read();
      const entry = latest[name]?.command === row.command && !again ? latest[name] : { seeds: {} };
      const { top1, loss, ece, count } = measured;
      entry.seeds[seed] = { top1, loss, ece, count, seconds: result.seconds, epochs, best: result.best };
      latest[name] = {
        ...entry, command: row.command, before: row.before, then: row.then,
        machine: `${cpus()[0].model.trim()}, ${availableParallelism()} threads`, versions: { pupil: version, node: process.version, onnxruntime: JSON.parse(readFileSync(join(root, 'node_modules/onnxruntime-node/package.json'), 'utf8')).version },
        date: new Date().toISOString().slice(0, 10),
      };
      writeFileSync(file, JSON.stringify(latest, null, 1) + '\n');
      console.error(`${name} seed ${seed}: top-1 ${top1.toFixed(4)} in ${result.seconds.toFixed(0)} s`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function render() {
  const all = read();
  const lines = [
    '# Results', '',
    'Every row is one command of this project, run on the images and weights named in [docs/results.md](../docs/results.md); `npm run results -- NAME` measures it again.',
    'Accuracies are top-1 on images that nothing was chosen on, mean over seeds with the 95% interval (Student\'s t; the interval of one seed is unknown).',
    'A probe is solved, not drawn: seeds change nothing there, so its interval is zero.',
    'Seconds are all told: decoding, features or training, calibration, export, evaluation and the report, on a shared machine.', '',
    '| row | what | top-1 | seeds | wanted | reference | ECE | seconds | images |', '|---|---|---|---|---|---|---|---|---|',
  ];
  for (const [name, row] of Object.entries(rows)) {
    const entry = all[name];
    if (!entry) continue;
    const seeds = Object.values(entry.seeds);
    const { mean, interval } = meanInterval(seeds.map((seed) => seed.top1));
    const average = (key) => seeds.reduce((sum, seed) => sum + seed[key], 0) / seeds.length;
    lines.push(`| \`${name}\` | ${row.what} | ${mean.toFixed(4)}${Number.isNaN(interval) ? '' : ` ± ${interval.toFixed(4)}`} | ${seeds.length} | ${row.goal ?? ''} | ${row.reference} | ${average('ece').toFixed(3)} | ${average('seconds').toFixed(0)} | ${seeds[0].count} |`);
  }
  lines.push('', '## Commands', '');
  for (const [name, entry] of Object.entries(all)) {
    if (!rows[name]) continue;
    const steps = [entry.before, entry.then, entry.command].filter((command) => command !== undefined);
    lines.push(`- \`${name}\` (${entry.date}; ${entry.machine}; pupil ${entry.versions.pupil}, Node ${entry.versions.node}, onnxruntime ${entry.versions.onnxruntime}; seeds ${Object.keys(entry.seeds).join(', ')}): ${steps.map((step) => `\`pupil ${step}\``).join(', then ')}`);
  }
  writeFileSync(page, lines.join('\n') + '\n');
}

const [...names] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const unknown = names.filter((name) => !rows[name]);
if (names.length === 0 || unknown.length > 0) {
  console.error(`${unknown.length > 0 ? `unknown: ${unknown.join(', ')}; ` : ''}rows: ${Object.keys(rows).join(', ')}`);
  process.exitCode = unknown.length > 0 ? 2 : 0;
}
else {
  if (!existsSync(join(shared, 'data'))) throw new Error(`no images in ${shared}; set PUPIL_SHARED`);
  for (const name of names) {
    measure(name, process.argv.includes('--again'));
    render();
  }
}
