import type { StudioOptions } from '../../studio/server.js';
import type { Given } from '../../options/option.js';
import { studioOptions } from '../../options/tools.js';
import { command, modelArgument } from '../command.js';
import { interruptible } from '../interrupt.js';
import { jsonLine, type Terminal } from '../terminal.js';

type Told = Given<typeof studioOptions> & { readonly json?: boolean | undefined };

export const studio = command('studio', 'Label, check, train and try in the browser, on this machine alone.', {
  arguments: { '[folder]': 'a folder of images; default: the current one, or one below it that you choose' },
  options: studioOptions,
  examples: ['pupil studio photos', 'pupil studio photos --model backbone.onnx --no-open --port 8000'],
  async run({ folder }, told, terminal) {
    const { holdsImages } = await import('../../studio/places.js');
    const open = folder ?? ((await holdsImages('.')) ? '.' : undefined);
    return serveStudio({ folder: open, root: folder ?? '.' }, '', told, terminal);
  },
});

export const label = command('label', 'Label images in the browser, those first that teach a model most.', {
  arguments: { '<folder>': 'a folder of images' },
  options: studioOptions,
  examples: ['pupil label photos --model backbone.onnx'],
  run: ({ folder }, told, terminal) => serveStudio({ folder }, '#/label', told, terminal),
});

const { port, open } = studioOptions;

export const tryRun = command('try', 'Try a run on your images or the camera, in the browser.', {
  arguments: { '<run>': `the folder of a finished run, not ${modelArgument.replace('a run folder, ', '')}` },
  options: { port, open },
  examples: ['pupil try runs/learn-1'],
  run: ({ run }, told, terminal) => serveStudio({ run }, '#/try', told, terminal),
});

/** Serves until Ctrl-C; `place` is the part of the page that is opened. */
export async function serveStudio(
  options: StudioOptions,
  place: string,
  told: Told,
  terminal: Terminal,
): Promise<void> {
  const [{ foreignOf }, { startStudio }] = await Promise.all([
    import('../../models/index.js'),
    import('../../studio/server.js'),
  ]);
  await interruptible(async (signal) => {
    const running = await startStudio({ ...options, model: told.model, foreign: foreignOf(told), port: told.port });
    const address = running.address + place;
    terminal.out(told.json ? jsonLine({ address }) : `${address}\n`);
    terminal.err('The studio runs until Ctrl-C. Only this machine can open that address.\n');
    running.ready.catch((error: unknown) =>
      terminal.err(`pupil: ${error instanceof Error ? error.message : String(error)}\n`),
    );
    if (told.open ?? told.json !== true) void openOrTell(address, told.open, terminal);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    await running.close();
  });
}

/** Opens the browser, or says why a person has to do that. */
async function openOrTell(address: string, asked: boolean | undefined, terminal: Terminal): Promise<void> {
  const { openBrowser, whyNoBrowser } = await import('../../studio/browser.js');
  const { platform, env: environment, stdout } = process;
  const why = whyNoBrowser({ platform, environment, isTerminal: stdout.isTTY === true }, asked);
  if (why === undefined && (await openBrowser(address))) return;
  const cause = why ?? 'none could be started';
  terminal.err(`No browser was opened (${cause}): open ${address} in a browser on this machine.\n`);
}
