// Measures the cells of gpu.js, one after another, by processes that are given up when they take too long. A `run` has
// the options, sizes, the record and how to save it, the log, the folder for weights, and `left()`, seconds to the end.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { converse } from '../../bench/harness/child.js';
import { summary } from '../../bench/harness/statistics.js';
import { networks } from './networks.js';
import { budgetOf, cellsOf, peerCellsOf } from './plan.js';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Less than this is not begun with, seconds. */
const least = 2;

/** A process that is started when it is needed, and again after it failed or came too late. */
function restarting(begin) {
  let running, hello;
  const start = (limit) => (running ??= begin(limit));
  return {
    start,
    /** What it said when it was started last. */
    hello: () => hello,
    /** The answer, within so many seconds, starting included. Throws the complaint. */
    async ask(request, limit) {
      const from = performance.now();
      const child = await start(limit);
      try {
        if (child.error !== undefined) throw new Error(child.error);
        ({ hello } = child);
        return await child.ask(request, Math.max(1, Math.round(limit - (performance.now() - from) / 1000)));
      } catch (error) {
        running = undefined;
        throw error;
      }
    },
    async close() {
      await (await running)?.close?.();
      running = undefined;
    },
  };
}

/** What a process answers, times as median with least and most; or why there is none. */
async function measured(ask) {
  try {
    const { failed, times, ...rest } = await ask();
    if (failed !== undefined) return { missing: failed };
    return { ...rest, ...(times && { ...summary(times), runs: times.length }) };
  } catch (error) {
    return { missing: error.message };
  }
}

/** A result, unless it is none and there is an earlier one. */
const better = (earlier, result) =>
  result.missing !== undefined && earlier !== undefined && earlier.missing === undefined ? earlier : result;

const weightsOf = ({ folder }, name) => join(folder, `${name}.safetensors`);
const entryOf = ({ record }, name) => (record.networks[name] ??= {});

/** Pupil's cells of one network, until `end` seconds are left. */
export async function measureNetwork(run, name, end) {
  const { options, size, record } = run,
    { vulkan } = record;
  const job = { network: name, tiny: options.tiny, size: size.size, classes: size.classes };
  const child = restarting((seconds) =>
    converse(process.execPath, [path('pupil.js'), JSON.stringify(job)], { seconds, environment: vulkan.environment }),
  );
  const entry = entryOf(run, name),
    cells = cellsOf(options.parts, size);
  for (const [i, cell] of cells.entries()) {
    const remaining = run.left() - end,
      limit = budgetOf(remaining, cells.slice(i));
    const request = { ...cell, save: weightsOf(run, name), seconds: Math.min(1.5, limit / 4), runs: 20 };
    const why = vulkan.reason ?? (remaining < least ? 'no time was left' : undefined);
    const { cold, ...result } = why === undefined ? await measured(() => child.ask(request, limit)) : { missing: why };
    entry.parameters = child.hello()?.parameters ?? entry.parameters;
    entry.cold = cold ?? entry.cold;
    if (cell.kind === 'check' || cell.kind === 'profile')
      entry[cell.kind] = better(entry[cell.kind], { batch: cell.batch, ...result });
    else (entry[cell.kind] ??= {})[cell.batch] = better(entry[cell.kind][cell.batch], result);
    run.log(`${name} ${cell.kind}, batch ${cell.batch}: ${result.missing ?? 'done'}`);
    run.save();
    // Without an engine nothing else can be measured.
    if (/WebGPU adapter|WebGPU provider/.test(result.missing ?? '')) vulkan.reason ??= result.missing;
  }
  await child.close();
}

/** PyTorch as a process that is started at once: loading it for the first time takes long. */
export function startPeer({ options, size }) {
  const job = { size: size.size, classes: size.classes, cpu: options.tiny };
  const peer = restarting((seconds) =>
    converse(options.python, [path('pytorch.py'), JSON.stringify(job)], {
      seconds,
      environment: { PYTHONDONTWRITEBYTECODE: '1' },
    }),
  );
  return { ...peer, ready: peer.start(120) };
}

/** PyTorch's cells of all networks, and once for each network whether it is Pupil's. */
export async function measurePeer(run, peer) {
  const { options, size, record } = run;
  const { hello, error } = await peer.ready;
  record.pytorch = error === undefined ? hello : { missing: error };
  run.log(`PyTorch: ${error ?? `${hello.torch} on ${hello.device}`}`);
  run.save();
  if (error !== undefined) return;
  const cells = peerCellsOf(options.networks, options.parts, size);
  for (const [i, { network: name, precision, ...cell }] of cells.entries()) {
    const network = networks.find((one) => one.name === name),
      form = options.tiny ? network.tiny : network.form;
    const entry = (entryOf(run, name).pytorch ??= {});
    const ask = (request) => {
      const limit = Math.min(run.left(), Math.max(10, budgetOf(run.left(), cells.slice(i))));
      return run.left() < least
        ? { missing: 'no time was left' }
        : measured(() => peer.ask({ ...request, form, seconds: Math.min(0.5, limit / 4), runs: 20 }, limit));
    };
    const isFirst = cells.findIndex((other) => other.network === name) === i;
    if (isFirst && existsSync(weightsOf(run, name)))
      entry.compared = better(entry.compared, await ask({ kind: 'compare', file: weightsOf(run, name) }));
    const result = await ask({ ...cell, precision });
    const ofBatch = ((entry[cell.kind] ??= {})[cell.batch] ??= {});
    ofBatch[precision] = better(ofBatch[precision], result);
    entry.parameters = result.parameters ?? entry.parameters;
    run.log(`PyTorch, ${name} ${cell.kind}, batch ${cell.batch}, ${precision}: ${result.missing ?? 'done'}`);
    run.save();
  }
}
