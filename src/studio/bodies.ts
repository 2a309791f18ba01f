/** What requests bring, read into the protocol's types. Everything throws `usage` for what is no such thing. */
import type { Context } from 'hono';
import { PupilError } from '../errors.js';
import type { Delivery } from './labels.js';
import type { CheckDecision, ClassChange, LabelChange, Mark, OpenRequest, RunRequest } from './protocol.js';

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

const sources = ['person', 'accepted'] as const;

/** What an image is marked with. */
function markIn(value: unknown, what: string): Mark {
  if (typeof value === 'object' && value !== null && (value as Fields)['skip'] === true) return { skip: true };
  return value === null ? null : textOf(value, what);
}

/** What names a step of labels that may be sent again; undefined where nothing does. */
export function readDelivery(context: Context): Delivery | undefined {
  const step = context.req.query('step');
  if (step === undefined) return undefined;
  if (!/^[\w-]{8,64}$/.test(step)) return refuse('step: 8 to 64 letters, digits, _ and - are expected');
  return { step, isAgain: context.req.query('again') !== undefined };
}

export function readLabelChanges(body: unknown, count: number): LabelChange[] {
  if (!Array.isArray(body)) return refuse('a list of changes is expected');
  const seen = new Set<number>();
  return body.map((item: unknown) => {
    const { id, was, to, source } = fieldsOf(item);
    const image = idOf(id, count);
    if (seen.has(image)) return refuse('an image is changed twice in one request');
    seen.add(image);
    return {
      id: image,
      was: markIn(was, 'was'),
      to: markIn(to, 'to'),
      source: oneOf(source, sources, 'source'),
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
        ? readAnswer(decision as Fields)
        : oneOf(decision, ['keep', 'remove'] as const, 'decision'),
  };
}

function readAnswer({ label, kept, source }: Fields): CheckDecision['decision'] {
  if (kept === undefined) return { label: textOf(label, 'label') };
  return { kept: kept === null ? null : textOf(kept, 'kept'), source: oneOf(source, sources, 'source') };
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
