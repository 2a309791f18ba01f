// Imports and trains every network of a cache that make.py made: node scripts/families/sweep.js
// CACHE [NETWORK...] [--again] [--list FILE] (after `npm run build`). Each network runs in a process
// of its own, so that a crash or a hang is a row; rows are kept in CACHE/rows, and what has one is
// left alone unless it is named or `--again` says so. Writes CACHE/sweep.md and prints its summary.
// --double computes the gradients of what is off in double precision on the reference engine, to
// tell an activation that rounding puts on the other side of a kink from a wrong gradient.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    again: { type: 'boolean', default: false },
    double: { type: 'boolean', default: false },
    list: { type: 'string', default: join(here, 'families.json') },
    timeout: { type: 'string', default: '300' },
  },
});
const [cache, ...wanted] = positionals;
if (cache === undefined) {
  console.error('usage: node scripts/families/sweep.js CACHE [NETWORK...]');
  process.exit(2);
}

/** A gradient may be this many times as far from float64 as PyTorch's float32, or as its floor. */
const factor = 3;
/** Updates have the rounding of the parameter in them, some 1e-5; gradients are held to no less. */
const floor = 1e-5;
/** Above the tolerance but below this, rounding may have put an activation on the other side of a kink. */
const kink = 0.1;
/** Outputs, relative to the largest; a network so chaotic that PyTorch's float32 is further off, by that. */
const outputTolerance = 1e-4;

/** Runs a network in a process of its own; what it wrote before it died counts. */
async function run(name, engines) {
  const child = spawn(process.execPath, [join(here, 'network.js'), cache, name, ...engines]);
  let out = '';
  let problems = '';
  child.stdout.on('data', (data) => (out += data));
  child.stderr.on('data', (data) => (problems = (problems + data).slice(-2000)));
  let isLate = false;
  const timer = setTimeout(
    () => {
      isLate = true;
      child.kill('SIGKILL');
    },
    Number(options.timeout) * 1000,
  );
  const [code, signal] = await new Promise((done) => child.on('close', (...ended) => done(ended)));
  clearTimeout(timer);
  const lines = out.split('\n').filter((line) => line.startsWith('{'));
  const row = lines.length > 0 ? JSON.parse(lines.at(-1)) : { network: name };
  if (code !== 0)
    row.died = isLate ? `no end after ${options.timeout} s` : `${signal ?? `exit ${code}`}: ${problems.trim()}`;
  return row;
}

const rowFile = (name) => join(cache, 'rows', `${name}.json`);
const made = (name) => existsSync(join(cache, `${name}.json`));
const readRow = (name) => (existsSync(rowFile(name)) ? JSON.parse(readFileSync(rowFile(name), 'utf8')) : undefined);

const isEqual = (trained) => trained?.max !== undefined && trained.max <= factor * Math.max(trained.float32, floor);

/** In double precision rounding moves no activation across a kink. */
const isRight = (double) => double?.max <= 1e-6;

/**
 * Whether an engine's gradients are PyTorch's: `yes`; `kink`, where they are off as far as a kink
 * explains and the same graph is right in double precision; `perhaps`, where nobody looked; `no`.
 */
function verdict(trained, double) {
  if (trained === undefined || trained.error !== undefined) return undefined;
  if (trained.max === undefined || isEqual(trained)) return 'yes';
  if (trained.max > kink || (double?.max !== undefined && !isRight(double))) return 'no';
  return isRight(double) ? 'kink' : 'perhaps';
}

/** What each preprocessing is to Pupil: found in the network, right by its assumption, or to be said by hand. */
const isPreparedAs = (row, preprocessing) => {
  const isAssumed = row.import.notes.some((note) => note.includes('does not say how images are prepared'));
  const [mean, std] = row.import.normalization;
  const isNone = (largest) => mean.every((m) => m === 0) && std.every((s) => Math.abs(s * largest - 1) < 1e-6);
  if (preprocessing === 'inside') return !isAssumed && isNone(255);
  return isAssumed || (preprocessing === 'unit' && isNone(1));
};

