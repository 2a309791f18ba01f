/** How batches are mixed: CutMix (Yun et al. 2019), MixUp (Zhang et al. 2018), or one of the two at random. */
export interface MixingSpec {
  /** Parameter of Beta(alpha, alpha). */
  readonly cutmix?: number;
  readonly mixup?: number;
  /** Share of batches that are mixed; default 1. */
  readonly probability?: number;
}
