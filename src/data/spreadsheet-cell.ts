/**
 * Texts in cells of CSV files that people open in Excel: what would be taken for a formula there begins with an
 * apostrophe, which makes it a text (OWASP, CSV Injection:
 * https://owasp.org/www-community/attacks/CSV_Injection). Reading takes it away again.
 */

/** What begins a formula, full width too, and control characters; apostrophes before it, so that all come back. */
const formula = /^'*[=+\-@\uff1d\uff0b\uff0d\uff20\u0000-\u001f\u007f]/;
/** A number is none. */
const number = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;

export const guardedCell = (text: string): string => (formula.test(text) && !number.test(text) ? `'${text}` : text);

/** What was guarded. */
export const plainCell = (text: string): string => (text.startsWith("'") && formula.test(text) ? text.slice(1) : text);
