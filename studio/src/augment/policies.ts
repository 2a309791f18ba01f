/** Policies as a form shows them, and the text that names what was chosen, as `augment` of training takes it. */

export interface Control {
  readonly name: string;
  readonly label: string;
  readonly usual: number | string;
  readonly from?: number;
  readonly to?: number | ((values: Values) => number);
  readonly step?: number;
  readonly choices?: readonly string[];
}

export type Values = Readonly<Record<string, number | string>>;

export interface PolicySettings {
  readonly kind: string;
  /** What was changed, by kind and name. */
  readonly values: Values;
  readonly flip: boolean;
  readonly erase: number;
  readonly cutmix: number;
  readonly mixup: number;
  readonly size: number;
  readonly seed: number;
}

interface Policy {
  readonly kind: string;
  readonly label: string;
  readonly says: string;
  readonly controls: readonly Control[];
  readonly text: (values: Values) => string;
}

export const scales = ['torchvision', 'paper', 'timm', 'timm-increasing'] as const;
export const largestOf = (scale: unknown): number => (String(scale).startsWith('timm') ? 10 : 30);

/** Operations that take a magnitude, and those that take none. */
export const graded = [
  ...['rotate', 'shear-x', 'shear-y', 'translate-x', 'translate-y', 'brightness', 'contrast', 'color'],
  ...['hue', 'sharpness', 'posterize', 'solarize', 'solarize-add', 'blur'],
] as const;
export const ungraded = ['auto-contrast', 'equalize', 'invert', 'grayscale'] as const;

const scale: Control = { name: 'scale', label: 'What magnitudes mean', usual: 'torchvision', choices: scales };
const at = (values: Values, { name, usual }: Control): number | string => values[name] ?? usual;

const n: Control = { name: 'n', label: 'N, operations an image', usual: 2, from: 1, to: 8, step: 1 };
const m: Control = {
  name: 'm',
  label: 'M, magnitude',
  usual: 9,
  from: 0,
  to: ({ scale: chosen }) => largestOf(chosen),
  step: 1,
};
const severity: Control = { name: 'severity', label: 'Severity', usual: 3, from: 1, to: 10, step: 1 };
const width: Control = { name: 'width', label: 'Chains', usual: 3, from: 1, to: 8, step: 1 };
const depth: Control = { name: 'depth', label: 'Operations a chain (0: 1 to 3)', usual: 0, from: 0, to: 6, step: 1 };
const learned: Control = {
  name: 'policy',
  label: 'Found on',
  usual: 'imagenet',
  choices: ['imagenet', 'cifar10', 'svhn'],
};
const timmM: Control = { name: 'm', label: 'Magnitude', usual: 9, from: 0, to: 10, step: 1 };
const spread: Control = { name: 'mstd', label: 'Spread of the magnitude', usual: 0.5, from: 0, to: 3, step: 0.5 };
const increasing: Control = {
  name: 'inc',
  label: 'Magnitudes',
  usual: 'increasing',
  choices: ['increasing', 'as published'],
};
const share: Control = {
  name: 'share',
  label: 'Share of images, each operation',
  usual: 0.5,
  from: 0.1,
  to: 1,
  step: 0.1,
};
const own = graded.map((op): Control => ({ name: op, label: op, usual: 0, from: 0, to: 30, step: 1 }));

const plain = (kind: string, says: string): Policy => ({ kind, label: kind, says, controls: [], text: () => kind });

export const policies: readonly Policy[] = [
  {
    kind: 'randaugment',
    label: 'RandAugment',
    says: 'N operations drawn for each image, all with magnitude M.',
    controls: [n, m, scale],
    text: (values) => {
      const chosen = at(values, scale);
      const most = Math.min(Number(at(values, m)), largestOf(chosen));
      return `randaugment:n=${at(values, n)},m=${most}${chosen === 'torchvision' ? '' : `,scale=${chosen}`}`;
    },
  },
  { ...plain('trivial', 'One operation of any strength for each image.'), label: 'TrivialAugment' },
  {
    kind: 'auto',
    label: 'AutoAugment',
    says: 'One of 25 pairs of operations that a search found.',
    controls: [learned],
    text: (values) => `auto:${at(values, learned)}`,
  },
  {
    kind: 'augmix',
    label: 'AugMix',
    says: 'Several altered copies, blended with the image.',
    controls: [severity, width, depth],
    text: (values) => {
      const chains = Number(at(values, depth));
      const words = `augmix:severity=${at(values, severity)},width=${at(values, width)}`;
      return chains > 0 ? `${words},depth=${chains}` : words;
    },
  },
  {
    kind: 'timm',
    label: "timm's RandAugment",
    says: 'As recipes of timm write it.',
    controls: [timmM, n, spread, increasing],
    text: (values) => {
      const noise = Number(at(values, spread));
      return (
        `timm:rand-m${at(values, timmM)}-n${at(values, n)}${noise > 0 ? `-mstd${noise}` : ''}` +
        (at(values, increasing) === 'increasing' ? '-inc1' : '')
      );
    },
  },
  {
    kind: 'ops',
    label: 'Your own',
    says: 'Each operation with a magnitude of its own; 0 leaves it out.',
    controls: [share, ...own],
    text: (values) => {
      const used = own.filter((one) => Number(at(values, one)) > 0);
      const often = Number(at(values, share));
      const words = used.map((one) => `${one.name}=${at(values, one)}${often < 1 ? `@${often}` : ''}`);
      return words.length === 0 ? 'basic' : `ops:${words.join(',')}`;
    },
  },
  plain('basic', 'Random crops, half of them mirrored.'),
  plain('light', 'Crops of half the image or more, half of them mirrored.'),
  plain('weak', "FixMatch's weak view: shifted, half of them mirrored."),
  plain('strong', "FixMatch's strong view: shifted, two strong operations, a box erased."),
  plain('none', 'As the model is evaluated.'),
];

export const policyOf = (kind: string): Policy => policies.find((one) => one.kind === kind)!;

/** The values of one policy: each keeps its own. */
export const valuesOf = ({ kind, values }: Pick<PolicySettings, 'kind' | 'values'>): Values =>
  Object.fromEntries(
    policyOf(kind).controls.flatMap(({ name }) => {
      const value = values[`${kind} ${name}`];
      return value === undefined ? [] : [[name, value]];
    }),
  );

export const policyText = (settings: Pick<PolicySettings, 'kind' | 'values'>): string =>
  policyOf(settings.kind).text(valuesOf(settings));
