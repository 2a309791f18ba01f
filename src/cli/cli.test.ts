import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PupilError } from '../errors.js';
import { learnOptions } from '../options/jobs.js';
import { readText } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import { completionScript } from './completion.js';
import { flagsOf, withFlags } from './messages.js';
import { commands, createProgram, leaves } from './program.js';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder } from '../testing/image-files.js';
import { version } from '../version.js';
import { asUserError } from './user-error.js';

const paths: readonly (readonly string[])[] = commands.flatMap((one) =>
  'commands' in one ? one.commands.map(({ name }) => [one.name, name]) : [[one.name]],
);

test('every command has help with examples, and --json', async () => {
  assert.ok(paths.length >= 17);
  for (const path of paths) {
    const { code, out, err } = await pupil(...path, '--help', '--all');
    assert.equal(code, 0, path.join(' '));
    assert.equal(err, '');
    assert.match(out, new RegExp(`Usage: pupil ${path.join(' ')}`));
    assert.match(out, /Examples:\n +pupil /);
    assert.ok(out.includes('--json'), `${path.join(' ')} lacks --json`);
  }
});

test('options that a command has no use for are not offered', () => {
  const offered = Object.fromEntries(leaves.map(({ name, options }) => [name, Object.keys(options)]));
  assert.deepEqual(offered['list'], ['json']);
  assert.deepEqual(offered['report'], ['heatMaps', 'json']);
  for (const name of ['seed', 'engine', 'threads'])
    for (const command of ['list', 'pull', 'report']) assert.ok(!offered[command]!.includes(name));
  for (const command of ['train', 'demo', 'learn', 'distill', 'self-train', 'search'])
    for (const name of ['seed', 'engine', 'threads', 'out', 'resume', 'minutes'])
      assert.ok(offered[command]!.includes(name), `${command} lacks ${name}`);
});

test('the demo opens its model for a person alone', async () => {
  const { code, err } = await pupil('demo', '--open', '--json');
  assert.equal(code, 2);
  assert.match(err, /`?--open`? is for a person/);
});

test('the options of training commands are those of the contract', async () => {
  for (const command of ['train', 'distill', 'self-train']) {
    const { out } = await pupil(command, '--help', '--all');
    for (const option of [
      '--epochs',
      '--batch-size',
      '--lr',
      '--backbone-lr',
      '--weight-decay',
      '--optimizer',
      '--schedule',
      '--augment',
      '--minutes',
      '--resume',
      '--cutmix',
      '--mixup',
      '--erase',
      '--no-preview',
    ]) {
      assert.ok(out.includes(option), `${command} lacks ${option}`);
    }
  }
});

/** The leaf commands, made to do nothing, so that a command line is only read. */
function reader(): Command {
  const silent = { out: () => undefined, err: () => undefined, interactive: false, width: 100 };
  const program = createProgram(silent, '0').commander;
  for (const command of program.commands.flatMap((child) => [child, ...child.commands]))
    command.action(() => undefined);
  return program;
}

test('every command line that the README and the help show can be read', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const helps = await Promise.all(
    [[], ...paths].map(async (path) => (await pupil(...path, '--help')).out.split('Examples:')[1]!),
  );
  const lines = [readme, ...helps].flatMap((text) => text.split('\n')).filter((line) => /^ *pupil /.test(line));
  assert.ok(lines.length > 30, String(lines.length));
  for (const line of lines) {
    const words = line
      .trim()
      .replace(/ {2,}.*$/, '')
      .replace(/ #.*$/, '')
      .split(/ +/)
      .slice(1);
    await assert.doesNotReject(reader().parseAsync(words, { from: 'user' }), line);
  }
});

