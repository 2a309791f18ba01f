import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
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

function killAll(): void {
  for (const name of names)
    for (const pid of run('ip', 'netns', 'pids', name).out.split('\n'))
      if (/^\d+$/.test(pid)) run('kill', '-KILL', pid);
}

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
  // Called with an address and the words of a command, which a shell is to read.
  writeFileSync(agent, `#!/bin/sh\nshift\nexec ${within(second, []).map(quoted).join(' ')} sh -c "$*"\n`);
  chmodSync(agent, 0o755);
  return {
    addresses: [`${network}.1`, `${network}.2`],
    onFirst: (command) => within(first, command),
    agent,
    setLink: (state) => must('ip', '-n', first, 'link', 'set', device, state),
    killAll,
  };
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
