import { runFiles } from '../artifact/run-files.js';
import { tap } from './relay.js';

/** Passes on what happens in a run, and keeps in its folder what is warned of: each once, in all sessions. */
export function keepingWarnings<Event, Result>(
  events: AsyncGenerator<Event, Result, undefined>,
): AsyncGenerator<Event, Result, undefined> {
  let run: string | undefined;
  const untold: string[] = [];
  return tap(events, async (event) => {
    const { type, message, run: begun } = event as { type?: string; message?: string; run?: string };
    if (type === 'plan') run = begun;
    if (type === 'warning') untold.push(message!);
    if (run !== undefined && untold.length > 0) await keep(run, untold.splice(0));
    return event;
  });
}

async function keep(run: string, told: readonly string[]): Promise<void> {
  const before = (await runFiles.warnings.read(run))?.warnings ?? [];
  const warnings = [...new Set([...before, ...told])];
  if (warnings.length > before.length) await runFiles.warnings.write(run, { warnings });
}
