/** What `augment` names, as text; policy-file.ts reads its long form, a JSON file. */
import { assertText } from '../arguments.js';
import { PupilError } from '../errors.js';
import { suggestion } from '../nearest.js';
import { findName, hyphenated } from './names.js';
import * as option from './options.js';
import { readPipeline, transforms, type PipelineSpec, type TransformName, type TransformSpec } from './pipeline.js';
import { needsMagnitude } from './policies/sub-policies.js';
import { parseTimm } from './policies/timm.js';
import { presets, presetNames, type AugmentPolicy, type PresetName } from './presets.js';
import type { TransformRow } from './transform.js';

export type { AugmentPolicy } from './presets.js';

type Values = Record<string, unknown>;

/** How an option is written in the short form. */
interface Key {
  readonly read: (text: string) => unknown;
  readonly write: (value: unknown) => string;
  /** Part of the name even where it is the default. */
  readonly always?: true;
}

const plain: Key = { read: (text) => text, write: String };
/** What is not a number stays text, for the schema to refuse. */
const number: Key = {
  read: (text) => (text === '' || Number.isNaN(Number(text)) ? text : Number(text)),
  write: String,
};
const shown = { ...number, always: true } as const;
const flag: Key = { read: (text) => (text === 'true' ? true : text === 'false' ? false : text), write: String };
/** A grey level, or red/green/blue. */
const colour: Key = {
  read: (text) => {
    const parts = text.split('/').map(number.read);
    return parts.length === 1 ? [parts[0], parts[0], parts[0]] : parts;
  },
  write: (value) => {
    const parts = value as readonly number[];
    return parts.every((part) => part === parts[0]) ? String(parts[0]) : parts.join('/');
  },
};
const list: Key = {
  read: (text) => text.split('+'),
  write: (value) => (value as readonly string[]).map(hyphenated).join('+'),
};
const geometry = { sampling: plain, fill: colour } as const;

interface Family {
  readonly step: TransformName;
  /** Options in the order of the name; their capitals may be written with hyphens. */
  readonly keys: Readonly<Record<string, Key>>;
  /** The option that comes first and without its key; a family without its default needs it. */
  readonly first?: string;
  readonly example?: string;
}

/** Policies of the form NAME:KEY=VALUE,KEY=VALUE. */
const families = {
  randaugment: { step: 'randAugment', keys: { n: shown, m: shown, scale: plain, ops: list, ...geometry } },
  trivial: { step: 'trivialAugment', keys: geometry },
  auto: { step: 'autoAugment', first: 'policy', keys: { policy: { ...plain, always: true }, ...geometry } },
  augmix: {
    step: 'augMix',
    keys: { severity: shown, width: shown, depth: number, alpha: number, allOps: flag, ...geometry },
  },
  timm: {
    step: 'timmAugment',
    first: 'config',
    example: 'timm:rand-m9-n2-mstd0.5-inc1',
    keys: { config: { ...plain, always: true }, ...geometry },
  },
} as const satisfies Readonly<Record<string, Family>>;

const heads = [...presetNames, ...Object.keys(families), 'ops'] as (PresetName | keyof typeof families | 'ops')[];
const aliases: Readonly<Record<string, (typeof heads)[number]>> = {
  trivialaugment: 'trivial',
  trivialaugmentwide: 'trivial',
  autoaugment: 'auto',
  rand: 'randaugment',
  ra: 'randaugment',
};

export const isPolicyFile = (text: string): boolean => /\.json$/i.test(text);
const isTimm = (text: string): boolean => /^(rand|augmix)-[a-z]+\d|^(original|originalr|v0|v0r|3a)(-|$)/i.test(text);

