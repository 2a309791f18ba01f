import { reproduce } from '../options/command.js';
import type { Block, Section } from './blocks.js';
import { short } from './format.js';
import { objectOf } from './json.js';

/** Nested settings as dotted names; lists of plain values on one line, long ones cut. */
function flatten(value: unknown, name: string, rows: [string, string][]): [string, string][] {
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null)) {
    const text = value.slice(0, 40).map(String).join(', ');
    rows.push([name, value.length > 40 ? `${text}, and ${value.length - 40} more` : text]);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      // A policy is said by its name; its steps are in run.json.
      flatten(key === 'augment' ? (objectOf(item)['name'] ?? item) : item, name === '' ? key : `${name}.${key}`, rows);
    }
  } else if (value !== undefined && value !== null) {
    rows.push([
      name,
      typeof value === 'number'
        ? Number.isInteger(value)
          ? String(value)
          : short(value)
        : typeof value === 'string'
          ? value
          : JSON.stringify(value),
    ]);
  }
  return rows;
}

/** What a run was told, and the command that does the same again. */
export function configuration(config: object): Section {
  const groups = new Map<string, [string, string][]>();
  for (const [key, value] of Object.entries(config)) {
    if (key === 'begun') continue; // where, on the machine that it was made on
    const nested = typeof value === 'object' && value !== null && !Array.isArray(value);
    const group = nested ? key : 'run';
    const rows = groups.get(group) ?? [];
    flatten(value, nested ? '' : key, rows);
    groups.set(group, rows);
  }
  const again = reproduce(config);
  const command: Block[] =
    again === undefined
      ? []
      : [
          {
            type: 'text',
            text:
              'The command that does the same again' +
              `${again.includes('\u2026/') ? ' (\u2026 stands for your folders)' : ''}:`,
          },
          { type: 'command', command: again },
        ];
  const shown = [...groups].filter(([, rows]) => rows.length > 0).map(([name, rows]) => ({ name, rows }));
  return { title: 'Configuration', blocks: [...command, { type: 'facts', groups: shown }] };
}
