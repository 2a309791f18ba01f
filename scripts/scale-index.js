// Measures the opening of a folder of very many files, the first and the second time (docs/scale.md):
//
//   node scripts/scale-index.js [--files 200000] [--classes 100] [--json FILE]
//
// The files are made below TMPDIR, each another image by its bytes (a header of PNG and a number), and deleted
// afterwards. Each opening is a process of its own; its memory is the largest that it had, and `before` that of the
// process with the library loaded. On a machine with other work compare the processor's seconds, which are those of
// the whole process. --json: the file keeps what else it holds, and sizes that were measured before.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '200000' },
    classes: { type: 'string', default: '100' },
    json: { type: 'string' },
  },
});
const files = Number(values.files),
  classes = Number(values.classes);
const folder = mkdtempSync(join(tmpdir(), 'pupil-scale-'));
const library = new URL('../dist/data/dataset.js', import.meta.url).href;
const cache = join(folder, 'cache');
const opening = (options) => `
  import { openDataset } from ${JSON.stringify(library)};
  const before = process.resourceUsage().maxRSS;
  const started = performance.now();
  const { samples } = await openDataset(${JSON.stringify(join(folder, 'data'))}, ${JSON.stringify(options)});
  const seconds = (performance.now() - started) / 1000;
  const megabytes = (kibibytes) => Math.round((kibibytes * 1024) / 1e6);
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const processorSeconds = (userCPUTime + systemCPUTime) / 1e6;
  const memory = { megabytes: megabytes(maxRSS), before: megabytes(before) };
  console.log(JSON.stringify({ images: samples.length, seconds, processorSeconds, ...memory }));
`;
const open = (options = {}) =>
  JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '--eval', opening(options)], {
      encoding: 'utf8',
      env: { ...process.env, PUPIL_CACHE: cache },
    }),
  );
try {
  const header = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52]);
  for (let kind = 0; kind < classes; kind++) {
    const place = join(folder, 'data', `class-${kind}`);
    mkdirSync(place, { recursive: true });
    for (let i = kind; i < files; i += classes)
      writeFileSync(
        join(place, `image-${String(i).padStart(8, '0')}.png`),
        Buffer.concat([header, Buffer.from(`${i}`)]),
      );
  }
  // What changed within two seconds before it was read is not kept.
  await sleep(2500);
  const withoutHashes = { first: open({ hashes: false }), second: open({ hashes: false }) };
  rmSync(cache, { recursive: true });
  const [first, second, third] = [open(), open(), open()];
  const machine = { processor: cpus()[0]?.model, cores: cpus().length, node: process.version };
  const measured = { machine, files, classes, first, second, third, withoutHashes };
  console.log(JSON.stringify(measured, null, 2));
  if (values.json !== undefined) {
    const before = existsSync(values.json) ? JSON.parse(readFileSync(values.json, 'utf8')) : {};
    const others = (before.index ?? []).filter((one) => one.files !== files || one.classes !== classes);
    const index = [...others, measured].sort((a, b) => a.files - b.files || a.classes - b.classes);
    writeFileSync(values.json, `${JSON.stringify({ ...before, index }, null, 2)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