/**
 * The policy that a text names: a preset (`none`, `light`, `basic`: crops and mirror images alone;
 * `weak`, `strong`: FixMatch's views), or one of these on top of basic:
 * `randaugment:n=2,m=9,scale=torchvision`, `trivial`, `auto:imagenet|cifar10|svhn`,
 * `augmix:severity=3,width=3`, `timm:rand-m9-n2-mstd0.5-inc1`, and
 * `ops:rotate=9,color=12@0.5/equalize`, ops with a magnitude each and a probability, several lists
 * of which one is drawn per image. Its `name` gives the same policy again. Throws `usage` in one
 * line for what it cannot read.
 */
export function parseAugment(text: string): AugmentPolicy {
  assertText(text, 'the name of a policy, such as basic or randaugment:n=2,m=9');
  const given = text.trim();
  const colon = given.indexOf(':');
  const head = colon < 0 ? given : given.slice(0, colon),
    rest = colon < 0 ? '' : given.slice(colon + 1);
  if (isPolicyFile(given)) throw new PupilError('usage', `augment ${given}: a policy file cannot be given here`);
  if (isTimm(given)) throw new PupilError('usage', `augment ${given}: write timm:${given}`);
  let name: (typeof heads)[number];
  try {
    name = findName(head, heads, 'policy', aliases);
  } catch {
    throw new PupilError('usage', `augment ${given}: no policy ${JSON.stringify(head)}: ${suggestion(head, heads)}`);
  }
  if (name in presets) {
    if (rest !== '') throw new PupilError('usage', `augment ${given}: ${name} takes no options`);
    return presets[name as PresetName];
  }
  return name === 'ops'
    ? parseOps(given, rest)
    : parseFamily(given, name, families[name as keyof typeof families], rest);
}

const rowOf = (step: TransformName): TransformRow => transforms[step] as TransformRow;

