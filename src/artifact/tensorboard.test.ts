import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { crc32c, createEventLog } from './tensorboard.js';

test('CRC-32C gives the published check values', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa); // RFC 3720, B.4
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
});

/** Splits TFRecords, checking both checksums of each. */
function records(bytes: Buffer): Buffer[] {
  const unmask = (value: number): number => {
    const rotated = (value - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    assert.equal(unmask(bytes.readUInt32LE(at + 8)), crc32c(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    assert.equal(unmask(bytes.readUInt32LE(at + 12 + length)), crc32c(data));
    found.push(data);
    at += 16 + length;
  }
  return found;
}

/**
 * Fields of a message: number, wire type and raw value (varint and fixed as numbers,
 * length-delimited as bytes).
 */
function fields(data: Uint8Array): [number, number | Uint8Array][] {
  const reader = new BinaryReader(data);
  const found: [number, number | Uint8Array][] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    found.push([
      field,
      type === 0 ? Number(reader.int64()) : type === 1 ? reader.double() : type === 5 ? reader.float() : reader.bytes(),
    ]);
  }
  return found;
}

test('scalars are written as TensorBoard reads them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-events-'));
  try {
    const log = await createEventLog(folder, { now: () => 1_700_000_000_500 });
    await log.scalars(7, { 'loss/train': 0.5, 'top1/val': 0.25, 'nothing': undefined, 'broken': NaN });
    await log.scalars(8, { broken: Infinity });
    assert.match(log.path, /events\.out\.tfevents\.1700000000\./);
    const [head, second, ...more] = records(await readFile(log.path));
    assert.equal(more.length, 0);
    assert.deepEqual(
      fields(head!).map(([field, value]) => [
        field,
        value instanceof Uint8Array ? Buffer.from(value).toString() : value,
      ]),
      [
        [1, 1_700_000_000.5],
        [2, 0],
        [3, 'brain.Event:2'],
      ],
    );
    const [time, step, summary] = fields(second!);
    assert.deepEqual([time, step, summary![0]], [[1, 1_700_000_000.5], [2, 7], 5]);
    const values = fields(summary![1] as Uint8Array)
      .map(([, value]) => fields(value as Uint8Array))
      .map(([tag, value]) => [Buffer.from(tag![1] as Uint8Array).toString(), value![1]]);
    assert.deepEqual(values, [
      ['loss/train', 0.5],
      ['top1/val', 0.25],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a resumed run voids what was logged after its checkpoint', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-events-'));
  try {
    const log = await createEventLog(folder, { fromStep: 20 });
    const [, start] = records(await readFile(log.path));
    assert.deepEqual(
      fields(start!)
        .slice(1)
        .map(([field]) => field),
      [2, 7],
    );
    await assert.rejects(createEventLog(join(folder, 'missing')), { code: 'bad-path' });
  } finally {
    await rm(folder, { recursive: true });
  }
});
