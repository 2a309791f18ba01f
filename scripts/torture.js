// Kills commands at random moments, goes on with them, and compares what comes out, byte by byte, with a
// run that nobody disturbed: npm run torture [-- --kills N --seed S --minutes M --only PART --log FILE.json].
// Every command that writes files takes part, those with a run folder on both engines. Counts kills,
// resumes, folders that could not go on, results that differ and drafts that were left; fails unless the
// last three are 0. Needs the compiled project (npm run build).
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values: given } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '1000' },
    only: { type: 'string', default: '' },
    log: { type: 'string' },
  },
});
const wanted = Number(given.kills),
  deadline = Date.now() + 60_000 * Number(given.minutes);
const build = resolve(process.env.PUPIL_BUILD ?? 'dist');
const from = (file) => import(new URL(`file://${join(build, file)}`).href);
const [{ Random }, { readDigits, digitImage }, { encodePng }, { isDraft }, engines] = await Promise.all(
  ['random.js', 'data/digits.js', 'image/decode.js', 'drafts.js', 'engine/index.js'].map(from),
);

const folder = mkdtempSync(join(tmpdir(), 'pupil-torture-'));
const cache = join(folder, 'cache');
const at = (name) => join(folder, name);

/** Three digits: 20 images of each to learn from, 10 to choose on, 12 without labels. */
async function writeImages() {
  const { train } = await readDigits();
  const made = new Map();
  for (let i = 0; i < train.count; i++) {
    const label = train.labels[i],
      before = made.get(label) ?? 0;
    if (label > 2 || before === 42) continue;
    made.set(label, before + 1);
    const place = before < 20 ? `data/train/${label}` : before < 30 ? `data/val/${label}` : 'more';
    mkdirSync(at(place), { recursive: true });
    writeFileSync(at(`${place}/${String(i).padStart(4, '0')}.png`), await encodePng(digitImage(train, i)));
  }
}

const [data, more, model] = [at('data'), at('more'), at('model')];
const net = ['--mode', 'scratch', '--model', 'resnet8'];
const small = ['--seed', '3', '--threads', '1', '--workers', '1', '--cache-memory', '64'];
/** Commands with a run folder. */
const jobs = {
  'train': ['train', data, ...net, '--epochs', '4', '--batch-size', '10', '--ema', '0.9'],
  'fixmatch': [
    'train',
    data,
    ...net,
    '--unlabelled',
    more,
    '--technique',
    'fixmatch',
    '--epochs',
    '3',
    '--batch-size',
    '4',
  ],
  'finetune': [
    'train',
    data,
    '--mode',
    'finetune',
    '--model',
    model,
    '--epochs',
    '2',
    '--batch-size',
    '10',
    '--head-first',
    '1',
  ],
  'folds': ['train', join(data, 'train'), '--mode', 'finetune', '--model', model, '--epochs', '1', '--folds', '2'],
  'probe': ['train', data, '--mode', 'probe', '--model', model],
  'consensus': ['train', data, '--mode', 'consensus', '--model', model, '--unlabelled', more],
  'distill': ['distill', data, '--teacher', model, '--student', 'resnet8', '--epochs', '3', '--batch-size', '10'],
  'self-train': [
    'self-train',
    data,
    '--mode',
    'finetune',
    '--model',
    model,
    '--students',
    model,
    '--rounds',
    '1',
    '--unlabelled',
    more,
    '--epochs',
    '1',
    '--student-epochs',
    '1',
    '--batch-size',
    '10',
    '--threshold',
    '0',
  ],
  'learn': [
    'learn',
    data,
    '--mode',
    'finetune',
    '--model',
    model,
    '--unlabelled',
    more,
    '--rungs',
    'probe,consensus,supervised',
    '--epochs',
    '1',
  ],
  'search': ['search', data, ...net, '--epochs', '2', '--n', '1', '--m', '3', '--seeds', '1', '--batch-size', '10'],
  'gap': ['gap', data, '--real', more, '--model', model, '--draws', '1'],
};
/** Commands that write a file, whole or not at all; `FILE` is its place. */
const tools = {
  'predict': ['predict', model, more, '--out', 'FILE.json', '--csv', 'FILE.csv'],
  'pseudo-label': ['pseudo-label', more, '--model', model, '--threshold', '0', '--out', 'FILE.parquet'],
  'export': ['export', model, '--out', 'FILE.onnx'],
  'evaluate': ['evaluate', model, data, '--out', 'FILE'],
  'suggest': ['suggest', more, '--labels', '4', '--model', model, '--out', 'FILE.csv'],
  'augment': ['augment', more, '--policy', 'light', '--size', '28', '--count', '1', '--out', 'FILE.png'],
};
/** Options of machine that a command has not are left out. */
const machine = { gap: ['--seed', '3'], search: small, learn: small };

