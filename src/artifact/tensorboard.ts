import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { writeError } from './files.js';

/**
 * Scalars as TensorBoard reads them: a file of records (length, its checksum, an Event message, its
 * checksum; TensorFlow's TFRecord framing) whose name holds `tfevents`. Field numbers are those of
 * tensorflow/core/util/event.proto and framework/summary.proto.
 */
export interface EventLog {
  readonly path: string;
  /**
   * Appends values by tag, such as `{ 'loss/train': 0.3 }`; values that are no finite numbers are
   * left out. Throws `io`.
   */
  scalars(step: number, values: Readonly<Record<string, number | undefined>>): Promise<void>;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720, appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * A checksum stored beside the data it covers: rotated right by 15 bits, plus a constant
 * (TFRecord).
 */
const masked = (bytes: Uint8Array): number => {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
};

/** One TFRecord. */
export function record(data: Uint8Array): Uint8Array {
  const result = new Uint8Array(8 + 4 + data.length + 4);
  const view = new DataView(result.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(result.subarray(0, 8)), true);
  result.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return result;
}

/** An Event message with wall time in seconds; `fill` writes its content. */
const event = (time: number, step: number, fill: (writer: BinaryWriter) => void): Uint8Array => {
  const writer = new BinaryWriter().tag(1, 1).double(time).tag(2, 0).int64(step);
  fill(writer);
  return record(writer.finish());
};

/**
 * Starts an event file in `folder`. With `fromStep` above 0 (a resumed run) TensorBoard is told to
 * forget what earlier files hold from that step on. Throws `io` when it cannot be written.
 */
export async function createEventLog(
  folder: string,
  { fromStep = 0, now = Date.now }: { fromStep?: number; now?: () => number } = {},
): Promise<EventLog> {
  const path = join(
    folder,
    `events.out.tfevents.${String(Math.floor(now() / 1000)).padStart(10, '0')}.pupil.${process.pid}.${fromStep}`,
  );
  const append = async (...records: Uint8Array[]): Promise<void> => {
    try {
      await appendFile(path, Buffer.concat(records));
    } catch (error) {
      throw writeError(path, error);
    }
  };
  const time = (): number => now() / 1000;
  const start = [event(time(), 0, (writer) => writer.tag(3, 2).string('brain.Event:2'))];
  // SessionLog { status: START }: what was logged at this step or later is void.
  if (fromStep > 0) start.push(event(time(), fromStep, (writer) => writer.tag(7, 2).fork().tag(1, 0).int32(1).join()));
  await append(...start);
  return {
    path,
    async scalars(step, values) {
      const entries = Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1]));
      if (entries.length === 0) return;
      await append(
        event(time(), step, (writer) => {
          writer.tag(5, 2).fork();
          for (const [tag, value] of entries)
            writer.tag(1, 2).fork().tag(1, 2).string(tag).tag(2, 5).float(value).join();
          writer.join();
        }),
      );
    },
  };
}
