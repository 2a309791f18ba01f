/** The licence of pretrained weights: where it stands, and how it travels. */
import type { BackboneSource, Model } from './model.js';

/** Whether a text can be the name of a licence: one line without control characters. */
export const isLicence = (text: unknown): text is string =>
  typeof text === 'string' && /^[^\p{C}\p{Z}][^\p{C}]{0,99}$/u.test(text);

/** The licence in the heading of a model card (`license:` of its YAML, or `license_name:` of another one). */
export function cardLicence(card: string): string | undefined {
  const head = /^---\r?\n([\s\S]{0,100000}?)\r?\n---/.exec(card)?.[1] ?? '';
  const field = (name: string): string | undefined => {
    const found = new RegExp(`^${name}:[ \\t]*(['"]?)(.*?)\\1[ \\t]*$`, 'm').exec(head.replaceAll('\r', ''))?.[2];
    return isLicence(found) ? found : undefined;
  };
  const licence = field('license');
  return licence === 'other' ? (field('license_name') ?? licence) : licence;
}

/** The pretrained network that the provenance of a file names; undefined where it names none. */
export function backboneIn(provenance: Readonly<Record<string, unknown>> | undefined): BackboneSource | undefined {
  const { backbone, licence } = provenance ?? {};
  const name = typeof backbone === 'string' ? backbone : null;
  if (name === null && !isLicence(licence)) return undefined;
  return { name, licence: isLicence(licence) ? licence : null };
}

/** The teachers that the provenance of a file names; undefined where it names none. */
export function teachersIn(
  provenance: Readonly<Record<string, unknown>> | undefined,
): readonly BackboneSource[] | undefined {
  const { teachers } = provenance ?? {};
  if (!Array.isArray(teachers)) return undefined;
  const found = teachers.flatMap((one: unknown) =>
    typeof one === 'object' && one !== null
      ? (backboneIn({ ...one, backbone: (one as { name?: unknown }).name }) ?? [])
      : [],
  );
  return found.length === 0 ? undefined : found;
}

type Origins = Pick<Model, 'backbone' | 'teachers'>;

/** The pretrained networks behind a model, each once: its own first. */
export const originsOf = ({ backbone, teachers = [] }: Origins): readonly BackboneSource[] => [
  ...new Map([...(backbone ? [backbone] : []), ...teachers].map((one) => [JSON.stringify(one), one])).values(),
];

/** A model that learned from others: what these come from is told with it. */
export function taughtBy<M extends Origins>(model: M, teachers: readonly Origins[]): M {
  const own = model.backbone,
    [, ...others] = originsOf({
      backbone: own ?? { name: null, licence: null },
      teachers: [...(model.teachers ?? []), ...teachers.flatMap(originsOf)],
    });
  return { ...model, teachers: others.length === 0 ? undefined : others };
}
