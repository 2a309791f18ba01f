import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateNode } from '../../../graph/evaluate.js';
import { float32 } from '../../../tensor.js';
import { createMemory } from '../memory/heap.js';
import { functions } from './functions.js';
import { inFloat32, toBfloat16 } from './bfloat16.js';
import type { Instruction } from './instructions.js';
import { interpret } from './interpret.js';
import { createLoop } from './math.js';
import { compileLoop } from './wasm.js';

const edges = [
  0,
  -0,
  1,
  -1,
  Infinity,
  -Infinity,
  NaN,
  1e-30,
  -1e-30,
  1e-42,
  88.5,
  89.5,
  -87,
  -95,
  -104,
  -110,
  0.625,
  3.9,
  4.1,
  3e38,
  Math.SQRT2,
  0.7071,
];

for (const [op, write] of Object.entries(functions)) {
  test(`${op} in a loop is accurate to float32`, () => {
    const values = Float32Array.from({ length: 4003 }, (_, i) => {
      if (i < edges.length) return edges[i]!;
      return op === 'Log'
        ? 2 ** (((i * 0.6180339) % 1) * 250 - 125)
        : (((i * 0.6180339) % 1) * 2 - 1) * (i % 2 ? 1.5 : op === 'Exp' ? 90 : 12);
    });
    const loop = createLoop(),
      result = write(loop, loop.input(0));
    const code = { instructions: loop.instructions, results: [result.at] };
    const memory = createMemory();
    const input = new Float32Array(memory.buffer, 0, values.length),
      output = new Float32Array(memory.buffer, 32768, values.length);
    input.set(values);
    compileLoop(memory, code)(1, values.length, [0, 32768], [0], []);
    const plainly = new Float32Array(values.length);
    interpret(code, [values], [plainly], []);
    const expected = evaluateNode({ name: op, op, domain: '', inputs: ['x'], outputs: ['y'], attributes: {} }, [
      float32([values.length], values),
    ])[0]!.data as Float32Array;
    output.forEach((value, i) => {
      const want = expected[i]!,
        near =
          Object.is(value, want) ||
          value === want ||
          Math.abs(value - want) <= 3e-7 * Math.abs(want) + (op === 'Sigmoid' ? 1e-38 : 1e-44);
      assert.ok(near, `${op}(${values[i]}) is ${value}, expected ${want}`);
      assert.ok(
        Object.is(plainly[i], value) || Math.abs(plainly[i]! - value) <= 2e-7 * Math.abs(value),
        `${op}(${values[i]}) plainly is ${plainly[i]}, not ${value}`,
      );
    });
  });
}

/**
 * Numbers whose rounding to bfloat16 is told apart: halfway cases of both parities, subnormals,
 * what overflows, zeros and what is no number.
 */
const corners = Float32Array.from([
  0,
  -0,
  1,
  -1,
  1 + 2 ** -8,
  1 + 3 * 2 ** -8,
  -1 - 2 ** -8,
  1 + 2 ** -8 + 2 ** -20,
  1 + 2 ** -8 - 2 ** -20,
  2 ** -130,
  3 * 2 ** -134,
  -(2 ** -133),
  2 ** -134,
  2 ** -149,
  3.3895313892515355e38,
  3.3961776292304e38,
  -3.4028234663852886e38,
  Infinity,
  -Infinity,
  NaN,
  65504,
  1e-3,
  -7.123456,
]);
/** The nearest of the two bfloat16 around a number, halves to the even one, by arithmetic. */
function nearest(value: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(value)))),
    unit = 2 ** (exponent - 7),
    quotient = value / unit,
    floor = Math.floor(quotient),
    rest = quotient - floor;
  const rounded = (rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1) * unit;
  return Math.abs(rounded) >= 2 ** 128 ? Math.sign(value) * Infinity : rounded;
}
const everything = Float32Array.from([
  ...corners,
  ...Array.from({ length: 4001 }, (_, i) => (((i * 0.6180339) % 1) * 2 - 1) * 2 ** ((i % 60) - 30)),
]);

test('to bfloat16 and back: the nearest, halves to even', () => {
  const back = inFloat32(toBfloat16(everything));
  everything.forEach((value, i) => {
    const want = nearest(value);
    assert.ok(
      Object.is(back[i], want) || (back[i] === want && (want !== 0 || Object.is(Math.sign(want), Math.sign(back[i])))),
      `${value} became ${back[i]}, expected ${want}`,
    );
  });
});

for (const length of [1, 3, 4, 7, 8, 1027, everything.length]) {
  test(`a loop over ${length} elements reads and writes bfloat16 as the plain one does`, () => {
    // a in bfloat16, b in float32, c one bfloat16 per row: a b + c in bfloat16, a in bfloat16
    // again, a - b in float32
    const code = {
      instructions: [
        { op: 'load', input: 0 },
        { op: 'load', input: 1 },
        { op: 'one', input: 2 },
        { op: 'mul', a: 0, b: 1 },
        { op: 'add', a: 3, b: 2 },
        { op: 'sub', a: 0, b: 1 },
      ] satisfies Instruction[],
      results: [4, 0, 5, 1],
      halved: { inputs: [true, false, true], results: [true, true, false, true] },
    };
    const rows = 3,
      count = rows * length,
      memory = createMemory(16);
    let end = 64;
    const place = (bytes: number): number => {
      const at = end;
      end += Math.ceil(bytes / 16) * 16 + 16; // with a gap, to see what is written beyond
      return at;
    };
    const addresses = [2, 4, 2, 2, 2, 4, 2].map((size, i) => place(size * (i === 2 ? rows : count)));
    const half = (i: number, size = count): Uint16Array => new Uint16Array(memory.buffer, addresses[i], size),
      single = (i: number): Float32Array => new Float32Array(memory.buffer, addresses[i], count);
    const values = (offset: number, size = count): Float32Array =>
      Float32Array.from({ length: size }, (_, i) => everything[(i + offset) % everything.length]!);
    half(0).set(toBfloat16(values(0)));
    single(1).set(values(0));
    half(2, rows).set(toBfloat16(values(1500, rows)));
    compileLoop(memory, code)(rows, length, addresses, [2 * length, 4 * length, 2], []);
    const expected = [0, 1, 2, 3].map(() => new Float32Array(count));
    for (let row = 0; row < rows; row++) {
      const part = (data: Float32Array): Float32Array => data.subarray(row * length, (row + 1) * length);
      interpret(
        code,
        [part(inFloat32(half(0))), part(single(1)), inFloat32(half(2, rows)).subarray(row, row + 1)],
        expected.map(part),
        [],
      );
    }
    const written = [inFloat32(half(3)), inFloat32(half(4)), single(5), inFloat32(half(6))];
    expected.forEach((data, result) => {
      const want = result === 2 ? data : inFloat32(toBfloat16(data));
      written[result]!.forEach((value, i) =>
        assert.ok(Object.is(value, want[i]), `result ${result} at ${i} is ${value}, expected ${want[i]}`),
      );
    });
    for (const [i, size] of [
      [3, 2],
      [4, 2],
      [5, 4],
      [6, 2],
    ] as const) {
      const behind = new Uint8Array(memory.buffer, addresses[i]! + size * count, 8);
      assert.ok(
        behind.every((byte) => byte === 0),
        `nothing is written behind result ${i - 3}`,
      );
    }
  });
}
