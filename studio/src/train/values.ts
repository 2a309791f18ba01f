/** What was filled in in the form of a training. */
import { signal } from '@preact/signals';
import type { RunRequest } from '../protocol.ts';
import type { Value } from './field.tsx';

export type Command = 'learn' | 'train';

export const command = signal<Command>('learn');
/** Of each command. */
export const values = signal<Readonly<Record<Command, Readonly<Record<string, Value>>>>>({
  learn: { minutes: 5 },
  train: { mode: 'probe' },
});

/** What the form asks for now. */
export const asked = (): RunRequest => ({ command: command.value, options: values.value[command.value] });

export function setValue(name: string, value: Value | undefined): void {
  const { [name]: _, ...others } = values.value[command.value];
  values.value = { ...values.value, [command.value]: value === undefined ? others : { ...others, [name]: value } };
}

const augmenting = ['augment', 'flip', 'erase', 'cutmix', 'mixup'];

/** Fills in how images are augmented. Only fine-tuning and training from scratch do that. */
export function useForTraining(augmentation: Readonly<Record<string, Value>>): void {
  const { mode, ...others } = values.value.train;
  const kept = Object.entries(others).filter(([name]) => !augmenting.includes(name));
  command.value = 'train';
  values.value = {
    ...values.value,
    train: { ...Object.fromEntries(kept), mode: mode === 'scratch' ? mode : 'finetune', ...augmentation },
  };
}