/** What of a network holds, and what is to be said where it does not. */
function judge(row, about) {
  const problems = [];
  const add = (kind, message) => message !== undefined && problems.push(`${kind}: ${message}`);
  const isImported = row.import !== undefined && row.import.error === undefined;
  add('died', row.died);
  add('import', row.import?.error);
  add('output', row.output?.error);
  const isEncoder = about.kind === 'encoder';
  const features = isEncoder ? row.head?.encoder : row.replaced?.features;
  const hasHead =
    isImported &&
    row.replaced?.error === undefined &&
    features !== undefined &&
    (isEncoder || row.head?.node !== undefined);
  if (isImported && !hasHead) add('head', row.replaced?.error ?? 'none found');
  const scale = Math.max(1, ...about.values.map(Math.abs));
  const tolerance = Math.max(outputTolerance, (factor * (about.float32 ?? 0)) / scale);
  const isExact = row.output?.distance <= tolerance;
  if (row.output?.distance > tolerance) add('output', `off by ${row.output.distance.toExponential(1)}`);
  add('step', row.step?.error);
  add('onednn falls back', row.lack);
  for (const name of ['ort', 'onednn']) add(name, row[name]?.error);
  const runs = (name) => row[name] !== undefined && row[name].error === undefined;
  const isCounted = about.parameters === undefined;
  const isWhole =
    isImported &&
    (isCounted
      ? row.import.parameterCount === about.parameterCount
      : row.import.missing.length === 0 && row.import.invented.length === 0);
  if (isImported && about.preprocessing !== undefined && !isPreparedAs(row, about.preprocessing))
    add('preprocessing', `${about.preprocessing} is taken for ${JSON.stringify(row.import.normalization)}`);
  if (isImported && about.label !== undefined && row.import.labels !== about.label)
    add('class names', row.import.labels ?? 'none');
  if (isImported && !isWhole && isCounted)
    add('parameters', `${row.import.parameterCount} instead of ${about.parameterCount}`);
  if (isImported && !isWhole && !isCounted) {
    const shown = (list) => `${list.slice(0, 3).join(', ')}${list.length > 3 ? ` and ${list.length - 3} more` : ''}`;
    if (row.import.missing.length > 0) add('parameters missing', shown(row.import.missing));
    if (row.import.invented.length > 0) add('parameters invented', shown(row.import.invented));
  }
  const gradients = {
    ort: verdict(row.ort, row.double),
    onednn: verdict(row.onednn, row.double),
  };
  for (const [name, is] of Object.entries(gradients))
    if (is === 'no' || is === 'perhaps')
      add(
        `gradient ${name}${is === 'perhaps' ? ' (perhaps a kink)' : ''}`,
        `${row[name].worst.slice(0, 2).join(', ')}; median ${row[name].median.toExponential(1)}, PyTorch's ` +
          `float32 ${row[name].float32.toExponential(1)}`,
      );
  const compared = Object.values(gradients).filter((is) => is !== undefined);
  return {
    imported: isImported,
    head: hasHead,
    output: isExact,
    ort: runs('ort'),
    onednn: runs('onednn') && row.lack === undefined,
    auto: row.lack === undefined ? runs('onednn') : runs('ort'),
    compared: compared.length > 0,
    gradients: compared.length > 0 && !compared.includes('no') && !compared.includes('perhaps'),
    perhaps: compared.includes('perhaps') && !compared.includes('no'),
    kink: compared.includes('kink') && !compared.includes('no'),
    parameters: isWhole,
    problems,
  };
}

