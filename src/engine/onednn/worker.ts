import { writeFileSync } from 'node:fs';
import type { Tensor } from '../../tensor.js';
import { messageOf } from '../../threads/protocol.js';
import type { Perform } from '../../threads/answer.js';
import { serve, type Served } from '../thread/serve.js';
import { defaultChoiceFile, machineKey, openChoiceCache } from './choices/cache.js';
import { createChoices } from './choices/choices.js';
import type { CompiledProgram } from './bind.js';
import { compileProgram } from './compile.js';
import { createHeap } from './memory/heap.js';
import { hasBfloat16 } from './precision.js';
import { loadDnnl } from './library/load.js';
import type { Request, WorkerSettings } from './protocol.js';
import { createStore } from './memory/store.js';

/**
 * The thread that owns the library, the programs and the state: calls block it, not the caller's
 * event loop.
 */

function load(given: unknown): Served<Request> {
  const settings = given as WorkerSettings;
  const { dnnl } = loadDnnl();
  if (settings.threads !== undefined && !dnnl.setThreads(settings.threads))
    process.stderr.write('oneDNN: the number of threads cannot be set here\n');
  const heap = createHeap((buffer) => dnnl.address(buffer)),
    store = createStore(dnnl, heap);
  const cache = openChoiceCache(defaultChoiceFile(), machineKey(dnnl.version, settings.threads)),
    choices = createChoices(settings.choices, dnnl, heap, cache);
  const programs = new Map<number, CompiledProgram>();
  const programOf = (number: number): CompiledProgram => {
    const program = programs.get(number);
    if (!program) throw new Error('the program was closed');
    return program;
  };
  const release = (number: number): void => {
    const program = programOf(number);
    if (settings.profile)
      writeFileSync(
        `${settings.profile}-${program.name.replaceAll(/\W+/g, '-')}-${number}.json`,
        `${JSON.stringify(program.profile(), null, 1)}\n`,
      );
    programs.delete(number);
    program.release();
  };
  const moved = (tensor: Tensor, transfer: ArrayBuffer[]): Tensor => {
    transfer.push(tensor.data.buffer as ArrayBuffer);
    return tensor;
  };

  const perform: Perform<Request> = (request, transfer) => {
    switch (request.kind) {
      case 'open': {
        const { graph, program, state, precision } = request;
        try {
          programs.set(
            program,
            compileProgram(
              graph,
              { dnnl, heap, store, choices },
              { state, profile: settings.profile !== undefined, isHalved: precision === 'bf16' },
            ),
          );
        } catch (error) {
          throw new Error(`${graph.name}: ${messageOf(error)}`, { cause: error });
        }
        cache.save();
        return { ...choices.recorded };
      }
      case 'has bfloat16':
        return hasBfloat16(dnnl);
      case 'run': {
        const outputs = programOf(request.program).run(request.feeds);
        return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, moved(tensor, transfer)]));
      }
      case 'release':
        return release(request.program);
      case 'write':
        for (const [name, tensor] of request.state) store.write(name, tensor);
        return undefined;
      case 'read':
        return new Map([...(request.names ?? store.names())].map((name) => [name, moved(store.read(name), transfer)]));
      case 'lend':
        return store.lend(request.names);
      case 'remove':
        for (const name of request.names) store.remove(name);
        return undefined;
    }
  };
  const close = (): void => {
    for (const number of [...programs.keys()]) release(number);
    dnnl.close();
  };
  return { version: dnnl.version, perform, close };
}

serve(load);
