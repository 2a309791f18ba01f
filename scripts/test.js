// Runs the compiled tests with Node's own runner, two files at a time, and beside them one that mostly waits:
// node scripts/test.js [--skipped] [PART...]. Files: dist/**/*.test.js, or those whose path holds a
// PART, or with --skipped those in which the last run skipped something. Says how a process ended
// that did not end well. Lists every skipped test with its reason; with PUPIL_NO_SKIPS=1 a skip fails
// the run unless its reason begins with "hardware:" or "optional library:".
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';

const root = resolve(process.env.PUPIL_BUILD ?? 'dist');
const record = join(root, '.skipped.json');
const onlySkipped = process.argv.includes('--skipped');
const wanted = process.argv.slice(2).filter((argument) => argument !== '--skipped');
const before = onlySkipped && existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : [];
/** Begun before the others: one that takes longer than all that is left would run alone in the end. */
const longest = ['train/compatibility-large', 'package', 'web/worker'].map((name) => join(`${name}.test.js`));
/** Run one after the other beside all others: much of their time they wait, for ranks and machines that are lost. */
const waits = /(mpirun|two-hosts|machines)\.test\.js$/;
const found = readdirSync(root, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.test.js') && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
  .filter((file) => !onlySkipped || before.includes(file))
  .sort();
const files = [
  ...longest.filter((file) => found.includes(file)),
  ...found.filter((file) => !longest.includes(file)),
].map((file) => join(root, file));
if (files.length === 0) {
  if (onlySkipped) console.log('nothing was skipped');
  else console.error(`no test file matches ${wanted.join(' ')}`);
  process.exit(onlySkipped ? 0 : 1);
}

// Tests leave the user's cache of images, models and timings alone.
const cache = mkdtempSync(join(tmpdir(), 'pupil-test-cache-'));
process.env.PUPIL_CACHE = cache;
process.on('exit', () => rmSync(cache, { recursive: true, force: true }));

const skipped = [];
/** Files whose process ended although none of their tests failed, and how. */
const ended = new Map();
let failed = 0;

/** Runs test files, so many at a time, and reports them; resolves at their end. */
async function runFiles(files, concurrency) {
  if (files.length === 0) return;
  const stream = run({ files, concurrency, timeout: 15 * 60 * 1000 });
  stream.on('test:pass', (test) => {
    if (test.skip === undefined || test.skip === false) return;
    skipped.push({
      name: test.name,
      reason: test.skip === true ? 'no reason given' : test.skip,
      file: relative(root, test.file ?? ''),
    });
  });
  stream.on('test:fail', (test) => {
    const { exitCode, signal, failureType } = test.details.error ?? {};
    if (failureType !== 'subtestsFailed' && (signal || exitCode))
      ended.set(test.name, signal ? `died by ${signal}` : `ended with code ${exitCode}`);
    else if (test.todo === undefined) failed++;
  });
  const report = stream.compose(new spec());
  report.pipe(process.stdout, { end: false });
  await new Promise((resolve) => report.on('end', resolve));
}

const waiting = files.filter((file) => waits.test(file));
const others = files.filter((file) => !waits.test(file));
await Promise.all([runFiles(others, 2), runFiles(waiting, 1)]);
// SwiftShader, which stands in for a GPU where there is none, died once, and in none of 130 runs after it.
const again = [...ended.keys()].filter((file) => file.includes(join('providers', 'webgpu')));
for (const [file, how] of ended)
  console.log(`\n${relative(root, file)}: its process ${how}${again.includes(file) ? '; it runs again' : ''}`);
for (const file of again) ended.delete(file);
await runFiles(again, 2);
failed += ended.size;
if (!onlySkipped && wanted.length === 0)
  writeFileSync(record, JSON.stringify([...new Set(skipped.map(({ file }) => file))]));
if (skipped.length > 0)
  console.log(`\nskipped:\n${skipped.map(({ name, reason }) => `  ${name}: ${reason}`).join('\n')}`);
const avoidable = skipped.filter(({ reason }) => !/^(hardware|optional library):/.test(reason));
if (process.env.PUPIL_NO_SKIPS === '1' && avoidable.length > 0) {
  console.error(`\n${avoidable.length} avoidable skips (PUPIL_NO_SKIPS=1)`);
  failed += avoidable.length;
}
process.exitCode = failed > 0 ? 1 : 0;
