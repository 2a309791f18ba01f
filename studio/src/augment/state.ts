/** What the section shows: one operation, or draws of a policy, on some images. */
import { computed, effect, signal, untracked } from '@preact/signals';
import { route } from '../route.ts';
import { images as allImages, nameOf, present } from '../state/folder.ts';
import { classes, markOf } from '../state/labels.ts';
import { classOf } from '../state/marks.ts';
import { returned } from '../state/requests.ts';
import { draw } from './artist.ts';
import type { Asked, AskedImage } from './asked.ts';
import { graded, policyText, type PolicySettings } from './policies.ts';

const labelOf = (id: number): string | null => classOf(markOf(id));

export interface OpSettings {
  /** '' is every operation. */
  readonly op: string;
  readonly scale: string;
  readonly magnitude: number;
}

export const mode = signal<'op' | 'policy'>('policy');
export const opSettings = signal<OpSettings>({ op: 'rotate', scale: 'torchvision', magnitude: 9 });
export const policySettings = signal<PolicySettings>({
  kind: 'randaugment',
  values: {},
  flip: true,
  erase: 0,
  cutmix: 0,
  mixup: 0,
  size: 224,
  seed: 0,
});

/** Images that are shown, and draws of each. */
const shownImages = 4,
  draws = 5,
  batches = 3;
const page = signal(0);

const labelled = computed(() => present.value.filter(({ id }) => labelOf(id) !== null));
export const isMixed = computed(
  () => mode.value === 'policy' && policySettings.value.cutmix + policySettings.value.mixup > 0,
);
/** Mixing shows what becomes of labels. */
export const canMix = computed(() => new Set(labelled.value.map(({ id }) => labelOf(id))).size > 1);

/** Of each class in turn, as far as there are classes. */
const inTurn = computed(() => {
  const places = new Map<string | null, number>();
  return (isMixed.value ? labelled.value : present.value)
    .map(({ id }) => {
      const place = places.get(labelOf(id)) ?? 0;
      places.set(labelOf(id), place + 1);
      return { id, place };
    })
    .sort((a, b) => a.place - b.place)
    .map(({ id }) => id);
});

export const chosen = computed<readonly number[]>(() => {
  const all = inTurn.value;
  if (all.length === 0) return [];
  const first = (page.value * shownImages) % all.length;
  return [...new Set([...all.slice(first, first + shownImages), ...all])].slice(0, Math.min(shownImages, all.length));
});

export const otherImages = (): void => void page.value++;
export const drawAgain = (): void => {
  policySettings.value = { ...policySettings.value, seed: policySettings.value.seed + 1 };
};

export const asked = computed<Asked>(() => {
  if (mode.value === 'op') {
    const { op, scale, magnitude } = opSettings.value;
    const isGraded = (graded as readonly string[]).includes(op);
    return op === '' ? { kind: 'ops', scale } : { kind: 'op', op, scale, magnitude: isGraded ? magnitude : undefined };
  }
  const { flip, erase, size, seed, ...settings } = policySettings.value;
  const mixing = canMix.value ? { cutmix: settings.cutmix, mixup: settings.mixup } : { cutmix: 0, mixup: 0 };
  const count = mixing.cutmix + mixing.mixup > 0 ? batches : draws;
  return { kind: 'policy', policy: policyText(settings), size, seed, flip, erase, count, ...mixing };
});

/** Draws anew whatever changes, as long as the section is open, and when the studio is there again. */
effect(() => {
  void returned.value;
  if (route.value.section !== 'augment' || allImages.value.length === 0 || chosen.value.length === 0) return;
  const images = chosen.value.map((id): AskedImage => {
    const label = labelOf(id);
    return { id, name: nameOf(id), label: label === null ? -1 : classes.value.indexOf(label) };
  });
  const wanted = { asked: asked.value, images, classes: classes.value };
  untracked(() => draw(wanted));
});
