/** `1 image`, `3 images`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** What would break a line, or is no character. */
const hidden = /[\p{Cc}\p{Cs}]/gu;

/** The first names of a list, and how many more there are; `count`: of all, where these are the first. */
export function list(names: readonly string[], limit = 5, count = names.length): string {
  const shown = names
    .slice(0, limit)
    .map((name) =>
      name === '' ? "''" : shortened(name.replaceAll(hidden, (part) => JSON.stringify(part).slice(1, -1))),
    )
    .join(', ');
  return count > limit ? `${shown} and ${count - limit} more` : shown;
}

/** A long text without its middle. */
const shortened = (text: string): string => (text.length > 400 ? `${text.slice(0, 250)}...${text.slice(-100)}` : text);
