import { open } from 'node:fs/promises';

type Write = (data: Uint8Array, from?: number, length?: number) => Promise<{ readonly bytesWritten: number }>;

/**
 * While `work` runs, only `bytes` more can be written through the `write` of open files: then the disk is
 * full. As with a real one, the write that meets the end puts down what fits first.
 */
export async function withFullDisk<T>(bytes: number, work: () => Promise<T>): Promise<T> {
  const handle = await open(process.execPath, 'r');
  const prototype = Object.getPrototypeOf(handle) as { write: Write };
  await handle.close();
  const { write } = prototype;
  let left = bytes;
  prototype.write = async function (data, from = 0) {
    const size = data.length - from;
    if (left < 1 && size > 0)
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
    const { bytesWritten } = await write.call(this, data, from, Math.min(size, left));
    left -= bytesWritten;
    return { bytesWritten };
  };
  try {
    return await work();
  } finally {
    prototype.write = write;
  }
}
