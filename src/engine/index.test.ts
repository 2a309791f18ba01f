import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { PupilError } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph } from '../graph/graph.js';
import { withoutDnnl } from '../testing/onednn.js';
import { openEngine, type EngineRequest } from './index.js';
import { advice } from './onednn/library/advice.js';

/** A graph with one op that has no fast form in oneDNN's engine. */
function diagonal(): Graph {
  const builder = new GraphBuilder('diagonal'),
    x = builder.input('x', 'float32', [1, 4, 4]);
  builder.outputs({ y: builder.op('Einsum', [x], { equation: 'bii->bi' }, { name: 'up.1' }) });
  return builder.build();
}

async function opened(
  name: string,
  request: EngineRequest = {},
): Promise<{ name: string; line: string; description: string }> {
  const { engine, line } = await openEngine(name, { threads: 1, ...request });
  await engine.close();
  return { name: engine.name, line, description: engine.description };
}

function withLibrary(t: TestContext, path: string): void {
  const before = process.env['PUPIL_ONEDNN'];
  process.env['PUPIL_ONEDNN'] = path;
  t.after(() => {
    if (before === undefined) delete process.env['PUPIL_ONEDNN'];
    else process.env['PUPIL_ONEDNN'] = before;
  });
}

const fails =
  (code: string, says: RegExp) =>
  (error: unknown): boolean =>
    error instanceof PupilError && error.code === code && says.test(error.message);

test('without the library auto is onnxruntime and says so; bfloat16 is refused; `ort` gives no advice', async (t) => {
  withLibrary(t, '/nonexistent/libdnnl.so');
  const auto = await opened('auto');
  assert.equal(auto.name, 'ort');
  assert.match(
    auto.line,
    /^onnxruntime \d\S+, cpu, 1 thread; PUPIL_ONEDNN=\/nonexistent\/libdnnl\.so cannot be used, `engine: onednn` says why$/,
  );
  const asked = await opened('ort');
  assert.deepEqual([asked.name, asked.line], ['ort', asked.description]);
  await assert.rejects(
    opened('auto', { precision: 'bf16' }),
    fails('unsupported', /^bfloat16 needs the oneDNN engine and a processor with avx512_bf16 or AMX; PUPIL_ONEDNN=/),
  );
  await assert.rejects(
    opened('ort', { precision: 'bf16' }),
    fails('usage', /^`engine: ort` computes in float32 only: bfloat16 needs/),
  );
});

test('advice tells how the library is installed', () => {
  assert.equal(advice({}, 'linux'), 'a faster one: apt-get install libdnnl2');
  assert.equal(advice({}, 'darwin'), 'a faster one: brew install onednn');
  assert.equal(advice({}, 'win32'), 'a faster one: oneDNN, see docs/onednn.md');
});

test(
  'with the library auto trains and evaluates on oneDNN, and predicts on onnxruntime',
  { skip: withoutDnnl },
  async () => {
    for (const purpose of ['training', 'evaluation'] as const) {
      const { name, line } = await opened('auto', { purpose, precision: 'f32' });
      assert.equal(name, 'onednn', purpose);
      assert.match(line, /^oneDNN \d+\.\d+\.\d+, float32, 1 thread$/);
    }
    const { name, line } = await opened('auto', { purpose: 'prediction' });
    assert.equal(name, 'ort');
    assert.doesNotMatch(line, /;/);
  },
);

test(
  'a graph with an op that oneDNN lacks runs on onnxruntime; asked for oneDNN, its node is named',
  { skip: withoutDnnl },
  async () => {
    const graphs = (): Graph[] => [diagonal()];
    const { name, line } = await opened('auto', { graphs });
    assert.equal(name, 'ort');
    assert.match(line, /^onnxruntime .*, 1 thread; up\.1: the oneDNN engine has no fast Einsum for \[1, 4, 4\]$/);
    await assert.rejects(
      opened('onednn', { graphs }),
      fails('unsupported', /^up\.1: the oneDNN engine has no fast Einsum for .*; use `engine: ort`$/),
    );
    await assert.rejects(
      opened('auto', { graphs, precision: 'bf16' }),
      fails('unsupported', /^bfloat16 needs .*; up\.1: the oneDNN engine has no fast Einsum/),
    );
  },
);