/** Runs a command line, killed after so many milliseconds. */
function pupil(argv, killAfter) {
  return new Promise((resolve) => {
    const began = Date.now();
    const child = spawn(process.execPath, [join(build, 'cli/main.js'), ...argv], {
      cwd: folder,
      env: { ...process.env, PUPIL_CACHE: cache, CI: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (text) => (err += text));
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
    const limit = setTimeout(() => child.kill('SIGTERM'), 10 * 60_000);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      clearTimeout(limit);
      resolve({ code, killed: signal === 'SIGKILL', err, milliseconds: Date.now() - began });
    });
  });
}

/** What may differ: times, places, and what the time of day is part of. */
const timed = /^(seconds|(expected|usual|least|beside|most|closing)Seconds|budgetMinutes|checksum|choices)$/;
const unlike = /(^|\/)(report\.html|checkpoints\/.*|events\.out\..*|choices\.json|features\/.*)$/;
const without = (value) =>
  Array.isArray(value)
    ? value.map(without)
    : value !== null && typeof value === 'object'
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([key]) => !timed.test(key))
            .map(([key, one]) => [key, without(one)]),
        )
      : value;

/** Every file below a path that has to be the same, by name: what it holds. */
function contents(path, root) {
  const files = !existsSync(path)
    ? []
    : statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true }).map((name) => join(path, String(name)))
      : [path];
  const found = new Map();
  for (const file of files.sort()) {
    const name = relative(root, file);
    if (statSync(file).isDirectory() || unlike.test(name)) continue;
    let bytes = readFileSync(file);
    if (file.endsWith('.json')) bytes = JSON.stringify(without(JSON.parse(bytes.toString()))).replaceAll(root, 'ROOT');
    if (/\.(jsonl|md|csv)$/.test(file))
      bytes = bytes
        .toString()
        .replaceAll(root, 'ROOT')
        // Cards are passed on, and name no places above the run.
        .replaceAll(basename(root), 'ROOT')
        .replace(/\b[\d.]+ (s|min)\b/g, '');
    found.set(name, createHash('sha256').update(bytes).digest('hex'));
  }
  return found;
}

const differences = (one, other) =>
  [...new Set([...one.keys(), ...other.keys()])].filter((name) => one.get(name) !== other.get(name));
const leftovers = (path) =>
  existsSync(path)
    ? readdirSync(path, { recursive: true })
        .map(String)
        .filter((name) => isDraft(name.split('/').at(-1)) || /(^|\/)lock-[0-9a-f]{16}\.json$/.test(name))
    : [];

const count = { kills: 0, resumes: 0, again: 0, unusable: 0, different: 0, drafts: 0, failed: 0 };
const log = [];
const random = new Random(Number(given.seed), 'torture');

await writeImages();
const base = await pupil([
  'train',
  data,
  ...net,
  '--epochs',
  '8',
  '--batch-size',
  '6',
  ...small,
  '--engine',
  'ort',
  '--out',
  model,
]);
if (base.code !== 0) throw new Error(`the first model: ${base.err}`);
const available = [];
for (const name of ['ort', 'onednn'])
  await engines.createEngine(name, { threads: 1 }).then(
    (engine) => (available.push(name), engine.close()),
    () => console.log(`skipped: engine ${name} is not here`),
  );

const cases = [
  ...available.flatMap((engine) =>
    Object.entries(jobs).map(([name, argv]) => ({
      name,
      engine,
      argv: [...argv, ...(machine[name] ?? small), '--engine', engine],
    })),
  ),
  ...Object.entries(tools).map(([name, argv]) => ({ name, engine: undefined, argv })),
].filter(({ name }) => name.includes(given.only));

const references = new Map();
/** The undisturbed run of a case: what it wrote, and how long it took. */
async function reference(one) {
  const key = `${one.name} ${one.engine ?? ''}`;
  if (references.has(key)) return references.get(key);
  const root = at(`whole-${references.size}`);
  mkdirSync(root);
  const { code, err, milliseconds } = await pupil(commandOf(one, root));
  const result = code === 0 ? { files: contents(root, root), milliseconds } : undefined;
  if (!result) {
    count.failed++;
    console.log(`${key}: fails undisturbed: ${err.split('\n').filter(Boolean).at(-1)}`);
  }
  references.set(key, result);
  return result;
}
function commandOf({ argv, engine }, root) {
  return engine === undefined
    ? argv.map((word) => word.replace(/^FILE/, join(root, 'file')))
    : [...argv, '--out', join(root, 'run')];
}

