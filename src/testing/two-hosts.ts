import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/**
 * Two hosts on one machine: network namespaces with names and addresses of their own, joined by one link. Processes
 * in them see each other over TCP alone.
 */
export interface TwoHosts {
  readonly addresses: readonly [first: string, second: string];
  /** Makes a command run on the first host. */
  onFirst(command: readonly string[]): string[];
  /** What MPI starts its ranks on the other host by, in place of ssh. */
  readonly agent: string;
  /** Cuts the link, or joins it again. */
  setLink(state: 'up' | 'down'): void;
  /** How many processes of this program run on the first host. */
  countOnFirst(program: string): number;
  /** Kills the second host as a loss of power does: it goes silent, so that no connection is closed or reset. */
  killSecond(): void;
  /** Ends what runs on either host. */
  killAll(): void;
}

const names = ['a', 'b'].map((name) => `pupil-${process.pid}-${name}`) as [string, string];
const network = '10.77.0',
  device = 'veth0';

const run = (...argv: readonly string[]): { readonly ok: boolean; readonly out: string } => {
  const { status, stdout, stderr, error } = spawnSync(argv[0]!, argv.slice(1), { encoding: 'utf8' });
  return { ok: status === 0, out: error ? error.message : stdout + stderr };
};

/** Throws where a command fails. */
function must(...argv: readonly string[]): void {
  const { ok, out } = run(...argv);
  if (!ok) throw new Error(`${argv.join(' ')}: ${out}`);
}

/** A command in a namespace, under a host name of its own. */
const within = (name: string, command: readonly string[]): string[] =>
  `ip netns exec ${name} unshare --uts sh -c`.split(' ').concat([`hostname ${name} && exec "$@"`, 'sh', ...command]);

const processesOn = (name: string): string[] =>
  run('ip', 'netns', 'pids', name)
    .out.split('\n')
    .filter((pid) => /^\d+$/.test(pid));

/** Kills all processes of a host; whether there were any. */
function killOn(name: string): boolean {
  const pids = processesOn(name);
  if (pids.length > 0) run('kill', '-KILL', ...pids);
  return pids.length > 0;
}

/** Undefined where the process is gone. */
function programOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0];
  } catch {
    return undefined;
  }
}

const killAll = (): void => names.forEach(killOn);

function remove(): void {
  killAll();
  for (const name of names) run('ip', 'netns', 'del', name);
}

function create(): void {
  const [first, second] = names;
  for (const name of names) must('ip', 'netns', 'add', name);
  must(...`ip link add ${device} netns ${first} type veth peer name ${device} netns ${second}`.split(' '));
  for (const [i, name] of names.entries()) {
    must(...`ip -n ${name} addr add ${network}.${i + 1}/24 dev ${device}`.split(' '));
    for (const each of ['lo', device]) must(...`ip -n ${name} link set ${each} up`.split(' '));
    must(...within(name, ['true']));
  }
}

/** Why tests of two hosts are skipped, or false where they can be made. */
export const withoutTwoHosts: string | false = (() => {
  if (!run('ip', '-V').ok) return 'needs ip (iproute2)';
  try {
    create();
    return false;
  } catch (error) {
    return `hardware: no network namespaces can be made here (${(error as Error).message.trim()})`;
  } finally {
    remove();
  }
})();

/** Makes the hosts; `folder` gets the script that starts processes on the second. */
export function twoHosts(t: TestContext, folder: string): TwoHosts {
  const [first, second] = names;
  t.after(remove);
  create();
  const agent = join(folder, 'agent.sh');
  // Called with an address and the words of a command, which a shell is to read. Like ssh it runs on the first host,
  // and does not hear that the second was killed.
  const words = within(second, []).map(quoted).join(' ');
  const lines = ['shift', `${words} sh -c "$*"`, 'code=$?', '[ $code = 137 ] && exec sleep 600', 'exit $code'];
  writeFileSync(agent, ['#!/bin/sh', ...lines, ''].join('\n'));
  chmodSync(agent, 0o755);
  const setLink = (state: 'up' | 'down', end = first): void => must('ip', '-n', end, 'link', 'set', device, state);
  return {
    addresses: [`${network}.1`, `${network}.2`],
    onFirst: (command) => within(first, command),
    agent,
    setLink: (state) => setLink(state),
    countOnFirst: (program) => processesOn(first).filter((pid) => programOf(pid) === program).length,
    killSecond() {
      setLink('down', second);
      if (!killOn(second)) throw new Error('nothing ran on the second host');
    },
    killAll,
  };
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
