/** The questions of the check, as the server has them. */
import { signal } from '@preact/signals';
import type { CheckDecision, CheckQueues } from '../protocol.ts';
import { get, post } from './requests.ts';

export const queues = signal<CheckQueues>({ labels: [], alike: [], strangers: [] });

export async function loadQueues(): Promise<void> {
  queues.value = await get<CheckQueues>('/check');
}

export async function decide(decision: CheckDecision): Promise<void> {
  queues.value = await post<CheckQueues>('/check', decision);
}
