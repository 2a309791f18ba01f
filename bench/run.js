// Pupil against its peers: npm run bench [-- ROW...] [--quick] [--threads 2] [--rounds 5]
// [--passive] [--list] Each pair is measured in turns in one run; medians, with least and most.
// Every finished row is saved in results/benchmarks.json at once and results/benchmarks.md is
// written from it, so a run that was stopped goes on with the rows that it names. PUPIL_PEERS names
// the Python that has the peers (bench/peers/requirements.txt). See docs/benchmarks.md.
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { rows } from './rows/index.js';
import { letTorchSleep } from './harness/child.js';
import { header, results as resultsFolder, save } from './harness/store.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string' },
    passive: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});

/** A name, or the beginning of several. */
const matches = (row, pattern) =>
  row.name === pattern || (!rows.some(({ name }) => name === pattern) && row.name.startsWith(pattern));
const unknown = positionals.filter((pattern) => !rows.some((row) => matches(row, pattern)));
if (values.list || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no row begins with ${unknown.join(', ')}`);
  for (const { name, title, long, named } of rows)
    console.error(`${name}${named ? ' (only when it is named)' : long ? ' (left out by --quick)' : ''}: ${title}`);
  process.exitCode = unknown.length > 0 ? 2 : 0;
} else {
  const chosen =
    positionals.length > 0
      ? rows.filter((row) => positionals.some((pattern) => matches(row, pattern)))
      : rows.filter(({ long, named }) => !named && (!long || !values.quick));
  const threads = Number(values.threads),
    rounds = Number(values.rounds ?? (values.quick ? 3 : 5));
  if (values.passive) letTorchSleep();
  for (const row of chosen) {
    console.error(`${row.name}: ${row.title}`);
    const started = performance.now(),
      before = loadavg()[0];
    let result;
    try {
      result = await row.measure({
        threads,
        rounds,
        folder: values.out ?? resultsFolder,
        log: (line) => console.error(line),
      });
    } catch (error) {
      console.error(`  ${process.env.PUPIL_DEBUG ? error.stack : error.message}`);
      result = { title: row.title, missing: error.message.split('\n')[0] };
      process.exitCode = 1;
    }
    const text = save(
      row,
      rows.map(({ name }) => name),
      {
        ...header(),
        threads,
        rounds,
        ...(values.passive && { passive: true }),
        load: [before, loadavg()[0]].map((x) => Number(x.toFixed(2))),
        seconds: Math.round((performance.now() - started) / 1000),
        ...result,
      },
      values.out ?? resultsFolder,
    );
    process.stdout.write(`${text}\n\n`);
  }
}
