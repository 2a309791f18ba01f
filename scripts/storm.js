// Kills shards with kill -9 at random moments, each started twice at once, until all parts are there; then
// merges (killing that as well) and compares with what one process makes, byte by byte:
//
//   node scripts/storm.js [--kills 100] [--seed 1] [--shards 4] [--log FILE.json]
//
// Counts kills, parts that were not whole under their name, results that differ and drafts that were left;
// fails unless the last three are 0. Where a file system may be mounted, shards also meet a real full disk.
// Needs the compiled project (npm run build).
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values: given } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    shards: { type: 'string', default: '4' },
    log: { type: 'string' },
  },
});
const wanted = Number(given.kills),
  shards = Number(given.shards);
const build = resolve(process.env.PUPIL_BUILD ?? 'dist');
const from = (file) => import(new URL(`file://${join(build, file)}`).href);
const [{ Random }, { readDigits, digitImage }, { tick }, { encodePng }, { isDraft }, { exportModel }, { buildModel }] =
  await Promise.all(
    [
      ...['random.js', 'data/digits.js', 'data/file-index.js', 'image/decode.js', 'drafts.js'],
      ...['artifact/export.js', 'models/index.js'],
    ].map(from),
  );

const folder = mkdtempSync(join(tmpdir(), 'pupil-storm-'));
const at = (name) => join(folder, name);
const random = new Random(Number(given.seed), 'storm');

mkdirSync(at('images'));
const { train } = await readDigits();
for (let i = 0; i < 300; i++) writeFileSync(at(`images/${i}.png`), await encodePng(digitImage(train, i)));
writeFileSync(at('model.onnx'), exportModel(buildModel('resnet8', { classes: 10, seed: 1 }), {}));
// A part remembers sizes and times of its images unless these are so new that they may still change.
await sleep(1.1 * tick);
const told = ['--model', at('model.onnx'), '--threads', '1', '--workers', '1', '--engine', 'ort'];
const commands = {
  'pseudo-label': ['pseudo-label', at('images'), ...told, '--threshold', '0', '--per-class', '9', '--soft'],
  'features': ['features', at('images'), ...told],
};