const list = JSON.parse(readFileSync(options.list, 'utf8')).map(({ model }) => model);
const chosen = wanted.length > 0 ? wanted : list;
mkdirSync(join(cache, 'rows'), { recursive: true });
for (const name of chosen) {
  if (!made(name)) continue;
  const old = readRow(name);
  if (options.double) {
    const isOpen = (engine) => ['perhaps', 'no'].includes(verdict(old?.[engine], old?.double));
    if (wanted.length === 0 && (!old || old.double || !(isOpen('ort') || isOpen('onednn')))) continue;
    const { double, died } = await run(name, ['double']);
    const row = { ...old, double: double ?? { error: died } };
    writeFileSync(rowFile(name), JSON.stringify(row));
    console.error(`${name}: in double ${row.double.error ?? row.double.worst.join(', ')}`);
    continue;
  }
  if (old && !options.again && wanted.length === 0) continue;
  const row = await run(name, []);
  writeFileSync(rowFile(name), JSON.stringify({ ...row, double: old?.double }));
  const about = JSON.parse(readFileSync(join(cache, `${name}.json`), 'utf8'));
  const { problems } = judge(row, about);
  console.error(`${name}${problems.length > 0 ? `\n  ${problems.join('\n  ')}` : ': all holds'}`);
}

/** The whole table, and what is counted. */
const verdicts = [];
const lines = [];
for (const name of list) {
  const row = readRow(name);
  if (!row || !made(name)) {
    const file = join(cache, `${name}.error`);
    const why = existsSync(file)
      ? `not made: ${readFileSync(file, 'utf8').split('\n')[0].slice(0, 200)}`
      : 'not run yet';
    lines.push([name, '', '', '', '', '', '', '', why]);
    continue;
  }
  const about = JSON.parse(readFileSync(join(cache, `${name}.json`), 'utf8'));
  const judged = judge(row, about);
  verdicts.push({ name, ...judged });
  const mark = (is) => (is ? 'yes' : 'no');
  const { parameterCount } = row.import ?? {};
  lines.push([
    `${name} ${about.shape[2]}`,
    row.head?.featureCount ?? row.head?.encoder ?? 'none',
    row.output?.distance?.toExponential(1) ?? '',
    parameterCount === about.parameterCount ? parameterCount : `${parameterCount ?? ''} of ${about.parameterCount}`,
    mark(judged.ort),
    mark(judged.onednn),
    row.ort?.max?.toExponential(1) ?? '',
    row.onednn?.max?.toExponential(1) ?? '',
    judged.problems.join('; ').replace(/[|\n]/g, ' '),
  ]);
}
const total = list.length;
const count = (key) => `${verdicts.filter((item) => item[key]).length}/${total}`;
const summary =
  `imported ${count('imported')}, head ${count('head')}, outputs ${count('output')}, ort ${count('ort')}, ` +
  `onednn ${count('onednn')}, auto ${count('auto')}, gradients ${verdicts.filter((item) => item.gradients).length} ` +
  `of ${verdicts.filter((item) => item.compared).length} compared (${verdicts.filter((item) => item.kink).length} ` +
  `of them at a kink, right in double precision; ` +
  `${verdicts.filter((item) => item.perhaps).length} more not looked at), ` +
  `parameters ${count('parameters')}; ${verdicts.length} run`;

/** A problem without what only one network has: node names and sizes. */
const kindOf = (problem) =>
  /^(gradient|parameters)[^:]*/.exec(problem)?.[0] ??
  problem
    .replace(/\[[^\]]*\]/g, '[...]')
    .replace(/; (the file does not fit|freeze this).*/, '')
    .replace(/^([^:]+): .*: /, '$1: ');
const kinds = new Map();
for (const { name, problems } of verdicts)
  for (const problem of problems) {
    const kind = kindOf(problem);
    kinds.set(kind, new Set([...(kinds.get(kind) ?? []), name]));
  }
const grouped = [...kinds]
  .sort(([a], [b]) => a.localeCompare(b, 'en'))
  .map(([kind, names]) => `- ${kind} (${names.size}): ${[...names].join(', ')}`);
const head = [
  'network, pixels',
  'features',
  'output',
  'parameters',
  'ort',
  'onednn',
  'gradient ort',
  'gradient onednn',
  'problems',
];
writeFileSync(
  join(cache, 'sweep.md'),
  `${summary}\n\n| ${head.join(' | ')} ` +
    `|\n|${head.map(() => '---').join('|')}|\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n\n## ` +
    `Problems by kind\n\n${grouped.join('\n')}\n`,
);
console.log(summary);
