import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { parse } from 'yaml';
import { exitCodes, type FailureCode } from './cli/exit-codes.js';
import { leaves } from './cli/program.js';
import { flagName } from './options/option.js';
import { temporaryFolder } from './testing/image-files.js';
import { jobSchema } from './testing/kubernetes.js';

/** The files for schedulers: as their schemas have it, with commands that Pupil understands, retried by exit code. */

const root = fileURLToPath(new URL('../schedulers/', import.meta.url));
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const manifests = readdirSync(join(root, 'kubernetes')).map((name) => `kubernetes/${name}`);
const scripts = readdirSync(join(root, 'slurm')).map((name) => `slurm/${name}`);
const hasBash = process.platform !== 'win32' && spawnSync('bash', ['--version']).status === 0;

/** Flags among the words of a command that it does not have. */
function unknownFlags([name, ...words]: readonly string[]): string[] {
  const command = leaves.find((one) => one.name === name);
  assert.ok(command, `pupil ${name}`);
  const known = new Set(Object.entries(command.options).map(([option, row]) => `--${flagName(option, row)}`));
  return words.filter((word) => word.startsWith('--') && !known.has(word));
}

/** What Kubernetes does with an exit code; none: counted, and tried again a few times. */
const actions: Readonly<Record<FailureCode, string | undefined>> = { 1: undefined, 2: 'FailJob', 130: 'Ignore' };

for (const name of manifests) {
  test(`schedulers/${name} is a Job as Kubernetes takes it`, () => {
    const parsed = v.safeParse(jobSchema, parse(read(name)));
    assert.deepEqual(parsed.issues?.map((issue) => `${v.getDotPath(issue)}: ${issue.message}`) ?? [], []);
    assert.ok(parsed.success);
    const { spec } = parsed.output;
    const [{ args = [] }] = spec.template.spec.containers as [(typeof spec.template.spec.containers)[number]];
    assert.deepEqual(unknownFlags(args), []);
    if (spec.completions !== undefined)
      assert.equal(args[args.indexOf('--shard') + 1], `auto/${spec.completions}`, 'Kubernetes does not say how many');
    const rules = spec.podFailurePolicy?.rules ?? [];
    const actionOf = (code: number): string | undefined =>
      rules.find(({ onExitCodes }) => onExitCodes?.values.includes(code))?.action;
    for (const [error, code] of Object.entries(exitCodes)) assert.equal(actionOf(code), actions[code], error);
    if (spec.completions !== undefined) assert.equal(actionOf(143), 'Ignore', 'a signal before Pupil could answer');
  });
}

test('the schema refuses manifests that Kubernetes refuses', () => {
  const text = read('kubernetes/pseudo-label.yaml');
  for (const [from, to] of [
    ['completions: 128', 'completion: 128'],
    ['restartPolicy: Never', 'restartPolicy: OnFailure'],
    ['completionMode: Indexed', 'completionMode: NonIndexed'],
    ['containerName: pupil', 'containerName: other'],
    ['values: [130, 143]', 'values: [143, 130]'],
    ['claimName: pupil-data', 'claimName: Pupil_Data'],
    ['action: FailJob', 'action: Fail'],
  ] as const) {
    assert.ok(text.includes(from), from);
    assert.equal(v.safeParse(jobSchema, parse(text.replace(from, to))).success, false, to);
  }
});

/** Options of sbatch that the scripts may state, and what their values look like. */
const directives: Readonly<Record<string, RegExp>> = {
  'job-name': /^[\w-]+$/,
  'array': /^\d+-\d+(:\d+)?(%\d+)?$/,
  'cpus-per-task': /^\d+$/,
  'mem': /^\d+[MG]$/,
  'time': /^\d\d:\d\d:\d\d$/,
  'requeue': /^$/,
  'open-mode': /^(append|truncate)$/,
  'signal': /^(B:)?[A-Z]+@\d+$/,
  'output': /^[\w%./-]+$/,
};
for (const name of scripts) {
  test(`schedulers/${name} states options of sbatch, before its first command`, { skip: !hasBash && 'no bash' }, () => {
    const lines = read(name).split('\n');
    assert.match(lines[0]!, /^#!\/bin\/bash$/);
    const first = lines.findIndex((line) => line !== '' && !line.startsWith('#'));
    const stated = lines.flatMap((line, i) => (line.startsWith('#SBATCH') ? [{ line, i }] : []));
    assert.ok(stated.length > 3);
    for (const { line, i } of stated) {
      const [, option = '', value = ''] = /^#SBATCH --([a-z-]+)(?:=(\S+))?$/.exec(line) ?? [];
      assert.ok(i < first, `${line} is behind a command: sbatch does not read it`);
      assert.match(value, directives[option] ?? /^unknown option$/, line);
    }
    execFileSync('bash', ['-n', join(root, name)]);
  });
}

test('the Slurm script tries again by exit code', { skip: !hasBash && 'no bash' }, async (t) => {
  const folder = await temporaryFolder(t);
  const tool = (name: string, text: string): void => {
    writeFileSync(join(folder, name), `#!/bin/bash\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  tool('pupil', 'echo "pupil $*"; exit "$CODE"');
  tool('scontrol', 'echo "scontrol $*"');
  const run = (code: number, more: Readonly<Record<string, string>> = {}): { out: string; status: number | null } => {
    const { stdout, status } = spawnSync('bash', [join(root, 'slurm/pupil-array.sbatch'), 'predict', 'a', 'b'], {
      encoding: 'utf8',
      env: {
        PATH: `${folder}:${process.env['PATH']}`,
        CODE: String(code),
        SLURM_ARRAY_JOB_ID: '7',
        SLURM_ARRAY_TASK_ID: '3',
        SLURM_CPUS_PER_TASK: '4',
        ...more,
      },
    });
    return { out: stdout, status };
  };
  const isRetried = ({ out }: { out: string }): boolean => out.includes('scontrol requeue 7_3');
  assert.match(run(0).out, /^pupil predict a b --shard auto --threads 4$/m);
  assert.match(run(0, { SHARDS: '128' }).out, /--shard auto\/128 /);
  for (const [code, retried] of [
    [0, false],
    ...[...new Set(Object.values(exitCodes))].map((code) => [code, code !== 2] as const),
    [143, true],
    [137, true],
  ] as const) {
    const ran = run(code);
    assert.deepEqual([ran.status, isRetried(ran)], [code, retried], `exit code ${code}`);
  }
  assert.equal(isRetried(run(1, { SLURM_RESTART_COUNT: '3' })), false, 'a few times');
  assert.equal(isRetried(run(130, { SLURM_RESTART_COUNT: '30' })), true, 'as often as it is interrupted');
});
