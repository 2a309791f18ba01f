/** JSON of strangers, for tests. */
import type { Random } from '../random.js';

/** Values that a stranger may put anywhere. */
const oddValues: readonly unknown[] = [
  ...[null, true, -1, 0.5, 1e300, '', '.', '..', '/', '../../victim', '..\\victim', '/tmp/x', 'C:\\x', 'a\u0000b'],
  ...[
    '\u001b[2J',
    'x'.repeat(3000),
    '__proto__',
    'constructor',
    'con',
    [],
    {},
    [[]],
    { length: 1e9 },
    { toString: 1 },
    { html: '<script>alert(1)</script>' },
    '<script>alert(1)</script>',
    '" onload="x',
    'javascript:x',
    'c0ffee0000000000000000000000000000000001',
  ],
  ...[{ sha: '..' }, 'model.onnx', 'model.onnx_data', 'model.onnx_data/..', 'config.json/x', '0'.repeat(64)],
];

const oddNames = oddValues.filter((value) => typeof value === 'string');

/** The same value with one part replaced, removed or repeated. */
export function spoilt(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random.integer(8) === 0)
    return oddValues[random.integer(oddValues.length)];
  if (Array.isArray(value)) {
    if (value.length === 0) return oddValues;
    const at = random.integer(value.length);
    const kind = random.integer(4);
    if (kind === 0) return value.toSpliced(at, 1);
    if (kind === 1) return [...value, value[at]];
    return value.with(at, spoilt(value[at], random));
  }
  const keys = Object.keys(value);
  const key = keys[random.integer(keys.length)] ?? 'sha';
  const changed = { ...value, [key]: spoilt((value as Record<string, unknown>)[key], random) };
  return random.integer(6) === 0 ? { ...changed, [oddNames[random.integer(oddNames.length)]!]: 1 } : changed;
}
