/** The techniques of a ladder: those that were tried, the one under way, those to come. */
import type { LadderFile, LadderPlan, Rung } from '../artifact/formats.js';
import type { RunStage } from './protocol.js';

/** Whether a rung belongs to a planned one: those of `rounds` are called by their number. */
export const isRungOf = (planned: string, rung: string): boolean =>
  rung === planned || (planned === 'rounds' && /^round\b/.test(rung));

const stageOf = (
  { name, what, selection, kept, skipped, reason, seconds }: Rung,
  result: string | undefined,
): RunStage => ({
  name,
  what: what ?? null,
  accuracy: selection?.top1 ?? null,
  state: skipped === true ? 'skipped' : name === result ? 'best' : kept ? 'kept' : 'no better',
  seconds: seconds ?? null,
  reason: reason ?? null,
});

/** `isGoing`: whether one of them is under way now. */
export function stagesOf(ladder: LadderFile | undefined, plan: LadderPlan | undefined, isGoing: boolean): RunStage[] {
  const tried = ladder?.rungs ?? [],
    planned = plan?.rungs ?? [];
  const last = planned.findLastIndex(({ name }) => tried.some((rung) => isRungOf(name, rung.name)));
  const waiting = planned.slice(last + 1).map(({ name, expectedSeconds, skip }): RunStage => ({
    name,
    what: null,
    accuracy: null,
    state: skip === undefined ? 'waiting' : 'skipped',
    seconds: skip === undefined ? expectedSeconds : null,
    reason: skip ?? null,
  }));
  const first = waiting.findIndex(({ state }) => state === 'waiting');
  return [
    ...tried.map((rung) => stageOf(rung, isGoing ? undefined : ladder?.kept)),
    ...waiting.map((stage, i): RunStage => (isGoing && i === first ? { ...stage, state: 'running' } : stage)),
  ];
}
