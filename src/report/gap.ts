import type { GapMap, Point, PolicyGap } from '../artifact/gap-formats.js';
import type { Block, Cell, Drawing, Page, Section, Words } from './blocks.js';
import { configuration } from './configuration.js';
import { percent, short, duration } from './format.js';
import type { Figure } from './html.js';
import { fileName } from './places.js';
import type { Dots, Panel } from './scatter.js';

/** A gap to be shown. */
export interface GapView {
  readonly title: string;
  readonly train: { readonly path: string; readonly count: number; readonly found: number };
  readonly real: { readonly path: string; readonly count: number; readonly found: number };
  readonly model: string;
  readonly neighbours: number;
  readonly draws: number;
  /** None first. */
  readonly policies: readonly PolicyGap[];
  /** Coverage of as many images from the real distribution. */
  readonly expectedCoverage: number;
  /** Half of the training images against the other. */
  readonly halves:
    | { readonly coverage: number; readonly density: number; readonly mmd: number; readonly interval: number }
    | undefined;
  readonly least: readonly { readonly path: string; readonly score: number }[];
  readonly map: GapMap;
  readonly seconds: number;
  /** run.json */
  readonly config: object;
}

const colours = { real: '#2b6fb5', train: '#e07b00', augmented: '#b5519c' } as const;

/** A share that may be below 0. */
export const signedPercent = (share: number): string =>
  `${share < 0 ? '\u2212' : ''}${Math.abs(100 * share).toFixed(Math.abs(share) < 0.0995 ? 1 : 0)}%`;

/** What a policy does to the gap, in words: `closes 34% ± 8`. */
export function verdict({
  closes,
  closesInterval,
  mmd,
  interval,
}: Pick<PolicyGap, 'closes' | 'closesInterval' | 'mmd' | 'interval'>): string {
  if (closes === null) return mmd > interval ? 'moves away' : 'already similar';
  const plus = ` \u00b1 ${(100 * closesInterval!).toFixed(closesInterval! < 0.0995 ? 1 : 0)}`;
  if (Math.abs(closes) < closesInterval!) return `no clear change (${signedPercent(closes)}${plus})`;
  return closes < 0 ? `widens it by ${signedPercent(-closes)}${plus}` : `closes ${signedPercent(closes)}${plus}`;
}

/** The policy that closes most, if any closes some beyond its interval. */
export function bestPolicy(policies: readonly PolicyGap[]): PolicyGap | undefined {
  return policies
    .filter(({ closes, closesInterval }) => closes !== null && closes > closesInterval!)
    .sort((a, b) => b.closes! - a.closes!)[0];
}

/** One map, once for each policy. */
export function gapDrawing({ map, policies, train, real }: GapView): Drawing {
  const dots = (points: readonly Point[], colour: string, radius: number, opacity: number): Dots => ({
    points,
    colour,
    radius,
    opacity,
  });
  const rows = policies.map((row, i): Panel => {
    const augmented = map.augmented[row.augment];
    return {
      title: row.augment,
      subtitle:
        'coverage ' +
        `${percent(row.coverage)}${i === 0 ? (row.closes === null ? ', already similar' : '') : `, ${verdict(row)}`}`,
      dots: [
        dots(map.train, colours.train, 2.4, augmented ? 0.5 : 0.8),
        ...(augmented ? [dots(augmented, colours.augmented, 2.4, 0.7)] : []),
        dots(map.real, colours.real, 2.4, 0.8),
      ],
      rings: map.marked.map((index) => map.real[index]!),
    };
  });
  const shown = (count: number, all: number): string => (count < all ? `${count} of ${all}` : String(count));
  return {
    kind: 'panels',
    title: 'Training images and real ones, as the model sees them',
    legend: [
      { name: `training, ${shown(map.train.length, train.count)}`, colour: colours.train },
      ...(policies.length > 1 ? [{ name: 'the same augmented', colour: colours.augmented }] : []),
      { name: `real, ${shown(map.real.length, real.count)}`, colour: colours.real },
      ...(map.marked.length > 0 ? [{ name: 'least covered', ring: true as const }] : []),
    ],
    panels: rows,
    notes: [
      'UMAP of all images together. Near means similar; sizes of clusters and distances between them mean little.',
    ],
  };
}

