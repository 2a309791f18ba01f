import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pupil } from '../testing/command-line.js';
import { mpirun, withoutMpirun, type Ended } from '../testing/mpi.js';
import { assertClose, linesOf, lossesOf, photos, training } from '../testing/ranks-training.js';
import { twoHosts, withoutTwoHosts } from '../testing/two-hosts.js';

/** Ranks on two hosts that are joined by a network: made of namespaces on this machine. */

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

test(
  'a link that is cut in the middle of a training ends the ranks on both hosts; it goes on with more ranks',
  { skip: withoutMpirun || withoutTwoHosts, timeout: 14 * 60_000 },
  async (t) => {
    const root = await photos(t);
    const hosts = twoHosts(t, root);
    const [data, one, several, logs] = ['data', 'one', 'several', 'logs'].map((name) => join(root, name)) as [
      string,
      string,
      string,
      string,
    ];
    assert.equal((await pupil('train', data, ...training(20), '--out', one)).code, 0);

    mkdirSync(logs);
    let launcher: Ended | undefined;
    void mpirun(2, ['train', data, ...training(20), '--out', several], {
      hosts,
      logs,
      environment: { PUPIL_MPI_TIMEOUT: '20' },
    }).then((ended) => (launcher = ended));
    const metrics = join(several, 'metrics.jsonl');
    const epochs = (): number =>
      existsSync(metrics) ? linesOf(several).filter(({ type }) => type === 'evaluation').length : 0;
    while (epochs() < 3 && !launcher) await pause();
    assert.equal(launcher, undefined, launcher?.err);

    hosts.setLink('down');
    const cut = performance.now();
    const codes = [0, 1].map((rank) => join(logs, `${rank}.code`));
    while (!codes.every((file) => existsSync(file) && readFileSync(file, 'utf8') !== '')) await pause();
    t.diagnostic(`all ranks had ended ${((performance.now() - cut) / 1000).toFixed(1)} s after the cut`);
    for (const [rank, file] of codes.entries()) {
      const said = readFileSync(join(logs, `${rank}.err`), 'utf8');
      assert.notEqual(readFileSync(file, 'utf8').trim(), '0', said);
      assert.match(said, /^pupil: the exchange between 2 ranks timed out: for 20 s .* a connection was cut/m);
    }
    // The launcher itself waits on, for its daemon on the other host; somebody ends it.
    hosts.killAll();
    while (!launcher) await pause();

    hosts.setLink('up');
    const resumed = await mpirun(3, ['train', '--resume', several], { hosts });
    assert.equal(resumed.code, 0, resumed.err);
    assert.match(resumed.err, /continuing after step/);
    assertClose(lossesOf(several), lossesOf(one), 1e-3);
  },
);