/** `key=value` pairs of a short form, as the options of its step. */
function readPairs(given: string, parts: readonly string[], keys: Readonly<Record<string, Key>>): Values {
  const values: Values = {};
  for (const part of parts) {
    const equals = part.indexOf('=');
    const called = part.slice(0, equals < 0 ? undefined : equals).trim();
    const key = Object.keys(keys).find((one) => [one.toLowerCase(), hyphenated(one)].includes(called.toLowerCase()));
    if (key === undefined)
      throw new PupilError(
        'usage',
        `augment ${given}: no option ${JSON.stringify(called)}: ${suggestion(called, Object.keys(keys))}`,
      );
    if (equals < 0) throw new PupilError('usage', `augment ${given}: ${key} needs a value, as in ${key}=...`);
    if (key in values) throw new PupilError('usage', `augment ${given}: ${key} is there twice`);
    values[key] = keys[key]!.read(part.slice(equals + 1).trim());
  }
  return values;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

function parseFamily(given: string, name: string, { step, keys, first, example }: Family, rest: string): AugmentPolicy {
  const parts = rest === '' ? [] : rest.split(',');
  if (first !== undefined && parts.length > 0 && !parts[0]!.includes('=')) parts[0] = `${first}=${parts[0]!}`;
  const values = readPairs(given, parts, keys);
  if (first !== undefined && example !== undefined && !(first in values))
    throw new PupilError('usage', `augment ${given}: incomplete; write for example ${example}`);
  const complete = option.readOptions(rowOf(step).options, values, `augment ${given}`) as Values;
  if (step === 'timmAugment') parseTimm(String(complete['config']));
  const usual = example === undefined ? (option.readOptions(rowOf(step).options, {}, name) as Values) : {};
  const options: Values = {};
  for (const key of Object.keys(keys)) {
    const value = complete[key];
    if (value !== undefined && (keys[key]!.always || !same(value, usual[key]))) options[key] = value;
  }
  return {
    name: written(name, options, keys, first),
    base: 'basic',
    steps: [{ name: step, ...options } as TransformSpec],
  };
}

function written(name: string, options: Values, keys: Readonly<Record<string, Key>>, first?: string): string {
  const parts = Object.entries(options).map(
    ([key, value]) => (key === first ? '' : `${hyphenated(key)}=`) + keys[key]!.write(value),
  );
  return parts.length === 0 ? name : `${name}:${parts.join(',')}`;
}

/**
 * The policy of transforms in order. Its name is the short form where it has one (one family on
 * basic crops), else the transforms' names. Throws `usage` for options that one does not take.
 */
export function policyOf(steps: PipelineSpec, base: AugmentPolicy['base'] = 'basic'): AugmentPolicy {
  const checked = readPipeline(steps);
  const [first] = steps;
  const family =
    steps.length === 1 && base === 'basic'
      ? Object.entries<Family>(families).find(([, { step }]) => step === first!.name)
      : undefined;
  if (family === undefined) {
    const name = steps.map((step) => hyphenated(step.name)).join('+');
    return { name: name === '' ? base : name, base, steps: checked };
  }
  const [name, { keys, first: unnamed }] = family;
  const options = Object.entries(first as Values).filter(([key, value]) => key in keys && value !== undefined);
  return parseAugment(written(name, Object.fromEntries(options), keys, unnamed));
}

type ChoiceSpec = Extract<TransformSpec, { name: 'randomChoice' }>;
const choiceKeys = { scale: plain, ...geometry } as const;

/** `rotate=9,color=12@0.5/equalize,scale=paper`. */
function parseOps(given: string, rest: string): AugmentPolicy {
  if (rest === '')
    throw new PupilError('usage', `augment ${given}: give ops with their magnitudes, as in ops:rotate=9,color=12`);
  const pairs: string[] = [];
  // A colour may hold the sign that parts the lists, so options are taken out first.
  const withoutOptions = rest
    .split(',')
    .filter((part) => !(/^\s*(scale|sampling|fill)\s*=/i.test(part) && pairs.push(part) > 0))
    .join(',');
  const policies = withoutOptions.split('/').map((one) =>
    one.split(',').map((part) => {
      const [, called = '', m, probability] = /^([^=@]*)(?:=([^@]*))?(?:@(.*))?$/.exec(part.trim()) ?? [];
      if (called === '')
        throw new PupilError('usage', `augment ${given}: an op is missing, as in ops:rotate=9,color=12`);
      return {
        op: called,
        magnitude: m === undefined ? undefined : number.read(m),
        probability: probability === undefined ? undefined : number.read(probability),
      };
    }),
  );
  return choicePolicy({ policies, ...readPairs(given, pairs, choiceKeys) }, `augment ${given}`);
}

/** Without the keys that are undefined: plain JSON. */
const defined = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;

const prefixed = (sign: string, value: number | undefined): string => (value === undefined ? '' : `${sign}${value}`);

/** The policy of lists of ops, its name their short form. */
export function choicePolicy(options: Readonly<Record<string, unknown>>, where: string): AugmentPolicy {
  const { policies, ...rest } = option.readOptions(transforms.randomChoice.options, options, where);
  const lists = policies.map((steps) =>
    steps.map(({ op, magnitude, probability = 1 }) =>
      defined({
        op,
        magnitude: needsMagnitude(op) ? magnitude : undefined,
        probability: probability === 1 ? undefined : probability,
      }),
    ),
  );
  const kept = defined({ ...rest, scale: rest.scale === 'torchvision' ? undefined : rest.scale });
  const text = lists
    .map((steps) =>
      steps
        .map(({ op, magnitude, probability }) => hyphenated(op) + prefixed('=', magnitude) + prefixed('@', probability))
        .join(','),
    )
    .join('/');
  const tail = Object.entries(kept)
    .map(([key, value]) => `,${key}=${choiceKeys[key as keyof typeof choiceKeys].write(value)}`)
    .join('');
  const step: ChoiceSpec = { name: 'randomChoice', policies: lists, ...kept };
  return { name: `ops:${text}${tail}`, base: 'basic', steps: [step] };
}