test('help shows the options that matter first, and all with --all, with their defaults', async () => {
  for (const { name, options } of leaves) {
    const path = commands.some((one) => one.name === name) ? [name] : ['models', name];
    const few = (await pupil(...path, '--help')).out,
      all = (await pupil(...path, '--help', '--all')).out;
    const shown = (text: string): number => [...text.matchAll(/^ {2}--/gm)].length;
    const offered = Object.values(options).filter(({ flag, never }) => flag !== false && never === undefined).length;
    assert.equal(shown(all), offered, name);
    assert.equal(shown(few), offered > 11 ? 10 : offered, name);
    assert.equal(few.includes(`pupil ${path.join(' ')} --help --all shows`), offered > 11, name);
    assert.ok(
      `${few}${all}`.split('\n').every((line) => line.length <= 100 || /^ {2}(pupil|source) /.test(line)),
      name,
    );
    assert.ok(!/`/.test(few + all), `${name}: options in backticks are shown as flags`);
  }
  const { out } = await pupil('train', '--help');
  assert.match(out, /--epochs <number> +passes over the training images \(default: 10, scratch 30\)/);
  assert.match(out, /--resume <run>/);
});

test('pupil help train is pupil train --help; a wrong command is answered with the nearest', async () => {
  assert.equal((await pupil('help', 'train')).out, (await pupil('train', '--help')).out);
  assert.equal((await pupil('help', 'train', '--all')).out, (await pupil('train', '--help', '--all')).out);
  assert.equal((await pupil('help', 'models', 'pull')).out, (await pupil('models', 'pull', '--help')).out);
  assert.equal((await pupil('help')).out, (await pupil('--help')).out);
  const wrong = await pupil('help', 'trian');
  assert.deepEqual([wrong.code, wrong.out, wrong.err], [2, '', 'pupil: unknown command trian; did you mean train?\n']);
});

test('bash completes commands, options and their values', (t) => {
  const bash = spawnSync('bash', ['--version']);
  if (bash.error) return t.skip('there is no bash');
  const script = completionScript('bash', commands);
  const complete = (...words: string[]): string[] => {
    const line = `COMP_WORDS=(pupil ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _pupil`;
    const run = spawnSync('bash', ['-c', `${script}\n${line}\nprintf '%s\\n' "\${COMPREPLY[@]}"`], {
      encoding: 'utf8',
      cwd: fileURLToPath(new URL('../../src/cli', import.meta.url)),
    });
    assert.equal(run.stderr, '');
    return run.stdout.trimEnd().split('\n');
  };
  assert.deepEqual(complete('tra'), ['train']);
  assert.deepEqual(complete('help', 'pre'), ['predict']);
  assert.deepEqual(complete('models', ''), ['list', 'pull', 'inspect']);
  assert.deepEqual(complete('models', 'inspect', '--n'), ['--normalize']);
  assert.deepEqual(complete('train', '--mo'), ['--model', '--mode', '--model-output', '--momentum']);
  assert.deepEqual(complete('train', 'photos', '--optimizer', 'a'), ['adam', 'adamw']);
  assert.deepEqual(complete('completion', ''), ['bash', 'zsh', 'fish']);
  assert.deepEqual(complete('train', 'program'), ['program.ts']);
});

test('scripts of completion are what the shells can read', async (t) => {
  assert.match((await pupil('completion', 'bsah')).err, /completion takes one of bash, zsh, fish, got "bsah"/);
  const folder = await temporaryFolder(t);
  for (const [shell, flag] of [
    ['bash', '-n'],
    ['zsh', '-n'],
    ['fish', '--no-execute'],
  ] as const) {
    const { out, code } = await pupil('completion', shell);
    assert.equal(code, 0);
    const file = join(folder, shell);
    writeFileSync(file, out);
    const run = spawnSync(shell, [flag, file], { encoding: 'utf8' });
    if (run.error) t.diagnostic(`there is no ${shell}`);
    else assert.deepEqual([run.status, run.stderr], [0, ''], shell);
  }
});

test('fish completes commands, options and their values', async (t) => {
  if (spawnSync('fish', ['--version']).error) return t.skip('there is no fish');
  const file = join(await temporaryFolder(t), 'pupil.fish');
  writeFileSync(file, completionScript('fish', commands));
  const complete = (line: string): string[] =>
    spawnSync('fish', ['-c', `source ${file}; complete -C'${line}'`], { encoding: 'utf8' })
      .stdout.trimEnd()
      .split('\n')
      .map((one) => one.split('\t')[0]!)
      .sort();
  assert.deepEqual(complete('pupil tra'), ['train']);
  assert.deepEqual(complete('pupil train --mo'), ['--mode', '--model', '--model-output', '--momentum']);
  assert.deepEqual(complete('pupil train --mode '), ['consensus', 'finetune', 'probe', 'scratch']);
  assert.deepEqual(complete('pupil models '), ['inspect', 'list', 'pull']);
  assert.deepEqual(complete('pupil completion '), ['bash', 'fish', 'zsh']);
  // The help of --mode stands beside the option, not beside each of its values.
  const shown = (line: string): string =>
    spawnSync('fish', ['-c', `source ${file}; complete -C'${line}'`], { encoding: 'utf8' }).stdout;
  assert.match(shown('pupil train --mod'), /--mode\tfinetune: train all layers/);
  assert.equal(shown('pupil train --mode '), 'consensus\nfinetune\nprobe\nscratch\n');
});

const refused: readonly (readonly [argv: string, says: RegExp])[] = [
  ['', /no command given/],
  ['trian photos', /unknown command trian; did you mean train\?/],
  ['train photos --epohcs 3', /unknown option --epohcs for train; did you mean --epochs\?/],
  ['demo --augment basic', /--augment: each technique that is tried has its own augmentation; pupil train/],
  ['learn photos --augment basic', /--augment: each technique that is tried has its own augmentation/],
  ['demo --backbone-lr 0.1', /--backbone-lr: the demo trains a network from scratch/],
  ['train photos --momentum 0.9', /--momentum: adamw has no use for it \(sgd, rmsprop have\)/],
  ['models list --seed 1', /unknown option --seed for models list/],
  ['train photos --engine cuda', /--engine takes one of auto, ort, .*, got "cuda"/],
  ['distil x', /unknown command distil; did you mean distill/],
  ['models lst', /unknown command models lst; did you mean list\?/],
  ['models', /models needs one of list, pull, inspect/],
  ['train photos --epoch 3', /unknown option --epoch for train; did you mean --epochs\?/],
  ['train photos --learning-rate 3', /unknown option --learning-rate for train; see pupil train --help/],
  ['train photos --batchsize=3', /unknown option --batchsize for train; did you mean --batch-size\?/],
  ['train photos --epochs', /--epochs needs a value/],
  ['train photos --epochs none', /--epochs takes a whole number of at least 1, got "none"/],
  ['train photos --epochs 0', /--epochs takes a whole number of at least 1, got "0"/],
  ['train photos --epochs 2.5', /--epochs takes a whole number of at least 1, got "2.5"/],
  ['train photos --lr -1', /--lr takes auto or a number above 0, got "-1"/],
  ['train photos --lr 0x10', /--lr takes auto or a number above 0, got "0x10"/],
  ['train photos --label-smoothing 1', /--label-smoothing takes a number from 0 to below 1/],
  [
    'train photos --mode finetun',
    /--mode takes one of finetune, scratch, probe, consensus, got "finetun"; did you mean finetune\?/,
  ],
  ['train photos --optimizer adamv', /--optimizer takes one of sgd, .*, got "adamv"; did you mean adam/],
  ['train photos --schedule onecycle', /did you mean one-cycle\?/],
  ['train photos --precision fp16', /--precision takes one of auto, f32, bf16, got "fp16"/],
  ['train photos --engine gpu', /--engine takes one of auto, ort, onednn/],
  ['train photos --threads 0', /--threads takes a whole number of at least 1/],
  ['train photos --normalize imagnet', /imagnet: not a known name/],
  ['train photos --normalize 1,2/3', /has 2 numbers/],
  ['train photos --augment baisc', /baisc.*did you mean "?basic"?\?/],
  ['train photos --cutmix -1', /--cutmix takes a number of at least 0, got "-1"/],
  ['train --cutmix photos', /--cutmix takes a number or nothing \(1\), got "photos"; write --cutmix=1/],
  ['train photos --erase 1.5', /--erase takes a number from 0 to 1, got "1.5"/],
  ['train photos --mix-probability two', /--mix-probability takes a number from 0 to 1/],
  ['train photos --mode probe --cutmix', /--cutmix: mode probe has no use for it \(scratch, finetune have\)/],
  ['train a b', /train takes only <data>, got "a" "b"/],
  ['train photos --lr 1 --lr 2', /--lr is given twice; leave one out/],
  ['train photos --out a --out=a', /--out is given twice/],
  ['train photos --flip --no-flip', /--flip and --no-flip are given; leave one out/],
  ['train photos --cutmix --cutmix=1', /--cutmix is given twice/],
  ['search photos --n 1 --n 2,3', /--n is given twice/],
  ['train photos --freeze a --freeze b --mode probe', /--freeze: mode probe has no use for it/],
  ['train photos --mode probe --no-flip', /--no-flip: mode probe has no use for it/],
  ['train photos --mode scratch --head fc', /--head: mode scratch has no use for it/],
  ['learn photos --teacher-normalize imagenet', /--teacher-normalize: it has no use without --teacher; leave it out/],
  ['train photos --mode consensus --teacher-size 64', /--teacher-size: it has no use without --teacher/],
  ['train photos --teacher-class-names a.txt', /--teacher-class-names: it has no use without --teacher/],
  ['demo --teacher-channels bgr', /--teacher-channels: it has no use without --teacher/],
  ['train photos --mix-probability 0.5', /--mix-probability: it has no use without --cutmix or --mixup/],
  ['export run --out x.onnx --threads 2', /--threads: it has no use without --int8/],
  ['export run --int8 --out x.onnx', /--int8 needs a value \(--int8 <folder>\), got the option --out/],
  ['evaluate model.onnx', /evaluate needs <data>/],
  ['evaluate model.onnx data --split tset', /did you mean test\?/],
  ['export run', /export needs --out FILE/],
  ['train', /train needs DATA/],
];

for (const [argv, says] of refused) {
  test(`refused in one line: pupil ${argv}`, async () => {
    const { code, out, err } = await pupil(...argv.split(' ').filter((word) => word !== ''));
    assert.equal(code, 2);
    assert.equal(out, '');
    const lines = err.trimEnd().split('\n');
    if (argv !== '') assert.equal(lines.length, 1, err);
    assert.match(lines.at(-1)!, /^pupil: /);
    assert.match(lines.at(-1)!, says);
  });
}

test('with --json an error is one object on stdout, beside the line on stderr', async () => {
  const wrong = await pupil('train', 'photos', '--label-smoothing', '1', '--json');
  assert.equal(wrong.code, 2);
  const message = '--label-smoothing takes a number from 0 to below 1, got "1"';
  assert.equal(wrong.err, `pupil: ${message}\n`);
  assert.deepEqual(JSON.parse(wrong.out), {
    schema: 1,
    error: { code: 'usage', message, option: 'labelSmoothing' },
  });
  const below = await pupil('train', 'photos', '--temperature', '3', '--json');
  assert.deepEqual(JSON.parse(below.out), {
    schema: 1,
    error: {
      code: 'usage',
      message: '--temperature: supervised has no use for it (distillation has); leave it out',
      option: 'temperature',
    },
  });
  for (const [argv, option] of [
    ['train photos --epohcs 3', 'epochs'],
    ['train photos --cutmx 3', 'cutmix'],
    ['train photos --zz-top 3', 'zzTop'],
    ['train photos --engine gpu', 'engine'],
    ['train photos --lr 1 --lr 2', 'lr'],
    ['distill photos --student a', 'teachers'],
    ['train photos --mode probe --no-flip', 'flip'],
  ] as const) {
    const { out, err, code } = await pupil(...argv.split(' '), '--json');
    const { error } = JSON.parse(out) as { error: { code: string; message: string; option: string } };
    assert.deepEqual([code, error.code, error.option, `pupil: ${error.message}\n`], [2, 'usage', option, err], argv);
  }
  const missing = await pupil('evaluate', 'nothing.onnx', 'photos', '--json');
  assert.equal((JSON.parse(missing.out) as { error: { code: string } }).error.code, 'not-found');
});

test('with --json help and the version are one object on stdout too', async () => {
  for (const argv of ['--help', 'help', 'help train', 'train --help --all', 'models --help', 'help models pull']) {
    const { code, out, err } = await pupil(...argv.split(' '), '--json');
    const { schema, help } = JSON.parse(out) as { schema: number; help: string };
    assert.deepEqual([code, schema, err, out.indexOf('\n')], [0, 1, '', out.length - 1], argv);
    assert.equal(help, (await pupil(...argv.split(' '))).out);
  }
  assert.deepEqual(JSON.parse((await pupil('--version', '--json')).out), { schema: 1, version });
  for (const [argv, message] of [
    ['--json', 'no command given; see pupil --help'],
    ['models --json', 'models needs one of list, pull, inspect; see pupil models --help'],
  ] as const)
    assert.deepEqual(JSON.parse((await pupil(...argv.split(' '))).out), {
      schema: 1,
      error: { code: 'usage', message },
    });
});

test('an error shows what is unprintable in a name as escapes', async () => {
  for (const argv of [
    ['doctor', 'a\u001b[31m'],
    ['trai\u001bn'],
    ['train', 'x', '--\u001bx'],
    ['train', 'a', '\u001b'],
    ['predict', 'a\u001b.onnx', 'x'],
  ]) {
    const { code, err } = await pupil(...argv);
    assert.equal(code, 2);
    assert.match(err, /\\u001b/);
    assert.ok(!err.includes('\u001b'));
  }
});

test('options that a message names in backticks are shown as flags', () => {
  assert.equal(
    withFlags(
      '`labelsPerClass` 3, `mode: finetune`, `flip: false`, `flip: true`, `teachers`, `other` and `Mode`',
      flagsOf(trainingOptions),
    ),
    '--labels-per-class 3, --mode finetune, --no-flip, --flip, --teacher, `other` and `Mode`',
  );
});

const read: readonly (readonly [argv: string, options: Readonly<Record<string, unknown>>])[] = [
  ['--cutmix --mixup --erase --preview', { cutmix: 1, mixup: 0.2, erase: 0.25, preview: true }],
  [
    '--cutmix 0.5 --mixup=1 --erase .1 --mix-probability 0.5',
    { cutmix: 0.5, mixup: 1, erase: 0.1, mixProbability: 0.5 },
  ],
  [
    '--augment randaugment:n=2,m=9,scale=timm --no-flip --cutmix 0',
    { augment: 'randaugment:n=2,m=9,scale=timm', flip: false, cutmix: 0 },
  ],
];

for (const [argv, expected] of read) {
  test(`read: pupil train photos ${argv}`, async () => {
    let got: unknown;
    const program = reader();
    program.commands
      .find((command) => command.name() === 'train')!
      .action((_: unknown, options: unknown) => {
        got = options;
      });
    await program.parseAsync(['train', 'photos', ...argv.split(' ')], { from: 'user' });
    assert.deepEqual(got, expected);
  });
}

test('errors of the system are told apart from faults of ours', () => {
  const full = Object.assign(new Error('write'), { code: 'ENOSPC', path: '/x/model.onnx' });
  assert.match(asUserError(full)!.message, /\/x\/model.onnx cannot be written: the disk is full/);
  assert.equal(asUserError(new PupilError('usage', 'a\nb'))!.message, 'a b');
  assert.equal(asUserError(AbortSignal.abort().reason)!.code, 'interrupted');
  assert.equal(asUserError(new TypeError('undefined is not a function')), undefined);
});

test('the compiled program starts, prints its version and ends with the right codes', () => {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const run = (...argv: string[]) => spawnSync(process.execPath, [main, ...argv], { encoding: 'utf8' });
  const version = run('--version');
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  assert.equal(version.status, 0);
  const wrong = run('nonsense');
  assert.deepEqual([wrong.status, wrong.stdout, wrong.stderr.split('\n').length], [2, '', 2]);
  const times = Array.from({ length: 3 }, () => {
    const start = performance.now();
    assert.equal(run('--help').status, 0);
    return performance.now() - start;
  }).sort((a, b) => a - b);
  // Typically 0.1 s; a busy machine may take a multiple of it.
  assert.ok(times[1]! < 3000, `pupil --help took ${times.map(Math.round).join(', ')} ms`);
});

test('rungs are spelled with hyphens or as the ladder names them', () => {
  assert.deepEqual(readText('rungs', learnOptions.rungs, 'probe,noisy-student, noisy student 2,pseudo-labels'), [
    'probe',
    'noisy student',
    'noisy student 2',
    'pseudo-labels',
  ]);
});
