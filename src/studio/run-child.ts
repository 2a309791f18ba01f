/** A process of its own for one training: what kills it does not kill the studio. Ends when the studio ends. */
import { PupilError } from '../errors.js';
import { learn } from '../jobs/learn/learn.js';
import { nextBatch } from '../runs/glimpse.js';
import { drawBatches } from '../runs/preview.js';
import { train } from '../runs/train.js';
import type { ChildEvent, ChildRequest } from './child.js';

const stop = new AbortController();
const tell = (event: ChildEvent): void => void process.send?.(event);

process.on('disconnect', () => stop.abort());
process.on('SIGTERM', () => stop.abort());
process.on('SIGINT', () => undefined); // the studio hears Ctrl-C too, and stops this in its own time
process.once('message', (request: ChildRequest) => {
  process.on('message', (message) => {
    if (message === 'stop') stop.abort();
    else if (message === 'batch') void showBatch();
  });
  void work(request).finally(() => process.disconnect());
});

/** Tells what the next batch looks like, once there is one. */
async function showBatch(): Promise<void> {
  const { parts, classes, augmentation } = await nextBatch();
  const how = { title: 'A batch as the network sees it', most: 32 };
  const png = await drawBatches(parts, classes, `augmentation ${augmentation}`, how);
  tell({ type: 'batch', png: Buffer.from(png).toString('base64') });
}

async function work({ command, data, options }: ChildRequest): Promise<void> {
  try {
    const job = (command === 'learn' ? learn : train)(data, { ...options, signal: stop.signal });
    let last = 0;
    for await (const event of job) {
      if (event.type === 'plan') tell({ type: 'plan' });
      else if (event.type === 'note' || event.type === 'warning') tell({ type: 'note', message: event.message });
      else if (event.type === 'rung') tell({ type: 'rung' });
      else if (event.type === 'phase' && event.training !== undefined)
        tell({ type: 'training', index: event.training.index, count: event.training.count });
      else if (event.type === 'phase' && event.epochs !== undefined) tell({ type: 'part', ...event.epochs });
      else if (event.type === 'epoch') tell({ type: 'epoch', epoch: event.epoch, loss: event.loss });
      else if (event.type === 'evaluation')
        tell({ type: 'evaluation', epoch: event.epoch, top1: (event.metrics['top1'] as number | undefined) ?? null });
      else if (event.type === 'start')
        tell({ type: 'steps', done: event.step, total: event.totalSteps, epochs: event.epochs });
      else if (event.type === 'step' && performance.now() - last > 500) {
        last = performance.now();
        tell({ type: 'steps', done: event.step, total: event.totalSteps });
      }
    }
    tell({ type: 'end', state: 'finished' });
  } catch (error) {
    const isStopped = error instanceof PupilError && error.code === 'interrupted';
    const message = error instanceof Error ? error.message : String(error);
    tell(isStopped ? { type: 'end', state: 'stopped' } : { type: 'end', state: 'failed', message });
  }
}
