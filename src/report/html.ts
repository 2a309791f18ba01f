/** Text that is known to be HTML. */
export interface Html {
  readonly html: string;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Text as it must stand in an element or in a quoted attribute; control characters are shown by
 * their Unicode pictures.
 */
export const escapeHtml = (text: string): string =>
  text
    .replace(/[&<>"']/g, (character) => entities[character]!)
    .replace(/[\u0000-\u001f]/g, (character) => String.fromCharCode(0x2400 + character.charCodeAt(0)));

type Part = string | number | Html | undefined | readonly Part[];

const render = (part: Part): string => {
  if (part === undefined) return '';
  if (typeof part === 'string') return escapeHtml(part);
  if (typeof part === 'number') return String(part);
  return 'html' in part ? part.html : part.map(render).join('');
};

/** A template whose parts are escaped unless they are themselves `Html`. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html => ({
  html: strings.map((text, i) => text + render(parts[i])).join(''),
});

/** A number of a page with its name, and what it counts. */
export type Figure = readonly [name: string, value: string, detail?: string];

export const figureList = (figures: readonly Figure[]): Html =>
  html`<dl class="figures">
    ${figures.map(
      ([name, value, detail]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
          ${detail === undefined || detail === '' ? '' : html`<small>${detail}</small>`}
        </div>`,
    )}
  </dl>`;

/** A smaller line below, where there is something to say. */
export const small = (value: number | undefined, say: (value: number) => string): Html | undefined =>
  value === undefined ? undefined : html`<small>${say(value)}</small>`;

/** Marks text from a trusted place (our own style sheet, a rendered chart) as HTML. */
export const trusted = (text: string): Html => ({ html: text });
