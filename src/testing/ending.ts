import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

/**
 * Asserts that a process may end while a program of the engine that `module` exports as `create`
 * runs: products of matrices of `size`.
 */
export function assertEndsWhileRunning(module: URL, create: string, threads: number, size = 800): void {
  const script = `
    import { ${create} } from ${JSON.stringify(module.href)};
    import { GraphBuilder } from ${JSON.stringify(new URL('../graph/builder.js', import.meta.url).href)};
    const builder = new GraphBuilder('long');
    const x = builder.input('x', 'float32', [${size}, ${size}]);
    let y = x;
    for (let i = 0; i < 20; i++) y = builder.op('MatMul', [y, x]);
    builder.outputs({ y });
    const engine = await ${create}({ threads: ${threads} });
    const program = await engine.compile(builder.build());
    const zeros = { dtype: 'float32', dims: [${size}, ${size}], data: new Float32Array(${size * size}) };
    program.run({ x: zeros }).catch(() => {});
    setTimeout(() => process.exit(3), 30);`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(status, 3, stderr);
}