/** Runs a command line, killed after so many milliseconds; its exit code, null where it was killed. */
function pupil(words, killAfter) {
  return new Promise((done) => {
    const began = performance.now();
    const child = spawn(process.execPath, [join(build, 'cli/main.js'), ...words], {
      env: { ...process.env, PUPIL_CACHE: at('cache'), CI: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (text) => (err += text));
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
    child.on('exit', (code) => {
      clearTimeout(timer);
      done({ code, err, milliseconds: performance.now() - began });
    });
  });
}
async function mustWork(words) {
  const { code, err, milliseconds } = await pupil(words);
  if (code !== 0) throw new Error(`pupil ${words.join(' ')} ended with ${code}: ${err}`);
  return milliseconds;
}
const shardOf = (command, i, out) => [...commands[command], '--shard', `${i}/${shards}`, '--out', out];
const mergeOf = (command, parts, out) => [command, '--merge', parts, '--out', out];
const partOf = (i) => `part-${String(i).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}.parquet`;
const all = Array.from({ length: shards }, (_, i) => i + 1);
const isSame = (a, b) => readFileSync(a).equals(readFileSync(b));

const counts = { kills: 0, mergeKills: 0, rounds: 0, merges: 0, halfWritten: 0, different: 0, drafts: 0, failed: 0 };

/** What undisturbed processes make: the parts, the whole, and how long a shard takes. */
async function calm(command) {
  const parts = at(`calm-${command}`),
    file = at(`whole-${command}/all.parquet`); // as deep as what is merged: its paths are relative
  await mustWork([...commands[command], '--out', file]);
  let milliseconds = 0;
  for (const i of all) milliseconds = Math.max(milliseconds, await mustWork(shardOf(command, i, parts)));
  return { parts, file, milliseconds };
}

/** Kills a command at a random moment; whether it was still at work. */
async function strike(words, milliseconds) {
  const { code, err } = await pupil(words, random.uniform() * 1.1 * milliseconds);
  if (code !== null && code !== 0) {
    counts.failed++;
    console.log(`FAILED with ${code}: pupil ${words.join(' ')}: ${err.trim()}`);
  }
  return code === null;
}

/** Shards under fire until all parts are there, then merges under fire, then the comparison. */
async function storm(command, { parts: expected, file, milliseconds }, most) {
  const parts = mkdtempSync(at(`${command}-`)),
    merged = join(mkdtempSync(at(`${command}-merged-`)), 'all.parquet');
  for (let left = all; left.length > 0; left = all.filter((i) => !existsSync(join(parts, partOf(i))))) {
    counts.rounds++;
    for (const i of left) {
      const words = shardOf(command, i, parts);
      // Two at once, both under fire; when enough were killed they are left alone.
      const isOver = counts.kills >= most;
      const struck = await Promise.all(
        [1, 2].map(() => (isOver ? mustWork(words).then(() => false) : strike(words, 2 * milliseconds))),
      );
      counts.kills += struck.filter(Boolean).length;
    }
    for (const i of all)
      if (existsSync(join(parts, partOf(i))) && !isSame(join(parts, partOf(i)), join(expected, partOf(i)))) {
        counts.halfWritten++;
        console.log(`${command}: ${partOf(i)} in ${parts} is not whole`);
      }
  }
  for (let i = 0; i < 2 && !existsSync(merged); i++)
    if (await strike(mergeOf(command, parts, merged), milliseconds)) counts.mergeKills++;
  if (!existsSync(merged)) await mustWork(mergeOf(command, parts, merged));
  counts.merges++;
  if (!isSame(merged, file)) {
    counts.different++;
    console.log(`${command}: ${merged} is not ${file}`);
  }
  const drafts = [...readdirSync(parts), ...readdirSync(dirname(merged))].filter(isDraft);
  counts.drafts += drafts.length;
  for (const name of drafts) console.log(`${command}: ${name} was left`);
}

/** A disk without room: no part is left on it, the line says so, and with room the shard completes. */
async function fillDisk(command, { parts: expected }) {
  const disk = at('disk');
  mkdirSync(disk, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return 'not tried: no file system may be mounted here';
  }
  try {
    const filler = join(disk, 'filler');
    try {
      for (;;) writeFileSync(filler, Buffer.alloc(4096), { flag: 'a' });
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    }
    const { code, err } = await pupil(shardOf(command, 1, disk));
    const isTold = code === 1 && /cannot write .*: the disk is full; free some space/.test(err);
    const left = readdirSync(disk).filter((name) => name !== 'filler');
    rmSync(filler);
    await mustWork(shardOf(command, 1, disk));
    if (isTold && left.length === 0 && isSame(join(disk, partOf(1)), join(expected, partOf(1)))) return 'completed';
    counts.failed++;
    return `FAILED: code ${code}, left ${left.join(', ')}: ${err.trim()}`;
  } finally {
    execFileSync('umount', [disk]);
  }
}

const began = performance.now();
const full = {};
for (const [number, command] of Object.keys(commands).entries()) {
  const reference = await calm(command);
  full[command] = await fillDisk(command, reference);
  console.log(`${command}: a shard takes ${Math.round(reference.milliseconds)} ms; a full disk: ${full[command]}`);
  const most = (wanted * (number + 1)) / Object.keys(commands).length;
  do await storm(command, reference, most);
  while (counts.kills < most);
}
const seconds = Math.round((performance.now() - began) / 1000);
const { kills, mergeKills, rounds, merges, halfWritten, different, drafts, failed } = counts;
console.log(
  `${kills} shards and ${mergeKills} merges killed in ${rounds} rounds, ${merges} merged, in ${seconds} s, seed ` +
    `${given.seed}: ${halfWritten} parts half written, ${different} results different, ${drafts} drafts left, ` +
    `${failed} failed`,
);
if (given.log !== undefined) {
  mkdirSync(dirname(resolve(given.log)), { recursive: true });
  writeFileSync(
    given.log,
    `${JSON.stringify({ seed: Number(given.seed), shards, ...counts, full, seconds }, null, 1)}\n`,
  );
}
const isFine = halfWritten + different + drafts + failed === 0;
if (isFine) rmSync(folder, { recursive: true, force: true });
process.exitCode = isFine && kills > 0 ? 0 : 1;
