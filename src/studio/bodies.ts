/** What requests bring, read into the protocol's types. Everything throws `Malformed` for what is no such thing. */
import type { Context } from 'hono';
import { shown } from '../arguments.js';
import { PupilError } from '../errors.js';
import type { Delivery } from './labels.js';
import type { CheckDecision, ClassChange, LabelChange, Mark, OpenRequest, RunRequest } from './protocol.js';

/** What the studio's own page never sends: its request is named in the answer. */
export class Malformed extends PupilError {
  constructor(message: string) {
    super('usage', message);
  }
}

type Fields = Readonly<Record<string, unknown>>;

const refuse = (message: string): never => {
  throw new Malformed(message);
};
const expected = (what: string, wanted: string, got: unknown): never =>
  refuse(`${what}: ${wanted} is expected, got ${shown(got)}`);
const fieldsOf = (value: unknown, what: string): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : expected(what, 'an object', value);
const textOf = (value: unknown, what: string): string =>
  typeof value === 'string' ? value : expected(what, 'a text', value);
const oneOf = <const Word extends string>(value: unknown, words: readonly Word[], what: string): Word =>
  words.find((word) => word === value) ?? expected(what, `one of ${words.join(', ')}`, value);
const idOf = (value: unknown, count: number): number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < count
    ? (value as number)
    : expected('id', `a whole number below ${count}, the number of images,`, value);

/** A whole number in an address. */
export function numberIn(what: string, text: string | undefined, most: number, usual?: number): number {
  if (text === undefined && usual !== undefined) return usual;
  if (text === undefined || !/^\d{1,9}$/.test(text) || Number(text) > most)
    return expected(what, `a whole number up to ${most}`, text);
  return Number(text);
}

export async function readBody(context: Context): Promise<unknown> {
  try {
    return (await context.req.json()) as unknown;
  } catch {
    return refuse('the body is not JSON');
  }
}

export function readOpenRequest(body: unknown): OpenRequest {
  const { folder, set, make } = fieldsOf(body, 'the body');
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
  if (!/^[\w-]{8,64}$/.test(step)) return expected('step', 'a word of 8 to 64 letters, digits, _ and -', step);
  return { step, isAgain: context.req.query('again') !== undefined };
}

export function readLabelChanges(body: unknown, count: number): LabelChange[] {
  if (!Array.isArray(body)) return expected('the body', 'a list of changes', body);
  const seen = new Set<number>();
  return body.map((item: unknown) => {
    const { id, was, to, source } = fieldsOf(item, 'a change');
    const image = idOf(id, count);
    if (seen.has(image)) return refuse(`image ${image} is changed twice in one request`);
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
  const { add, rename, to, remove } = fieldsOf(body, 'the body');
  if (add !== undefined) return { add: textOf(add, 'add') };
  if (rename !== undefined) return { rename: textOf(rename, 'rename'), to: textOf(to, 'to') };
  return { remove: textOf(remove, 'remove') };
}

export function readCheck(body: unknown, count: number): CheckDecision {
  const { queue, id, decision } = fieldsOf(body, 'the body');
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
  const { command, options } = fieldsOf(body, 'the body');
  const entries = Object.entries(fieldsOf(options ?? {}, 'options')).map(([name, value]) => {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return [name, value] as const;
    return expected(name, 'a text, a number, or yes or no', value);
  });
  return { command: oneOf(command, ['learn', 'train'], 'command'), options: Object.fromEntries(entries) };
}
