import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launchedAs } from './launcher.js';

test('the rank comes from the launcher: Open MPI, MPICH, Slurm with either', () => {
  const openMpi = { OMPI_COMM_WORLD_RANK: '3', OMPI_COMM_WORLD_SIZE: '8', OMPI_COMM_WORLD_LOCAL_SIZE: '4' };
  assert.deepEqual(launchedAs(openMpi), { kind: 'open-mpi', rank: 3, size: 8, onThisMachine: 4 });
  const mpich = { PMI_RANK: '0', PMI_SIZE: '2', MPI_LOCALNRANKS: '1' };
  assert.deepEqual(launchedAs(mpich), { kind: 'pmi', rank: 0, size: 2, onThisMachine: 1 });
  const slurm = { PMIX_RANK: '5', SLURM_PROCID: '5', SLURM_STEP_NUM_TASKS: '6', SLURM_STEP_TASKS_PER_NODE: '3(x2)' };
  assert.deepEqual(launchedAs(slurm), { kind: 'pmi', rank: 5, size: 6, onThisMachine: 3 });
});

test('a process is alone without a launcher of MPI, as one of one, and as a task of Slurm that is no rank', () => {
  assert.equal(launchedAs({}), undefined);
  assert.equal(launchedAs({ OMPI_COMM_WORLD_RANK: '0', OMPI_COMM_WORLD_SIZE: '1' }), undefined);
  assert.equal(launchedAs({ SLURM_PROCID: '1', SLURM_NTASKS: '4', SLURM_ARRAY_TASK_ID: '1' }), undefined);
  assert.equal(launchedAs({ PMI_RANK: 'x', PMI_SIZE: '4' }), undefined);
});
