import type { WarningsFile } from '../artifact/formats.js';
import type { Block } from './blocks.js';
import { listOf, objectOf, textOf } from './json.js';
import { placeOf } from './places.js';

/** Warnings that are shown. */
const shown = 20;

/** Reads warnings.json, with places that others may see; undefined without a warning. */
export function readWarnings(value: unknown): WarningsFile | undefined {
  const warnings = listOf(objectOf(value)['warnings']).flatMap((item) => {
    const message = textOf(item);
    return message === undefined ? [] : [message.replaceAll(paths, placeOf)];
  });
  return warnings.length === 0 ? undefined : { warnings };
}

/** What looks like an absolute path. */
const paths = /(?<![^\s"'`(=])([/\\]|[A-Za-z]:[/\\])[^\s"'`,;)]+/g;

/** Each on a line. */
export function warningsBlocks({ warnings }: WarningsFile): Block[] {
  const further = warnings.length - shown;
  return [
    {
      type: 'lists',
      lists: [
        {
          title: 'While it was trained',
          lines: [...warnings.slice(0, shown), ...(further > 0 ? [`and ${further} more, in warnings.json`] : [])],
        },
      ],
    },
  ];
}
