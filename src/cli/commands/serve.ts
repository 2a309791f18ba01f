import { serveOptions } from '../../options/tools.js';
import { command } from '../command.js';
import { interruptible } from '../interrupt.js';
import { jsonLine } from '../terminal.js';

export const serve = command('serve', 'Answer images over HTTP, also as a Label Studio ML backend.', {
  arguments: { '<run>': 'a run folder, or a model in any other form' },
  options: serveOptions,
  examples: [
    'pupil serve runs/photos --port 8080',
    'pupil serve runs/photos --port 9090 --label-studio http://localhost:8080',
  ],
  async run({ run }, { json, token = process.env['PUPIL_TOKEN'] || undefined, ...options }, terminal) {
    const { serve: start } = await import('../../serve/server.js');
    await interruptible(async (signal) => {
      const serving = await start(run, { ...options, token });
      terminal.out(json ? jsonLine({ address: serving.address }) : `${serving.address}\n`);
      terminal.err(`curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' ${serving.address}/predict\n`);
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      await serving.close();
    });
  },
});
