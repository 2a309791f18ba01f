import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

/** Files of a folder by their paths in it, parts joined by `/`. */
export type Files = ReadonlyMap<string, Uint8Array | string>;

const compress = promisify<Uint8Array, Buffer>(gzip);
/** What gzip puts around the compressed bytes: its head, behind them their CRC-32 and the length before. */
const head = 10,
  tail = 8;
/** Deflate; names in UTF-8; the first day that the format knows, so that the same files make the same archive. */
const method = 8,
  utf8 = 0x800,
  date = 0x21,
  version = 20;

/**
 * The files in one folder of a ZIP archive (APPNOTE 6.3.10 of PKWARE, without Zip64: below 4 GiB and 65,536 files),
 * each compressed by Deflate.
 */
export async function zipped(folder: string, files: Files): Promise<Uint8Array> {
  const parts: Buffer[] = [],
    directory: Buffer[] = [];
  let offset = 0;
  for (const [path, content] of files) {
    const name = Buffer.from(`${folder}/${path}`);
    const packed = await compress(typeof content === 'string' ? Buffer.from(content) : content);
    const data = packed.subarray(head, -tail);
    const [crc, length] = [packed.readUInt32LE(packed.length - tail), packed.readUInt32LE(packed.length - 4)];
    /** Version, flags, method, time, date, checksum, lengths: the same in front of the file and in the directory. */
    const about = Buffer.alloc(26);
    [version, utf8, method, 0, date].forEach((value, i) => about.writeUInt16LE(value, 2 * i));
    [crc, data.length, length].forEach((value, i) => about.writeUInt32LE(value, 10 + 4 * i));
    about.writeUInt16LE(name.length, 22);
    const entry = Buffer.alloc(14);
    entry.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02'), word(version), about, entry, name]));
    const part = Buffer.concat([Buffer.from('PK\x03\x04'), about, name, data]);
    parts.push(part);
    offset += part.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  for (const at of [8, 10]) end.writeUInt16LE(files.size, at);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, list, end]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