/** The page of a gap: what closes it, the map, the images to label next. */
export function gapPage(view: GapView): Page {
  const { title, policies, train, real, model, config } = view;
  const best = bestPolicy(policies);
  const verdictOfAll: Words[] =
    policies[0]!.closes === null
      ? ['They are as similar as chance allows for this number of images: there is no gap to close.']
      : best
        ? [{ strong: best.augment }, ` closes most of the gap: ${signedPercent(best.closes!)}.`]
        : ['No policy closes a significant part of the gap.'];
  const what = `How far the training images of ${train.path} are from ${real.path}, in the features of ` + `${model}. `;
  return {
    title,
    head: [
      { type: 'text', text: [what, ...verdictOfAll] },
      { type: 'figures', figures: figuresOf(view) },
    ],
    sections: [
      { title: 'Policies', blocks: [policyTable(view)] },
      { title: 'Map', blocks: [{ type: 'drawing', drawing: gapDrawing(view) }] },
      ...labelNext(view),
      configuration(config),
    ],
  };
}

function figuresOf({ policies, train, real, expectedCoverage, seconds }: GapView): Figure[] {
  const none = policies[0]!,
    best = bestPolicy(policies);
  const figures: Figure[] = [
    [
      'Coverage',
      percent(none.coverage),
      `of the real images, not augmented; ${percent(expectedCoverage)} without a gap`,
    ],
  ];
  if (best) {
    const interval = (100 * best.closesInterval!).toFixed(0);
    figures.push(['Closed', signedPercent(best.closes!), `\u00b1 ${interval}, by ${best.augment}`]);
  }
  const sampled = ({ found, count }: { readonly found: number; readonly count: number }): string =>
    found > count ? `sampled from ${short(found)}` : '';
  figures.push(
    ['Training images', short(train.count), sampled(train)],
    ['Real images', short(real.count), sampled(real)],
    ['Time', duration(seconds)],
  );
  return figures;
}

function policyTable({ policies, neighbours, draws, expectedCoverage, halves }: GapView): Block {
  const best = bestPolicy(policies);
  // As many decimals in all rows, so that they can be compared: two digits of the smallest
  // interval.
  const smallest = Math.min(...policies.map(({ interval }) => interval));
  const decimals = smallest > 0 ? Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(smallest)))) : 4;
  const number = (value: number): string => value.toFixed(decimals).replace('-', '\u2212');
  const withInterval = ({ mmd, interval }: { readonly mmd: number; readonly interval: number }): string =>
    `${number(mmd)} \u00b1 ${number(interval)}`;
  const row = (name: Cell, coverage: number, density: number, distance: string, gap = ''): Cell[] => [
    ...[name, percent(coverage), density.toFixed(2)],
    ...[distance, gap],
  ];
  const rows = policies.map((policy, i) => {
    const { augment, coverage, density } = policy;
    const name = policy === best ? { strong: augment } : augment;
    return row(name, coverage, density, withInterval(policy), i === 0 ? '\u2013' : verdict(policy));
  });
  // Not policies, but what their numbers are read against.
  const aside = [row('expected without a gap', expectedCoverage, 1, '0')];
  if (halves !== undefined)
    aside.push(
      row('one half of the training images against the other', halves.coverage, halves.density, withInterval(halves)),
    );
  return {
    type: 'table',
    columns: [
      { title: 'Policy', kind: 'value' },
      { title: 'Coverage', kind: 'number' },
      { title: 'Density', kind: 'number' },
      { title: 'Kernel distance', kind: 'number' },
      { title: 'Gap', kind: 'number' },
    ],
    rows: [...rows, ...aside],
    aside: aside.map((_, i) => rows.length + i),
    note:
      'Coverage: the share of real images that have a training image at least as near as their k-th nearest real ' +
      `image (k = ${neighbours}). Density: in how many of these neighbourhoods a training image lies, divided by k ` +
      '(Naeem et al. 2020). Kernel distance: squared MMD with the kernel of KID (Bi\u0144kowski et al. 2018) and its ' +
      '95% interval; 0 means the same distribution. Gap: how much smaller the kernel distance is than without ' +
      `augmentation. Means over ${draws} augmented ${draws === 1 ? 'copy' : 'copies'} of every training image.`,
  };
}

/** The real images that training images are least like. */
const labelNext = ({ least }: GapView): Section[] =>
  least.length === 0
    ? []
    : [
        {
          title: 'Label these next',
          blocks: [
            {
              type: 'text',
              text:
                'These real images are least like your training images. The number is the distance to the nearest ' +
                'training image, divided by the distance to the k-th nearest real image: above 1, no training image ' +
                'is similar. The whole list is in least-covered.csv.',
            },
            {
              type: 'photos',
              images: least.map(({ path, score }) => ({ path, lines: [{ strong: score.toFixed(2) }, fileName(path)] })),
            },
          ],
        },
      ];
