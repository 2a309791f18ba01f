/** What requests bring, read into the protocol's types. Everything throws `usage` for what is no such thing. */
import type { Context } from 'hono';
import { PupilError } from '../errors.js';
import type { CheckDecision, ClassChange, LabelChange, OpenRequest, RunRequest } from './protocol.js';

type Fields = Readonly<Record<string, unknown>>;

const refuse = (message: string): never => {
  throw new PupilError('usage', message);
};
const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : refuse('an object is expected');
const textOf = (value: unknown, what: string): string =>
  typeof value === 'string' ? value : refuse(`${what}: a text is expected`);
const oneOf = <const Word extends string>(value: unknown, words: readonly Word[], what: string): Word =>
  words.find((word) => word === value) ?? refuse(`${what}: one of ${words.join(', ')} is expected`);
const idOf = (value: unknown, count: number): number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < count
    ? (value as number)
    : refuse('there is no image of that number');

export async function readBody(context: Context): Promise<unknown> {
  try {
    return (await context.req.json()) as unknown;
  } catch {
    return refuse('the body is not JSON');
  }
}

export function readOpenRequest(body: unknown): OpenRequest {
  const { folder, set, make } = fieldsOf(body);
  return set === undefined ? { folder: textOf(folder, 'folder'), make: make === true } : { set: textOf(set, 'set') };
}

export function readLabelChanges(body: unknown, count: number): LabelChange[] {
  if (!Array.isArray(body)) return refuse('a list of changes is expected');
  const seen = new Set<number>();
  return body.map((item: unknown) => {
    const { id, was, to, source } = fieldsOf(item);
    const image = idOf(id, count);
    if (seen.has(image)) return refuse('an image is changed twice in one request');
    seen.add(image);
    const isSkip = typeof to === 'object' && to !== null && (to as Fields)['skip'] === true;
    return {
      id: image,
      was: was === null ? null : textOf(was, 'was'),
      to: isSkip ? { skip: true } : to === null ? null : textOf(to, 'to'),
      source: oneOf(source, ['person', 'accepted'], 'source'),
    };
  });
}

export function readClassChange(body: unknown): ClassChange {
  const { add, rename, to, remove } = fieldsOf(body);
  if (add !== undefined) return { add: textOf(add, 'add') };
  if (rename !== undefined) return { rename: textOf(rename, 'rename'), to: textOf(to, 'to') };
  return { remove: textOf(remove, 'remove') };
}

export function readCheck(body: unknown, count: number): CheckDecision {
  const { queue, id, decision } = fieldsOf(body);
  return {
    queue: oneOf(queue, ['labels', 'alike', 'strangers'], 'queue'),
    id: idOf(id, count),
    decision:
      typeof decision === 'object' && decision !== null
        ? { label: textOf((decision as Fields)['label'], 'label') }
        : oneOf(decision, ['keep', 'remove'] as const, 'decision'),
  };
}

export function readRunRequest(body: unknown): RunRequest {
  const { command, options } = fieldsOf(body);
  const entries = Object.entries(fieldsOf(options ?? {})).map(([name, value]) => {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return [name, value] as const;
    return refuse('an option is a text, a number, or yes or no');
  });
  return { command: oneOf(command, ['learn', 'train'], 'command'), options: Object.fromEntries(entries) };
}
