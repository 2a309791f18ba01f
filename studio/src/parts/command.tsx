/** A line for a terminal, to be copied. */
import { attempt, say } from '../state/notices.ts';

/** A word for a shell. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

export function Command({ title, text }: { readonly title: string; readonly text: string }) {
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    say('Copied.');
  };
  return (
    <div class="command">
      <span>{title}</span>
      <code>
        {text.split(' ').map((word, i) => (
          <>
            {i > 0 && ' '}
            <span class="word">{word}</span>
          </>
        ))}
      </code>
      <button class="quiet" aria-label={`Copy: ${title}`} onClick={() => attempt(copy)}>
        Copy
      </button>
    </div>
  );
}
