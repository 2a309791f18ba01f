import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { parse } from 'yaml';
import { exitCodes, type FailureCode } from './cli/exit-codes.js';
import { leaves } from './cli/program.js';
import { flagName } from './options/option.js';
import { temporaryFolder } from './testing/image-files.js';
import { jobSchema, mpiJobSchema } from './testing/kubernetes.js';

/** The files for schedulers: as their schemas have it, with commands that Pupil understands, retried by exit code. */

const root = fileURLToPath(new URL('../schedulers/', import.meta.url));
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const manifests = readdirSync(join(root, 'kubernetes')).map((name) => `kubernetes/${name}`);
const ofRanks = 'kubernetes/train.yaml';
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

/** A program for scripts to run: a few lines of bash. */
function writeTool(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, name), `#!/bin/bash\n${text}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** A manifest by its schema. */
function checked<Schema extends v.GenericSchema>(schema: Schema, name: string): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, parse(read(name)));
  assert.deepEqual(parsed.issues?.map((issue) => `${v.getDotPath(issue)}: ${issue.message}`) ?? [], []);
  assert.ok(parsed.success);
  return parsed.output;
}

for (const name of manifests.filter((one) => one !== ofRanks)) {
  test(`schedulers/${name} is a Job as Kubernetes takes it`, () => {
    const { spec } = checked(jobSchema, name);
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

test(
  `schedulers/${ofRanks} is an MPIJob, which begins a run or goes on with it`,
  { skip: !hasBash && 'no bash' },
  async (t) => {
    const { mpiReplicaSpecs: of } = checked(mpiJobSchema, ofRanks).spec;
    const [{ command = [], args = [] }] = of.Launcher.template.spec.containers as [
      (typeof of.Launcher.template.spec.containers)[number],
    ];
    const folder = await temporaryFolder(t);
    const [shell, ...words] = [...command, ...args.map((text) => text.replaceAll('/data/', `${folder}/`))] as [string];
    writeTool(folder, 'mpirun', 'printf "%s\\n" "$@"');
    const launched = (): string[] => {
      const out = execFileSync(shell, words, { encoding: 'utf8', env: { PATH: `${folder}:${process.env['PATH']}` } });
      const lines = out.trim().split('\n');
      return lines.slice(lines.indexOf('pupil') + 1);
    };
    const begun = launched();
    assert.deepEqual(unknownFlags(begun), []);
    assert.deepEqual([begun[0], begun[begun.indexOf('--out') + 1]], ['train', join(folder, 'runs/a')]);
    const batchSize = Number(begun[begun.indexOf('--batch-size') + 1]);
    assert.equal(batchSize % of.Worker.replicas, 0, 'a batch is cut in equal parts');
    mkdirSync(join(folder, 'runs/a'), { recursive: true });
    writeFileSync(join(folder, 'runs/a/run.json'), '');
    assert.deepEqual(launched().slice(0, 3), ['train', '--resume', join(folder, 'runs/a')]);
  },
);

const refusedChanges = {
  'kubernetes/pseudo-label.yaml': [
    jobSchema,
    [
      ['completions: 128', 'completion: 128'],
      ['restartPolicy: Never', 'restartPolicy: OnFailure'],
      ['completionMode: Indexed', 'completionMode: NonIndexed'],
      ['containerName: pupil', 'containerName: other'],
      ['values: [130, 143]', 'values: [143, 130]'],
      ['claimName: pupil-data', 'claimName: Pupil_Data'],
      ['action: FailJob', 'action: Fail'],
    ],
  ],
  [ofRanks]: [
    mpiJobSchema,
    [
      ['kubeflow.org/v2beta1', 'kubeflow.org/v1'],
      ['replicas: 1', 'replicas: 2'],
      ['replicas: 4', 'replicas: 0'],
      ['slotsPerWorker: 1', 'slots: 1'],
      ['cleanPodPolicy: Running', 'cleanPodPolicy: Done'],
      ['- name: data', '- name: other'],
    ],
  ],
} as const;
for (const [name, [schema, changes]] of Object.entries(refusedChanges)) {
  test(`changes to schedulers/${name} that a server refuses are refused`, () => {
    const text = read(name);
    for (const [from, to] of changes) {
      assert.ok(text.includes(from), from);
      assert.equal(v.safeParse(schema, parse(text.replace(from, to))).success, false, to);
    }
  });
}

/** Options of sbatch that the scripts may state, and what their values look like. */
const directives: Readonly<Record<string, RegExp>> = {
  'job-name': /^[\w-]+$/,
  'array': /^\d+-\d+(:\d+)?(%\d+)?$/,
  'nodes': /^\d+$/,
  'ntasks-per-node': /^\d+$/,
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

/** What a Slurm script runs and says, with a `pupil` that ends with `code`. */
function runScript(
  folder: string,
  [name, ...words]: readonly [string, ...string[]],
  code: number,
  environment: Readonly<Record<string, string>>,
): { readonly out: string; readonly status: number | null } {
  writeTool(folder, 'pupil', 'echo "pupil $*"; exit "$CODE"');
  writeTool(folder, 'srun', 'while [[ $1 == -* ]]; do shift; done; exec "$@"');
  writeTool(folder, 'scontrol', 'echo "scontrol $*"');
  const { stdout, status } = spawnSync('bash', [join(root, 'slurm', name), ...words], {
    encoding: 'utf8',
    env: { PATH: `${folder}:${process.env['PATH']}`, CODE: String(code), SLURM_CPUS_PER_TASK: '4', ...environment },
  });
  return { out: stdout, status };
}

for (const { name, words, environment, job } of [
  {
    name: 'pupil-array.sbatch',
    words: ['predict', 'a', 'b'],
    environment: { SLURM_ARRAY_JOB_ID: '7', SLURM_ARRAY_TASK_ID: '3' },
    job: '7_3',
  },
  {
    name: 'pupil-ranks.sbatch',
    words: ['train', 'photos'],
    environment: { SLURM_JOB_ID: '7', RUN: 'runs/a' },
    job: '7',
  },
] as const) {
  test(`schedulers/slurm/${name} tries again by exit code`, { skip: !hasBash && 'no bash' }, async (t) => {
    const folder = await temporaryFolder(t);
    const run = (code: number, more: Readonly<Record<string, string>> = {}) =>
      runScript(folder, [name, ...words], code, { ...environment, ...more });
    const isRetried = ({ out }: { out: string }): boolean => out.includes(`scontrol requeue ${job}\n`);
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
}

test('the Slurm scripts give Pupil its shard, or the run that goes on', { skip: !hasBash && 'no bash' }, async (t) => {
  const folder = await temporaryFolder(t);
  const said = (name: string, words: readonly string[], environment: Readonly<Record<string, string>>): string =>
    runScript(folder, [name, ...words], 0, environment).out;
  const ofArray = { SLURM_ARRAY_JOB_ID: '7', SLURM_ARRAY_TASK_ID: '3' };
  const predicted = (more = {}): string => said('pupil-array.sbatch', ['predict', 'a'], { ...ofArray, ...more });
  assert.equal(predicted(), 'pupil predict a --shard auto --threads 4\n');
  assert.match(predicted({ SHARDS: '128' }), /--shard auto\/128 /);
  const trained = (): string => said('pupil-ranks.sbatch', ['train', 'photos'], { SLURM_JOB_ID: '7', RUN: folder });
  assert.equal(trained(), `pupil train photos --out ${folder} --threads 4\n`);
  writeFileSync(join(folder, 'run.json'), '');
  assert.equal(trained(), `pupil train --resume ${folder} --threads 4\n`);
});
