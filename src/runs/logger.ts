import type { Run } from '../artifact/run.js';
import { createEventLog, type EventLog } from '../artifact/tensorboard.js';
import type { RunEvent } from './events.js';
import type { MaskStatistics } from '../techniques/mask-observer.js';

/**
 * Writes metrics.jsonl and TensorBoard events. Times are left out of the former, so that equal runs
 * have equal files.
 */
export async function createLogger(run: Run): Promise<(event: RunEvent) => Promise<void>> {
  const board: EventLog = await createEventLog(run.path);
  return async (event) => {
    if (event.type === 'step') {
      const { type, epoch, step, loss, accuracy, learningRate } = event;
      await run.log({ type, epoch, step, loss, accuracy, learningRate });
      await board.scalars(step, {
        'train/loss': loss,
        'train/accuracy': accuracy,
        'train/learning_rate': learningRate,
        'train/images_per_second': event.imagesPerSecond,
      });
    } else if (event.type === 'epoch') {
      const { type, epoch, step, loss, accuracy, observed } = event;
      await run.log({ type, epoch, step, train: { loss, accuracy }, ...observed });
      const { kept, right } = (observed?.['unlabelled'] ?? {}) as Partial<MaskStatistics>;
      await board.scalars(step, { 'unlabelled/kept': kept, 'unlabelled/right': right ?? undefined });
    } else if (event.type === 'evaluation') {
      const { type, epoch, step, metrics } = event;
      await run.log({ type, epoch, step, selection: metrics });
      await board.scalars(step, {
        'selection/top1': metrics['top1'] as number,
        'selection/loss': metrics['loss'] as number,
      });
    }
  };
}
