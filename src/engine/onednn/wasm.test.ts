import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateNode } from '../../graph/evaluate.js';
import { float32 } from '../../tensor.js';
import { functions } from './functions.js';
import { compileLoop, interpret, type Instruction } from './wasm.js';

const edges = [0, -0, 1, -1, Infinity, -Infinity, NaN, 1e-30, -1e-30, 1e-42, 88.5, 89.5, -87, -95, -104, -110, 0.625, 3.9, 4.1, 3e38, Math.SQRT2, 0.7071];

for (const [op, write] of Object.entries(functions)) {
  test(`${op} in a loop is accurate to float32`, () => {
    const values = Float32Array.from({ length: 4003 }, (_, i) => {
      if (i < edges.length) return edges[i]!;
      return op === 'Log' ? 2 ** (((i * 0.6180339) % 1) * 250 - 125) : (((i * 0.6180339) % 1) * 2 - 1) * (i % 2 ? 1.5 : op === 'Exp' ? 90 : 12);
    });
    const instructions: Instruction[] = [];
    const push = (instruction: Instruction): number => instructions.push(instruction) - 1;
    const code = { instructions, results: [write(push, push({ op: 'load', input: 0 }))] };
    const memory = new WebAssembly.Memory({ initial: 1 });
    const input = new Float32Array(memory.buffer, 0, values.length), output = new Float32Array(memory.buffer, 32768, values.length);
    input.set(values);
    compileLoop(memory, code)(1, values.length, [0, 32768], [0], []);
    const plainly = new Float32Array(values.length);
    interpret(code, [values], [plainly], []);
    const expected = evaluateNode({ name: op, op, domain: '', inputs: ['x'], outputs: ['y'], attributes: {} }, [float32([values.length], values)])[0]!.data as Float32Array;
    output.forEach((value, i) => {
      const want = expected[i]!, near = Object.is(value, want) || value === want || Math.abs(value - want) <= 3e-7 * Math.abs(want) + (op === 'Sigmoid' ? 1e-38 : 1e-44);
      assert.ok(near, `${op}(${values[i]}) is ${value}, expected ${want}`);
      assert.ok(Object.is(plainly[i], value) || Math.abs(plainly[i]! - value) <= 2e-7 * Math.abs(value), `${op}(${values[i]}) plainly is ${plainly[i]}, not ${value}`);
    });
  });
}
