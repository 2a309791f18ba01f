import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { temporaryFolder } from '../../testing/image-files.js';

/** Asks for an engine, which loads onnxruntime, and runs a graph in it. */
const use = `
  const { createEngine } = await import(${JSON.stringify(new URL('../index.js', import.meta.url).href)});
  const { GraphBuilder } = await import(${JSON.stringify(new URL('../../graph/builder.js', import.meta.url).href)});
  const builder = new GraphBuilder('copy');
  builder.outputs({ y: builder.op('Identity', [builder.input('x', 'float32', [1])]) });
  const engine = await createEngine('ort', { threads: 1 });
  const program = await engine.compile(builder.build(), {});
  await program.run({ x: { dtype: 'float32', dims: [1], data: new Float32Array(1) } });
  await engine.close();
`;
const inThread = `
  const { Worker } = await import('node:worker_threads');
  const { once } = await import('node:events');
  const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(use)})));
  await once(worker, 'exit');
`;

/** What a process leaves in an empty home folder. It runs as outside of CI, where onnxruntime is quiet by itself. */
async function leftBy(home: string, program: string): Promise<string[]> {
  const { CI: _, ORT_DISABLE_TELEMETRY: __, ...env } = process.env;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...env, HOME: home, XDG_CACHE_HOME: `${home}/cache`, XDG_DATA_HOME: `${home}/data` },
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return readdirSync(home, { recursive: true }).map(String);
}

test('onnxruntime keeps no identity of the machine and tells nobody what it runs', async (t) => {
  assert.deepEqual(await leftBy(await temporaryFolder(t), use), [], 'loaded from the main thread');
  assert.deepEqual(await leftBy(await temporaryFolder(t), inThread), [], 'loaded from a thread');
});
