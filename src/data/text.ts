import { PupilError } from '../errors.js';

/** Text of a file, and the encoding it was read by. */
export interface Text {
  readonly text: string;
  readonly encoding: 'UTF-8' | 'UTF-16' | 'Windows-1252';
}

/**
 * Reads bytes as text: UTF-16 by its mark or its zeros, else UTF-8, else, where that is allowed, the
 * encoding of older programs on Windows. Throws `bad-data`, naming `where`, for other bytes.
 */
export function decodeText(bytes: Uint8Array, where: string, { windows = false } = {}): Text {
  const [a, b, c, d] = bytes;
  const wide = bytes.length % 2 === 0 ? zerosOf(bytes) : undefined;
  let result: Text | undefined;
  if (a === 0xff && b === 0xfe && c === 0 && d === 0) throw unknownEncoding(where, 'UTF-32');
  if (a === 0xff && b === 0xfe) result = decoded(bytes, 'utf-16le', 'UTF-16');
  else if (a === 0xfe && b === 0xff) result = decoded(bytes, 'utf-16be', 'UTF-16');
  else if (wide !== undefined) result = decoded(bytes, wide, 'UTF-16');
  else {
    result = decoded(bytes, 'utf-8', 'UTF-8');
    // These five stand for nothing in Windows-1252.
    if (windows && !bytes.some((byte) => [0x81, 0x8d, 0x8f, 0x90, 0x9d].includes(byte)))
      result ??= decoded(bytes, 'windows-1252', 'Windows-1252');
  }
  if (result === undefined) throw unknownEncoding(where, 'another encoding');
  if (result.text.includes('\0'))
    throw new PupilError('bad-data', `${where}: not a text (it holds zero bytes); save it as UTF-8`);
  return result;
}

/** UTF-16 without a mark, of mostly Latin letters: every other byte is zero. */
function zerosOf(bytes: Uint8Array): 'utf-16le' | 'utf-16be' | undefined {
  const head = bytes.subarray(0, 1000);
  const zeros = [0, 0];
  head.forEach((byte, i) => {
    if (byte === 0) zeros[i % 2]!++;
  });
  const many = head.length * 0.3;
  return zeros[0]! === 0 && zeros[1]! > many
    ? 'utf-16le'
    : zeros[1]! === 0 && zeros[0]! > many
      ? 'utf-16be'
      : undefined;
}

function decoded(bytes: Uint8Array, label: string, encoding: Text['encoding']): Text | undefined {
  try {
    return { text: new TextDecoder(label, { fatal: true }).decode(bytes), encoding };
  } catch {
    return undefined;
  }
}

const unknownEncoding = (where: string, what: string): PupilError =>
  new PupilError('bad-data', `${where}: its text is in ${what}, not UTF-8; save it as UTF-8`);
