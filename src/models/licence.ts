/** The licence of pretrained weights: where it stands, and how it travels. */
import type { BackboneSource } from './model.js';

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
