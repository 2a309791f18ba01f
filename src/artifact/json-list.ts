import type { FileHandle } from 'node:fs/promises';

/** What stands before and after a long list in an object. */
export interface AroundList {
  readonly before?: object | undefined;
  readonly name: string;
  /** Asked for when the list has ended. */
  readonly after?: (() => object) | undefined;
}

/**
 * Writes `{...before, [name]: items, ...after}` as JSON with an indentation of two, as `JSON.stringify` has
 * it, though the items need not be in memory together.
 */
export async function writeJsonList(
  handle: FileHandle,
  items: AsyncIterable<readonly object[]>,
  { before = {}, name, after }: AroundList,
): Promise<void> {
  const body = (part: object): string =>
    JSON.stringify(part, null, 2)
      .replace(/^\{\n?/, '')
      .replace(/\n?\}$/, '');
  const head = body(before);
  await handle.appendFile(`{\n${head === '' ? '' : `${head},\n`}  ${JSON.stringify(name)}: [`);
  let isEmpty = true;
  for await (const some of items) {
    if (some.length === 0) continue;
    const text = some.map((item) => `\n    ${JSON.stringify(item, null, 2).replaceAll('\n', '\n    ')}`).join(',');
    await handle.appendFile(isEmpty ? text : `,${text}`);
    isEmpty = false;
  }
  const tail = body(after?.() ?? {});
  await handle.appendFile(`${isEmpty ? ']' : '\n  ]'}${tail === '' ? '' : `,\n${tail}`}\n}\n`);
}
