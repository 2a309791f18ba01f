import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minimize } from './lbfgs.js';

test('a quadratic is minimised to its closed-form solution', async () => {
  // f(x) = sum_i (i+1) (x_i - i)^2, condition number 50.
  const x = new Float64Array(50).fill(3);
  const value = await minimize((point, gradient) => {
    let sum = 0;
    for (let i = 0; i < point.length; i++) {
      sum += (i + 1) * (point[i]! - i) ** 2;
      gradient[i] = 2 * (i + 1) * (point[i]! - i);
    }
    return Promise.resolve(sum);
  }, x);
  assert.ok(value < 1e-8);
  x.forEach((v, i) => assert.ok(Math.abs(v - i) < 1e-4));
});

test('Rosenbrock, which is curved, is minimised too', async () => {
  const x = Float64Array.of(-1.2, 1);
  await minimize(
    (p, g) => {
      const [a, b] = [p[0]!, p[1]!];
      g[0] = -400 * a * (b - a * a) - 2 * (1 - a);
      g[1] = 200 * (b - a * a);
      return Promise.resolve(100 * (b - a * a) ** 2 + (1 - a) ** 2);
    },
    x,
    { tolerance: 1e-8 },
  );
  assert.ok(Math.hypot(x[0]! - 1, x[1]! - 1) < 1e-2, `${x[0]} ${x[1]}`);
});

test('values in float32 end a minimisation early; by the gradient it settles where every engine does', async () => {
  // f(x) = sum_i (i+1) (x_i - i)^2 + 1000: around the optimum the value is the same number.
  const from = async (start: number, settle: boolean): Promise<number> => {
    const x = new Float64Array(20).fill(start);
    await minimize(
      (point, gradient) => {
        let sum = 1000;
        for (let i = 0; i < point.length; i++) {
          sum += (i + 1) * (point[i]! - i) ** 2;
          gradient[i] = Math.fround(2 * (i + 1) * (point[i]! - i));
        }
        return Promise.resolve(Math.fround(sum));
      },
      x,
      { settle },
    );
    return Math.max(...x.map((v, i) => Math.abs(v - i)));
  };
  for (const start of [3, -2, 0.5]) {
    const early = await from(start, false),
      settled = await from(start, true);
    assert.ok(early > 1e-5, `${early} without`);
    assert.ok(settled < 1e-9, `${settled} with`);
  }
});
