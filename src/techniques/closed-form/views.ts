/** What closed forms know of images before they know labels: components and neighbours, worked out once. */
import type { Engine } from '../../engine/engine.js';
import type { Features } from '../features.js';
import { principalComponents, type Components } from './components.js';
import { affinitiesOf, type Affinities } from './neighbours.js';
import { powerTransform } from './power-transform.js';

/** Components of the mixtures: 256 at most. */
const mostComponents = 256;
/** Neighbours in the graph. */
const neighbours = 10;

/** Images as one network sees them, or several side by side. */
export interface Images {
  readonly components: Components;
  readonly affinities: Affinities;
  /** Root mean square of a number of the transformed features. */
  readonly deviation: number;
}

/** Looks at the same images in several ways; each is worked out when it is first wanted. */
export interface Views {
  /** Networks, by their number. */
  readonly networks: number;
  /** Whether a network has layers before its last one. */
  readonly hasEarlier: boolean;
  /** Some networks, by their place, with all of their layers or their last ones alone. */
  of(networks: readonly number[], layers: 'all' | 'last'): Promise<Images>;
  /** The same of some of the images, by row. */
  only(rows: readonly number[]): Views;
}

/** Layers of each network, of all images; the last layer of a network comes first. */
type Networks = readonly (readonly Features[])[];

/** Views that are right for any choice of images: those of some are worked out from the features of these. */
export const exactViews = (engine: Engine, networks: Networks): Views => ({
  ...described(networks),
  of: remembered((layers) => lookAt(engine, layers), networks),
  only: (rows) => exactViews(engine, partOf(networks, rows)),
});

/**
 * Views for many calls with the same images: those of some images are a part of those of all, which costs
 * next to nothing. Their components are a little correlated then, as directions were found with the others.
 */
export function keptViews(engine: Engine, networks: Networks): Views {
  const of = remembered((layers) => lookAt(engine, layers), networks);
  return {
    ...described(networks),
    of,
    only: (rows) => partially(described(networks), of, rows),
  };
}

const described = (networks: Networks): Pick<Views, 'networks' | 'hasEarlier'> => ({
  networks: networks.length,
  hasEarlier: networks.some(({ length }) => length > 1),
});

const partially = (
  about: Pick<Views, 'networks' | 'hasEarlier'>,
  whole: Views['of'],
  rows: readonly number[],
): Views => {
  const parts = new Map<Images, Images>();
  const of: Views['of'] = async (networks, layers) => {
    const images = await whole(networks, layers);
    const part = parts.get(images) ?? restricted(images, rows);
    parts.set(images, part);
    return part;
  };
  return { ...about, of, only: (some) => partially(about, of, some) };
};

/** Each is looked at once. */
function remembered(look: (layers: readonly Features[]) => Promise<Images>, networks: Networks): Views['of'] {
  const seen = new Map<string, Promise<Images>>();
  return (some, which) => {
    const beside = some.flatMap((network) => networks[network]!.slice(0, which === 'last' ? 1 : undefined));
    const key = `${some.join()} ${beside.length}`;
    const known = seen.get(key) ?? look(beside);
    seen.set(key, known);
    return known;
  };
}

async function lookAt(engine: Engine, layers: readonly Features[]): Promise<Images> {
  const rows = powerTransform(layers);
  const components = await principalComponents(engine, rows, mostComponents);
  const { scores, size } = components;
  const affinities = await affinitiesOf(engine, { features: scores, size }, neighbours);
  return { components, affinities, deviation: 1 / Math.sqrt(rows.size) };
}

/** Features of some images. */
const partOf = (networks: Networks, rows: readonly number[]): Networks =>
  networks.map((layers) => layers.map(({ features, size }) => ({ features: rowsOf(features, size, rows), size })));

function rowsOf(values: Float32Array, size: number, rows: readonly number[]): Float32Array {
  const some = new Float32Array(rows.length * size);
  rows.forEach((row, i) => some.set(values.subarray(row * size, (row + 1) * size), i * size));
  return some;
}

function restricted({ components, affinities, deviation }: Images, rows: readonly number[]): Images {
  const size = Math.min(components.size, rows.length - 1);
  const scores = rowsOf(components.scores, components.size, rows);
  const narrow = size === components.size ? scores : columnsOf(scores, components.size, size);
  const variances = new Float64Array(size);
  narrow.forEach((x, at) => (variances[at % size]! += (x * x) / rows.length));
  return { components: { scores: narrow, size, variances }, affinities: amongst(affinities, rows), deviation };
}

/** The first `size` of `width` columns. */
const columnsOf = (values: Float32Array, width: number, size: number): Float32Array =>
  values.filter((_, at) => at % width < size);

/** Edges between some of the images. */
function amongst({ starts, columns, weights }: Affinities, rows: readonly number[]): Affinities {
  const place = new Map(rows.map((row, i) => [row, i]));
  const some = new Int32Array(rows.length + 1),
    to: number[] = [],
    kept: number[] = [];
  rows.forEach((row, i) => {
    for (let entry = starts[row]!; entry < starts[row + 1]!; entry++) {
      const column = place.get(columns[entry]!);
      if (column === undefined) continue;
      to.push(column);
      kept.push(weights[entry]!);
    }
    some[i + 1] = to.length;
  });
  return { starts: some, columns: Int32Array.from(to), weights: Float64Array.from(kept) };
}
