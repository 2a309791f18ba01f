/** Policies as JSON files. */
import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { assertText } from '../arguments.js';
import { codeOfSystemError, PupilError } from '../errors.js';
import * as option from './options.js';
import { readPipeline } from './pipeline.js';
import { choicePolicy, isPolicyFile, parseAugment } from './policy.js';
import { bases, type AugmentPolicy } from './presets.js';

const base = v.optional(v.picklist(bases, `give one of ${bases.join(', ')}`), 'basic');
const stepsFile = v.strictObject({ base, steps: v.array(v.unknown(), 'give a list of steps') });

/**
 * `parseAugment`, or the policy of a `.json` file: `{"base"?, "steps": [{"name", ...options}]}`,
 * any transforms in order, or `{"base"?, "policies": [[{"op", "magnitude", "probability"?}]],
 * "scale"?, "sampling"?, "fill"?}`, lists of ops of which one is drawn per image. Throws
 * `not-found` for a missing file and `usage` in one line for a mistake in it.
 */
export async function readAugment(text: string): Promise<AugmentPolicy> {
  assertText(text, 'the name of a policy, such as basic, or a policy file, such as policy.json');
  const path = text.trim();
  if (!isPolicyFile(path)) return parseAugment(text);
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const missing = code === 'ENOENT';
    throw new PupilError(
      missing ? 'not-found' : codeOfSystemError(code),
      `augment ${path}: ${missing ? 'there is no such policy file' : (error as Error).message}`,
    );
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(content.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new PupilError('usage', `augment ${path}: not JSON: ${(error as Error).message}`);
  }
  return policyOfFile(parsed, path);
}

function policyOfFile(parsed: unknown, path: string): AugmentPolicy {
  const where = `augment ${path}`;
  if (
    typeof parsed !== 'object' ||
    parsed === null ||
    Array.isArray(parsed) ||
    !('steps' in parsed || 'policies' in parsed)
  ) {
    throw new PupilError(
      'usage',
      `${where}: give an object with steps, {"steps": [{"name": "rotate"}]}, ` +
        'or with policies, {"policies": [[{"op": "rotate", "magnitude": 9}]]}',
    );
  }
  if ('policies' in parsed) {
    const { base: given, ...options } = parsed as Readonly<Record<string, unknown>>;
    const { base: kind } = option.readOptions(
      v.strictObject({ base }),
      given === undefined ? {} : { base: given },
      where,
    );
    const policy = choicePolicy(options, where);
    // The short form always stands on basic crops: with others, the file is the name.
    return kind === 'basic' ? policy : { ...policy, name: path, base: kind };
  }
  const { base: kind, steps } = option.readOptions(stepsFile, parsed, where);
  try {
    return { name: path, base: kind, steps: readPipeline(steps) };
  } catch (error) {
    throw error instanceof PupilError ? new PupilError(error.code, `${where}: ${error.message}`) : error;
  }
}
