import { PupilError } from '../../errors.js';
import type { Engine } from '../engine.js';
import { connect } from '../thread/connect.js';
import { engineOver, type OrtOptions } from './over.js';
import type { Request } from './protocol.js';
import { disableTelemetry } from './telemetry.js';

export type { OrtOptions } from './over.js';

/**
 * The engine on onnxruntime-node: all sessions and the state live in one worker thread, so the
 * caller's event loop stays free. Throws `unsupported` where onnxruntime-node does not exist.
 */
export async function createOrtEngine(options: OrtOptions = {}): Promise<Engine> {
  await disableTelemetry();
  const connection = await connect<Request>({
    url: new URL('./worker.js', import.meta.url),
    unavailable: (message) =>
      new PupilError(
        'unsupported',
        `onnxruntime-node cannot be loaded on ${process.platform} ${process.arch}: ${message}; ` +
          'it exists for Linux and Windows (x64, arm64) and macOS (arm64): reinstall the package there',
        { option: 'engine' },
      ),
  });
  return engineOver(connection, options);
}
