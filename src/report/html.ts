/** Text that is known to be HTML. A class: nothing that is read from a file can be one. */
export class Html {
  constructor(readonly html: string) {}
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
 * their Unicode pictures, those that turn the direction of writing by nothing.
 */
export const escapeHtml = (text: string): string =>
  text
    .replace(/[&<>"']/g, (character) => entities[character]!)
    .replace(/[\u0000-\u001f]/g, (character) => String.fromCharCode(0x2400 + character.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '');

type Part = string | number | Html | undefined | readonly Part[];

/** Whatever its type says: values of files may be anything. */
const render = (part: unknown): string => {
  if (part === undefined) return '';
  if (part instanceof Html) return part.html;
  if (Array.isArray(part)) return part.map(render).join('');
  return escapeHtml(typeof part === 'string' ? part : JSON.stringify(part));
};

/** A template whose parts are escaped unless they are themselves `Html`. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  new Html(strings.map((text, i) => text + render(parts[i])).join(''));

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
export const trusted = (text: string): Html => new Html(text);
