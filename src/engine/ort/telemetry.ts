import { isMainThread } from 'node:worker_threads';
import type koffi from 'koffi';

const variable = 'ORT_DISABLE_TELEMETRY';

/**
 * Keeps onnxruntime from telling its maker what runs on it: since 1.29 its builds for Linux and macOS
 * do, unless this variable is set in the process before the library is loaded (microsoft/onnxruntime
 * pull request 27379). Who has set it already has chosen. On Windows it writes events for the system,
 * which no variable stops; the system's own settings do.
 */
export async function disableTelemetry(): Promise<void> {
  if (process.env[variable] !== undefined) return;
  process.env[variable] = '1';
  if (isMainThread || process.platform === 'win32') return;
  // The environment of a thread is a copy, which libraries do not see.
  const loaded = (await import('koffi').catch(() => undefined)) as { default: typeof koffi } | undefined;
  loaded?.default.load(null).func('int setenv(const char *name, const char *value, int overwrite)')(variable, '1', 0);
}
