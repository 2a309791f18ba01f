import type { PipelineSpec } from './pipeline.js';

/** What `--augment` names: how crops are drawn and mirrored, and what is done to them after. */
export interface AugmentPolicy {
  /** As it can be given to `--augment`. */
  readonly name: string;
  readonly base: 'none' | 'light' | 'basic';
  /** On the crop, at the model's size. */
  readonly steps: PipelineSpec;
}
