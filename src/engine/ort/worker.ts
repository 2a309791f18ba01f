import { serve, type Served } from '../thread/serve.js';
import type { Request } from './protocol.js';
import { Sessions, type Ort } from './sessions.js';

/**
 * The thread that owns every onnxruntime session and the store of named tensors. `session.run`
 * blocks its thread, so requests are worked off one after the other, in the order in which they
 * came.
 */
async function load(): Promise<Served<Request>> {
  const module = (await import('pupil-onnxruntime')) as Ort & { default?: Ort };
  const ort = module.default ?? module;
  ort.env.logLevel = 'error';
  // threads that wait do not burn the cores that decode the next batch
  const sessions = new Sessions(ort, { extra: { session: { intra_op: { allow_spinning: '0' } } } });
  return {
    version: ort.env.versions.node ?? ort.env.versions.common,
    perform: (request, transfer) => sessions.perform(request, transfer),
    close: () => sessions.close(),
  };
}

serve(load);
