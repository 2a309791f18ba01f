import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { PupilError } from '../errors.js';
import { startThread, type Thread } from './thread.js';

type Request =
  | { readonly kind: 'double'; readonly value: number; readonly wait?: number }
  | { readonly kind: 'refuse' | 'throw' | 'exit' | 'die' | 'last' }
  | { readonly kind: 'move'; readonly data: Float32Array };

const importOf = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);

/** A module that answers requests. */
function writeWorker(t: TestContext): URL {
  const folder = mkdtempSync(join(tmpdir(), 'pupil-thread-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'worker.mjs');
  writeFileSync(
    file,
    `import { answer } from ${importOf('./answer.js')};
     import { PupilError } from ${importOf('../errors.js')};
     answer(async (request, transfer) => {
       if (request.kind === 'double') {
         if (request.wait) await new Promise((resolve) => setTimeout(resolve, request.wait));
         return 2 * request.value;
       }
       if (request.kind === 'move') {
         transfer.push(request.data.buffer);
         return request.data.map((value) => value + 1);
       }
       if (request.kind === 'refuse') {
         const cause = new PupilError('usage', 'no', { option: 'size' });
         throw new Error('wrapped', { cause });
       }
       if (request.kind === 'throw') throw new TypeError('broken');
       if (request.kind === 'die') {
         Promise.reject(new Error('nobody waits for this'));
         return 'dying';
       }
       if (request.kind === 'exit') process.exit(7);
       return 'bye';
     }, ({ kind }) => kind === 'last');`,
  );
  return pathToFileURL(file);
}

const start = (t: TestContext): Thread<Request> => startThread<Request>({ url: writeWorker(t), name: 'the helper' });

test('requests are answered one after the other, in order', async (t) => {
  const thread = start(t),
    order: number[] = [];
  const call = async (value: number, wait?: number): Promise<void> => {
    order.push(await thread.call<number>({ kind: 'double', value, wait }));
  };
  await Promise.all([call(1, 30), call(2), call(3)]);
  assert.deepEqual(order, [2, 4, 6]);
  await thread.end();
});

test('errors arrive as they were thrown: those of users with code and option, also when wrapped', async (t) => {
  const thread = start(t);
  await assert.rejects(thread.call({ kind: 'refuse' }), (error: unknown) => {
    assert.ok(error instanceof PupilError);
    assert.deepEqual([error.code, error.option, error.message], ['usage', 'size', 'wrapped']);
    return true;
  });
  await assert.rejects(thread.call({ kind: 'throw' }), (error: Error) => {
    assert.ok(!(error instanceof PupilError));
    assert.match(error.stack!, /TypeError: broken[^]*worker\.mjs/);
    return true;
  });
  assert.equal(await thread.call({ kind: 'double', value: 4 }), 8, 'the thread goes on');
  await thread.end();
});

test('buffers move there and back', async (t) => {
  const thread = start(t),
    data = Float32Array.of(1, 2);
  const moved = await thread.call<Float32Array>({ kind: 'move', data }, [data.buffer]);
  assert.deepEqual([...moved], [2, 3]);
  assert.equal(data.length, 0);
  await thread.end();
});

test('a thread that dies fails what waits and every later call', async (t) => {
  const thread = start(t);
  await assert.rejects(thread.call({ kind: 'exit' }), { code: 'crashed', message: /the helper ended with code 7/ });
  await assert.rejects(thread.call({ kind: 'double', value: 1 }), /the helper ended with code 7/);
  await thread.ended;
  await thread.end();
});

test('ended with a last request it answers what came before; later calls fail', async (t) => {
  const thread = start(t),
    before = thread.call({ kind: 'double', value: 5, wait: 20 });
  await thread.end({ kind: 'last' });
  assert.equal(await before, 10);
  await assert.rejects(thread.call({ kind: 'double', value: 1 }), /the helper was closed/);
});

test('ended at once it fails what waits', async (t) => {
  const thread = start(t),
    waiting = assert.rejects(thread.call({ kind: 'double', value: 5, wait: 60_000 }), /the helper was closed/);
  await thread.end();
  await waiting;
});

test('a process waits for an answer, not for an idle thread', (t) => {
  const script = `
    import { startThread } from ${importOf('./thread.js')};
    const thread = startThread({ url: new URL(${JSON.stringify(writeWorker(t).href)}), name: 'the helper' });
    thread.call({ kind: 'double', value: 21, wait: 50 }).then(console.log);`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual([stdout, status], ['42\n', 0]);
});

test('a thread that dies while it answers is waited for, whichever is heard of first', (t) => {
  const script = `
    import { startThread } from ${importOf('./thread.js')};
    const url = new URL(${JSON.stringify(writeWorker(t).href)});
    for (let i = 0; i < 40; i++) {
      const thread = startThread({ url, name: 'the helper' });
      await thread.call({ kind: 'die' }).catch(() => undefined);
      await thread.end();
    }
    console.log('over');`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.deepEqual([stdout, status], ['over\n', 0]);
});
