import type { Dataset } from '../data/sample.js';
import { errorAbout, PupilError } from '../errors.js';
import type { HubOptions } from '../models/hub.js';
import { foreignOf, resolveModel } from '../models/index.js';
import type { Model } from '../models/model.js';
import { defaultModels } from '../options/recipes.js';
import type { RunEvent } from './events.js';
import type { OpenModel } from './open-once.js';
import { relaying } from './relay.js';
import type { TrainOptions } from './resolve.js';

/** Says what is downloaded before it is, and how far it is. */
export async function hubEvents(
  emit: (event: RunEvent) => void,
  signal: AbortSignal | undefined,
): Promise<Pick<HubOptions, 'announce' | 'progress' | 'signal'>> {
  const { formatRemote } = await import('../models/hub.js'); // where the network is not needed, nor is its code
  return {
    signal,
    announce: (remote) => emit({ type: 'note', message: `downloading ${formatRemote(remote)}` }),
    progress: ({ file, received, total }) =>
      emit({
        type: 'progress',
        what: `downloading ${file}`,
        unit: 'MB',
        done: Math.floor(received / 1e6),
        total: Math.ceil(total / 1e6),
      }),
  };
}

/** The model to train, with a head for the classes. */
export function chooseModel(
  { classes }: Pick<Dataset, 'classes'>,
  options: TrainOptions,
  open: OpenModel = resolveModel,
): AsyncGenerator<RunEvent, Model, undefined> {
  const { seed = 0, signal } = options;
  const scratch = options.mode === 'scratch';
  return relaying(async (emit) => {
    const model = await open(options.model ?? defaultModels[scratch ? 'scratch' : 'pretrained'], {
      labels: classes,
      seed,
      purpose: scratch ? 'scratch' : 'pretrained',
      warn: (message) => emit({ type: 'warning', message }),
      ...foreignOf(options),
      hub: await hubEvents(emit, signal),
    }).catch((error: unknown) => {
      const isNamed = error instanceof PupilError && (error.option !== undefined || error.code === 'interrupted');
      throw isNamed ? error : errorAbout('model', error);
    });
    return scratch ? model : { ...model, labels: classes };
  });
}
