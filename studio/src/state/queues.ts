/** The questions of the check, as the server has them. */
import { signal } from '@preact/signals';
import type { CheckDecision, CheckQueues } from '../protocol.ts';
import { get, inOrder, post } from './requests.ts';

export const queues = signal<CheckQueues>({ labels: [], alike: [], strangers: [] });

const hear = inOrder<CheckQueues>((now) => (queues.value = now));

export const loadQueues = (): Promise<void> => hear(get('/check'));

export const decide = (decision: CheckDecision): Promise<void> => hear(post('/check', decision));
