import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pupil } from '../testing/command-line.js';
import { mpirun, withoutMpirun, type Ended } from '../testing/mpi.js';
import { assertClose, linesOf, lossesOf, photos, training } from '../testing/ranks-training.js';
import { twoHosts, withoutTwoHosts, type TwoHosts } from '../testing/two-hosts.js';

/** Ranks on two hosts that are joined by a network: made of namespaces on this machine. */

const options = { skip: withoutMpirun || withoutTwoHosts, timeout: 14 * 60_000 };

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

/** A training on both hosts. */
interface OnBoth {
  readonly hosts: TwoHosts;
  /** What one process made of the same training, and its run folder. */
  readonly one: string;
  readonly several: string;
  /** What a rank wrote, and its exit code: empty where it runs or was killed. */
  said(rank: number): string;
  codeOf(rank: number): string;
  /** Kills all that is left on both hosts, the launcher too. */
  clear(): Promise<void>;
}

/** Begins a training on several ranks of both hosts, and waits for its third evaluation. */
async function beginOnBoth(t: TestContext, ranks: number, patience: number): Promise<OnBoth> {
  const root = await photos(t);
  const hosts = twoHosts(t, root);
  const at = (name: string): string => join(root, name);
  const [data, one, several, logs] = [at('data'), at('one'), at('several'), at('logs')];
  assert.equal((await pupil('train', data, ...training(20), '--out', one)).code, 0);

  mkdirSync(logs);
  let launcher: Ended | undefined;
  const environment = { PUPIL_MPI_TIMEOUT: String(patience) };
  void mpirun(ranks, ['train', data, ...training(20), '--out', several], { hosts, logs, environment }).then(
    (ended) => (launcher = ended),
  );
  const metrics = join(several, 'metrics.jsonl');
  const epochs = (): number =>
    existsSync(metrics) ? linesOf(several).filter(({ type }) => type === 'evaluation').length : 0;
  while (epochs() < 3 && !launcher) await pause();
  assert.equal(launcher, undefined, launcher?.err);
  const read = (name: string): string => (existsSync(join(logs, name)) ? readFileSync(join(logs, name), 'utf8') : '');
  return {
    hosts,
    one,
    several,
    said: (rank) => read(`${rank}.err`),
    codeOf: (rank) => read(`${rank}.code`).trim(),
    async clear() {
      hosts.killAll();
      while (!launcher) await pause();
    },
  };
}

/** Goes on, which ends as the one process did. */
async function assertGoesOn({ several, one }: OnBoth, ranks: number, hosts?: TwoHosts): Promise<void> {
  const resumed = await mpirun(ranks, ['train', '--resume', several], hosts && { hosts });
  assert.equal(resumed.code, 0, resumed.err);
  assert.match(resumed.err, /continuing after step/);
  assertClose(lossesOf(several), lossesOf(one), 1e-3);
}

test('a link that is cut ends the ranks on both hosts; the training goes on with more ranks', options, async (t) => {
  const begun = await beginOnBoth(t, 2, 10);
  begun.hosts.setLink('down');
  const cut = performance.now();
  while ([0, 1].some((rank) => begun.codeOf(rank) === '')) await pause();
  t.diagnostic(`all ranks had ended ${((performance.now() - cut) / 1000).toFixed(1)} s after the cut`);
  for (const rank of [0, 1]) {
    assert.notEqual(begun.codeOf(rank), '0', begun.said(rank));
    assert.match(begun.said(rank), /^pupil: the exchange between 2 ranks timed out: for 10 s .* a connection was cut/m);
  }
  // The launcher itself waits on, for its daemon on the other host.
  await begun.clear();
  begun.hosts.setLink('up');
  await assertGoesOn(begun, 3, begun.hosts);
});

test('a host that is killed ends the ranks on the other in time; the training goes on there', options, async (t) => {
  const begun = await beginOnBoth(t, 4, 20);
  assert.equal(begun.hosts.countOnFirst(process.execPath), 2);
  begun.hosts.killSecond();
  const killed = performance.now();
  while (begun.hosts.countOnFirst(process.execPath) > 0) await pause();
  const seconds = (performance.now() - killed) / 1000;
  t.diagnostic(`all ranks of the other host had ended after ${seconds.toFixed(1)} s`);
  assert.ok(seconds < 40, `${seconds} s`);
  assert.match(begun.said(0), /^pupil: the exchange between 4 ranks timed out: for 20 s another rank .* it died, or/m);
  assert.deepEqual([begun.codeOf(2), begun.codeOf(3)], ['', '']);
  await begun.clear();
  await assertGoesOn(begun, 3);
});
