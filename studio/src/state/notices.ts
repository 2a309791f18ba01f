/** What the page tells its person in passing, and what went wrong. */
import { signal } from '@preact/signals';
import { messageOf } from './requests.ts';

export interface Notice {
  readonly key: number;
  readonly text: string;
  readonly isError: boolean;
  /** What can be done about it, as long as it can be. */
  readonly action?: { readonly label: string; readonly run: () => void; readonly isOpen?: () => boolean } | undefined;
}

export const notices = signal<readonly Notice[]>([]);
let next = 0;

export const dismiss = (key: number): void => {
  notices.value = notices.value.filter((one) => one.key !== key);
};

function show(notice: Omit<Notice, 'key'>, seconds: number): void {
  const key = next++;
  const others = notices.value.filter(({ text }) => text !== notice.text);
  notices.value = [...others.slice(-2), { ...notice, key }];
  setTimeout(() => dismiss(key), seconds * 1000);
}

export const say = (text: string, action?: Notice['action']): void => show({ text, isError: false, action }, 6);

export const complain = (error: unknown, action?: Notice['action']): void =>
  show({ text: messageOf(error), isError: true, action }, 15);

/** Does it, and says what went wrong. */
export function attempt(work: () => Promise<unknown>): void {
  work().catch((error: unknown) => complain(error));
}
