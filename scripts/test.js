// Runs the compiled tests with Node's own runner. Files: dist/**/*.test.js, or those whose path holds an argument.
// Lists every skipped test with its reason; with PUPIL_NO_SKIPS=1 a skip fails the run unless its reason begins with
// "hardware:" or "optional library:".
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(process.env.PUPIL_BUILD ?? 'dist');
const wanted = process.argv.slice(2);
const files = readdirSync(root, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.test.js') && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
  .map((file) => join(root, file))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(' ')}`);
  process.exit(1);
}

const skipped = [];
let failed = 0;
const stream = run({ files, concurrency: 2, timeout: 15 * 60 * 1000 });
stream.on('test:pass', (test) => {
  if (test.skip !== undefined && test.skip !== false) skipped.push({ name: test.name, reason: test.skip === true ? 'no reason given' : test.skip });
});
stream.on('test:fail', (test) => { if (test.todo === undefined) failed++; });
stream.on('end', () => {
  if (skipped.length > 0) console.log(`\nskipped:\n${skipped.map(({ name, reason }) => `  ${name}: ${reason}`).join('\n')}`);
  const avoidable = skipped.filter(({ reason }) => !/^(hardware|optional library):/.test(reason));
  if (process.env.PUPIL_NO_SKIPS === '1' && avoidable.length > 0) {
    console.error(`\n${avoidable.length} avoidable skips (PUPIL_NO_SKIPS=1)`);
    failed += avoidable.length;
  }
  process.exitCode = failed > 0 ? 1 : 0;
});
stream.compose(new spec()).pipe(process.stdout);