/** One case: killed one to three times, then left alone. */
async function torture(one, number) {
  const whole = await reference(one);
  if (!whole) return;
  const root = at(`broken-${number}`),
    run = join(root, 'run');
  mkdirSync(root);
  const title = `${one.name}${one.engine === undefined ? '' : ` on ${one.engine}`}`;
  const kills = [];
  // A gap is measured again: it has no --resume.
  const next = () => {
    if (one.engine !== undefined && one.name !== 'gap' && existsSync(join(run, 'run.json')))
      return [one.argv[0], '--resume', run];
    return commandOf(one, root);
  };
  /** A gap that was killed when its result was there: it is whole, and is not begun again. */
  const isWhole = () => one.name === 'gap' && existsSync(join(run, 'result.json'));
  const times = 1 + random.integer(3);
  for (let i = 0; i < times && count.kills < wanted && !isWhole(); i++) {
    const after = Math.round(random.uniform() * whole.milliseconds);
    const argv = next();
    if (i > 0) argv.includes('--resume') ? count.resumes++ : count.again++;
    for (const file of one.engine === undefined && i > 0 ? readdirSync(root) : [])
      if (!isDraft(file)) rmSync(join(root, file), { recursive: true });
    const { killed, code, err, milliseconds } = await pupil(argv, after);
    if (killed) kills.push(after);
    else whole.milliseconds = Math.min(whole.milliseconds, milliseconds);
    count.kills += Number(killed);
    if (!killed && code !== 0) return failed(title, root, kills, argv, err);
    if (!killed) break;
  }
  if (kills.length === 0) {
    rmSync(root, { recursive: true }); // done before its time: shorter next time
    return (whole.misses = (whole.misses ?? 0) + 1) < 5 && torture(one, number);
  }
  if (one.engine === undefined) {
    // A file is there whole or not at all.
    const early = contents(root, root);
    for (const [name, hash] of early) {
      if (!isDraft(name) && whole.files.get(name) !== hash)
        (count.unusable++, console.log(`${title}: ${name} is not whole`));
      if (!isDraft(name)) rmSync(join(root, name));
    }
  }
  if (!isWhole()) {
    const argv = next();
    argv.includes('--resume') ? count.resumes++ : count.again++;
    const { code, err } = await pupil(argv);
    if (code !== 0) return failed(title, root, kills, argv, err);
  }
  const different = differences(whole.files, contents(root, root)),
    drafts = [...leftovers(root), ...leftovers(cache)];
  count.different += different.length > 0 ? 1 : 0;
  count.drafts += drafts.length;
  log.push({ command: one.name, engine: one.engine, killedAfter: kills, different, drafts });
  const isFine = different.length + drafts.length === 0;
  const place = `${count.kills}/${wanted} ${title}: killed after ${kills.join(', ')} ms of ${whole.milliseconds}`;
  const faults = `DIFFERENT ${different.slice(0, 5).join(', ')} LEFT ${drafts.join(', ')} in ${root}`;
  console.log(`${place}: ${isFine ? 'the same' : faults}`);
  if (isFine) rmSync(root, { recursive: true });
}

function failed(title, root, kills, argv, err) {
  count.unusable++;
  const says = err.split('\n').filter(Boolean).slice(-2).join(' | ');
  log.push({ command: title, killedAfter: kills, failed: says.replaceAll(folder, '…') });
  console.log(`${title}: UNUSABLE in ${root} after ${kills.join(', ')} ms: ${argv.slice(0, 3).join(' ')}: ${says}`);
}

const began = Date.now();
for (let number = 0; count.kills < wanted && Date.now() < deadline && number < 20 * wanted; number++) {
  // Each case once before any a second time, in a random order.
  if (number % cases.length === 0)
    for (let i = cases.length - 1; i > 0; i--) {
      const j = random.integer(i + 1);
      [cases[i], cases[j]] = [cases[j], cases[i]];
    }
  await torture(cases[number % cases.length], number);
}
const seconds = Math.round((Date.now() - began) / 1000);
console.log(
  `${count.kills} kills of ${cases.length} commands in ${seconds} s, seed ${given.seed}: ${count.resumes} resumes, ` +
    `${count.again} begun again, ${count.unusable} unusable, ${count.different} different, ${count.drafts} drafts or ` +
    `locks left, ${count.failed} failed undisturbed`,
);
if (given.log !== undefined) {
  mkdirSync(dirname(resolve(given.log)), { recursive: true });
  writeFileSync(given.log, `${JSON.stringify({ seed: Number(given.seed), ...count, seconds, cases: log }, null, 1)}\n`);
}
const isFine = count.unusable + count.different + count.drafts + count.failed === 0;
if (isFine) rmSync(folder, { recursive: true, force: true });
process.exitCode = isFine && count.kills > 0 ? 0 : 1;
