import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFileServer, type Fault } from '../testing/file-server.js';
import { refused } from '../testing/kit.js';
import { describeRemote, readRemote, type RemoteFile, type RemoteOptions } from './remote-file.js';

/** As fast as a test needs it. */
const limits = { backOff: 0.001 };
const content = Uint8Array.from({ length: 500_000 }, (_, i) => (i * 7919) >> 3);

async function bytesOf(file: RemoteFile, range = {}, options: RemoteOptions = { limits }): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of readRemote(file, range, options)) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

test('a file is described by its first byte, and read from any byte on', async (t) => {
  const host = await startFileServer(t, { 'a.tar': content });
  const file = await describeRemote(`${host.address}/a.tar?signature=secret`, { limits });
  assert.deepEqual(
    [file.shown, file.size, file.version, file.hasRanges],
    [`${host.address}/a.tar`, content.length, `"${content.length}"`, true],
  );
  assert.deepEqual(await bytesOf(file), Buffer.from(content));
  assert.deepEqual(await bytesOf(file, { start: 100, end: 70_000 }), Buffer.from(content.subarray(100, 70_000)));
  assert.deepEqual(host.log, [
    '/a.tar?signature=secret 0-0',
    `/a.tar?signature=secret 0-${content.length - 1}`,
    '/a.tar?signature=secret 100-69999',
  ]);
});

for (const ranges of [true, false])
  test(`what is cut, refused or stalls is asked for again, ${ranges ? 'by range' : 'without ranges'}`, async (t) => {
    const host = await startFileServer(t, { 'a.tar': content });
    host.ranges = ranges;
    const file = await describeRemote(`${host.address}/a.tar`, { limits });
    assert.equal(file.hasRanges, ranges);
    host.faults.push('cut', 'busy', 'stall', 'busy', 'busy', 'cut');
    const read = await bytesOf(file, {}, { limits: { ...limits, idle: 1, tries: 9 } });
    assert.ok(read.equals(Buffer.from(content)));
    assert.equal(host.faults.length, 0);
    const part = await bytesOf(file, { start: 99, end: 400_001 });
    assert.ok(part.equals(Buffer.from(content.subarray(99, 400_001))));
  });

test('a host is given up with one line that says what it did, and that names no signature', async (t) => {
  const host = await startFileServer(t, { 'a.tar': content });
  const file = await describeRemote(`${host.address}/a.tar?signature=secret`, { limits });
  const failure = async (fault: Fault, more: object, message: RegExp): Promise<void> => {
    host.faults.splice(0, Infinity, ...Array.from({ length: 40 }, () => fault));
    await assert.rejects(bytesOf(file, { end: 1000 }, { limits: { ...limits, tries: 2, ...more } }), (error: Error) => {
      assert.doesNotMatch(error.message, /secret/);
      return refused('network', message)(error);
    });
  };
  await failure('stall', { idle: 0.2 }, /\/a\.tar: 127\S+ sent nothing for 0\.2 s, 2 times in a row; run the same/);
  await failure('busy', {}, /\/a\.tar: the host answered HTTP 503, 2 times in a row; run the same command again/);
  await failure('cut', { tries: 1 }, /\/a\.tar: cannot be fetched \(.+\); run the same command again/);
  host.faults.length = 0;
  await assert.rejects(
    describeRemote(`${host.address}/b.tar`, { limits }),
    refused('not-found', /b\.tar: the host has no/),
  );
  host.files.set('a.tar', content.subarray(1));
  await assert.rejects(bytesOf(file), refused('network', /a\.tar: changed on its host while it was read/));
});

test('who interrupts does not wait for a host that stalls, nor for the next try', async (t) => {
  const host = await startFileServer(t, { 'a.tar': content });
  const file = await describeRemote(`${host.address}/a.tar`, { limits });
  for (const [fault, backOff] of [
    ['stall', 0.001],
    ['busy', 1000],
  ] as const) {
    const stop = new AbortController();
    host.faults.push(fault);
    const reading = bytesOf(file, {}, { signal: stop.signal, limits: { backOff } });
    while (host.faults.length > 0) await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    await assert.rejects(reading, refused('interrupted', /a\.tar: the download was interrupted/));
  }
});

test("the hub's token goes to the hub alone", async (t) => {
  const [hub, other] = [await startFileServer(t, { 'a.tar': content }), await startFileServer(t, { 'a.tar': content })];
  process.env['HF_ENDPOINT'] = hub.address;
  process.env['HF_TOKEN'] = 'the-token';
  t.after(() => {
    delete process.env['HF_ENDPOINT'];
    delete process.env['HF_TOKEN'];
  });
  const file = await describeRemote(`${hub.address}/a.tar`, { limits });
  hub.other = other.address.replace('127.0.0.1', 'localhost');
  hub.faults.push('redirect');
  assert.equal((await bytesOf(file)).length, content.length);
  await describeRemote(`${other.address}/a.tar`, { limits });
  assert.deepEqual([hub.tokens.get('/a.tar'), other.tokens.get('/a.tar')], ['Bearer the-token', undefined]);
  assert.equal(other.log.length, 2);
});
