// Measures the opening of a folder of very many files, the first and the second time (docs/scale.md):
//
//   node scripts/scale-index.js [--files 200000] [--classes 100] [--json FILE]
//
// The files are made below TMPDIR, each another image by its bytes (a header of PNG and a number), and deleted
// afterwards. Each opening is a process of its own; its memory is the largest that it had.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
const opening = `
  import { openDataset } from ${JSON.stringify(library)};
  const before = process.resourceUsage().maxRSS;
  const started = performance.now();
  const { samples } = await openDataset(${JSON.stringify(join(folder, 'data'))});
  const seconds = (performance.now() - started) / 1000;
  const megabytes = (kilobytes) => Math.round(kilobytes / 1000);
  const { maxRSS } = process.resourceUsage();
  const found = { images: samples.length, seconds, megabytes: megabytes(maxRSS), before: megabytes(before) };
  console.log(JSON.stringify(found));
`;
const open = () =>
  JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '--eval', opening], {
      encoding: 'utf8',
      env: { ...process.env, PUPIL_CACHE: join(folder, 'cache') },
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
  const [first, second, third] = [open(), open(), open()];
  const measured = {
    machine: { processor: cpus()[0]?.model, cores: cpus().length, node: process.version },
    files,
    first,
    second,
    third,
  };
  console.log(JSON.stringify(measured, null, 2));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(measured, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
