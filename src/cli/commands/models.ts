import { PupilError } from '../../errors.js';
import { fileAt, isBuiltIn, listModels } from '../../models/index.js';
import { formatRemote, pullModel, type PulledModel } from '../../models/hub.js';
import { formatInspection, inspectModel } from '../../models/inspect.js';
import { withFlags } from '../messages.js';
import type { CommonOptions } from '../options.js';
import { createProgress } from '../progress.js';
import type { InspectOptions } from '../program.js';
import { present, refuseExisting } from '../result.js';
import { compact, table } from '../table.js';
import type { Terminal } from '../terminal.js';

/** `pupil models list`. */
export async function list(options: CommonOptions, terminal: Terminal): Promise<void> {
  await refuseExisting(options.out, 'models');
  const models = listModels();
  const rows = models.map(({ name, family, parameters, flops, size, classes, larger }) => [
    name,
    family,
    compact(parameters),
    compact(flops),
    `${size}`,
    String(classes),
    larger ?? '',
  ]);
  const text =
    `${table([['name', 'family', 'parameters', 'FLOPs', 'pixels', 'classes', 'next larger'], ...rows])}\n` +
    'Parameters and FLOPs (a multiply-add counts as 2) are for that many pixels and classes. Any wrn-DEPTH-WIDTH with\n' +
    "DEPTH = 6n + 4 works too. Train one with: pupil train DATA --mode scratch --model NAME; start from timm's weights of one with:\n" +
    'pupil train DATA --model hf:timm/REPOSITORY, or --model FILE.safetensors\n';
  await present({ models }, text, options, 'models', terminal);
}

/** `pupil models pull hf:owner/repo`. */
export async function pull(model: string, options: CommonOptions, terminal: Terminal): Promise<void> {
  await refuseExisting(options.out, 'model');
  const pulled = await download(model, terminal);
  await present(pulled, `${pulled.path}\n`, options, 'model', terminal);
}

/** `pupil models inspect MODEL`. */
export async function inspect(model: string, options: InspectOptions, terminal: Terminal): Promise<void> {
  await refuseExisting(options.out, 'inspection');
  const inspection = await inspectModel(await fileOf(model, terminal), options);
  await present(
    inspection,
    () => withFlags(formatInspection(inspection), new Set(['head'])),
    options,
    'inspection',
    terminal,
  );
}

/** The file that a run folder, a path or a name on the hub means. */
async function fileOf(model: string, terminal: Terminal): Promise<string> {
  if (model.startsWith('hf:')) return (await download(model, terminal)).path;
  const found = await fileAt(model);
  if (found === undefined && isBuiltIn(model)) {
    throw new PupilError(
      'usage',
      `${model}: a built-in network, not a file; pupil models list shows its size and cost`,
    );
  }
  return found ?? model;
}

async function download(model: string, terminal: Terminal): Promise<PulledModel> {
  const progress = await createProgress(terminal);
  let started = false;
  return pullModel(model, {
    announce: (remote) => progress.note(formatRemote(remote)),
    progress: ({ received, total }) => {
      if (!started) progress.phase('downloading', Math.ceil(total / 1e6), 'MB');
      started = true;
      progress.update(Math.floor(received / 1e6));
    },
  }).finally(() => progress.end());
}
