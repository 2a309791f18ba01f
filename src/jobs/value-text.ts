import { ops, type OpName } from '../augment/ops.js';
import { counted } from '../data/words.js';

const trimmed = (value: number, digits: number): string => String(Number(value.toFixed(digits)));

/** A value in its op's natural unit, for a caption: `9.0°`, `factor 1.27`, `7 bits`. */
export function valueText(op: OpName, value: number): string {
  const size = ((): string => {
    const x = Math.abs(value);
    switch (ops[op].unit) {
      case 'none':
        return '';
      case 'degrees':
        return `${x.toFixed(1)}°`;
      case 'factor':
        return `factor ${x.toFixed(2)}`;
      case 'bits':
        return counted(x, 'bit');
      case 'tangent':
        return `tangent ${value < 0 ? '−' : ''}${x.toFixed(2)}`;
      case 'pixels':
        return `${trimmed(x, 1)} px`;
      case 'threshold':
        return `threshold ${trimmed(x, 1)}`;
      case 'amount':
        return `amount ${trimmed(x, 1)}`;
      case 'turns':
        return `${x.toFixed(2)} turn`;
      case 'sigma':
        return `sigma ${x.toFixed(2)}`;
    }
  })();
  return value < 0 && ops[op].unit !== 'tangent' ? `−${size}` : size;
}
