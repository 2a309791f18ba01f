/** Reads ZIP archives in tests, by their directory at the end. */
import assert from 'node:assert/strict';
import { inflateRawSync } from 'node:zlib';

/** The files of an archive by their paths. */
export function unzipped(archive: Uint8Array): Map<string, Buffer> {
  const bytes = Buffer.from(archive),
    end = bytes.length - 22;
  assert.equal(bytes.toString('latin1', end, end + 4), 'PK\x05\x06');
  const files = new Map<string, Buffer>();
  let at = bytes.readUInt32LE(end + 16);
  for (let left = bytes.readUInt16LE(end + 10); left > 0; left--) {
    assert.equal(bytes.toString('latin1', at, at + 4), 'PK\x01\x02');
    const [packed, length] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 24)];
    const nameEnd = at + 46 + bytes.readUInt16LE(at + 28);
    const entry = bytes.readUInt32LE(at + 42);
    assert.equal(bytes.toString('latin1', entry, entry + 4), 'PK\x03\x04');
    const data = entry + 30 + bytes.readUInt16LE(entry + 26) + bytes.readUInt16LE(entry + 28);
    const content = inflateRawSync(bytes.subarray(data, data + packed));
    assert.equal(content.length, length);
    files.set(bytes.toString('utf8', at + 46, nameEnd), content);
    at = nameEnd + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  assert.equal(at, end);
  return files;
}
