import { PupilError } from '../../errors.js';
import type { PulledModel } from '../../models/hub.js';
import { inspectOptions } from '../../options/tools.js';
import { command, modelArgument, type CommandGroup } from '../command.js';
import { createProgress } from '../progress.js';
import { conclude, present, refuseExisting } from '../result.js';
import { compact, printable, table } from '../table.js';
import type { Terminal } from '../terminal.js';

const list = command('list', 'List built-in networks.', {
  options: {},
  examples: ['pupil models list', 'pupil models list --json'],
  async run(_, { json }, terminal) {
    const { listModels } = await import('../../models/index.js');
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
      'Parameters and FLOPs (a multiply-add counts as 2) are for that many pixels and classes. Any wrn-DEPTH-WIDTH\n' +
      'with DEPTH = 6n + 4 works too.\n\n' +
      'from random weights     pupil train DATA --mode scratch --model NAME\n' +
      "from timm's weights     pupil train DATA --model hf:timm/REPOSITORY, or --model FILE.safetensors\n";
    conclude({ models }, text, json, terminal);
  },
});

const pull = command('pull', 'Download a model from the Hugging Face hub.', {
  arguments: { '<model>': 'hf:owner/repo, hf:owner/repo/file or hf:owner/repo@revision' },
  options: {},
  examples: [
    'pupil models pull hf:owner/repo',
    'pupil models pull hf:owner/repo/onnx/model.onnx',
    'pupil models pull hf:timm/efficientnet_b0.ra_in1k',
  ],
  async run({ model }, { json }, terminal) {
    const pulled = await download(model, terminal);
    conclude(pulled, `${pulled.path}\n`, json, terminal);
  },
});

const inspect = command(
  'inspect',
  'Show inputs, parameters, FLOPs, last layer, and whether every operation can be trained through.',
  {
    arguments: { '<model>': modelArgument },
    options: inspectOptions,
    examples: ['pupil models inspect backbone.onnx', 'pupil models inspect runs/photos --json'],
    async run({ model }, { json, out, ...options }, terminal) {
      await refuseExisting(out, 'inspection');
      const { formatInspection, inspectModel } = await import('../../models/inspect.js');
      const inspection = await inspectModel(await fileOf(model, terminal), options);
      const text = (): string => formatInspection(inspection).split('\n').map(printable).join('\n');
      await present({ result: inspection, text, name: 'inspection' }, { json, out }, terminal);
    },
  },
);

export const models: CommandGroup = {
  name: 'models',
  says: 'List, download and inspect models.',
  examples: ['pupil models list', 'pupil models pull hf:owner/repo', 'pupil models inspect backbone.onnx'],
  commands: [list, pull, inspect],
};

/** The file that a run folder, a path or a name on the hub means. */
async function fileOf(model: string, terminal: Terminal): Promise<string> {
  if (model.startsWith('hf:')) return (await download(model, terminal)).path;
  const { fileAt, isBuiltIn } = await import('../../models/index.js');
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
  const { formatRemote, pullModel } = await import('../../models/hub.js');
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
