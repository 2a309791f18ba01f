/** Command lines that do what is shown. */
import { quoted } from '../parts/command.tsx';
import type { Asked } from './asked.ts';

/** Options of training for what is shown; '' where nothing is but what is usual. */
export function trainingOptions(asked: Asked): string {
  if (asked.kind === 'ops') return '';
  if (asked.kind === 'op') {
    const { op, magnitude, scale } = asked;
    const strength = magnitude === undefined ? '' : `=${magnitude}`;
    return `--augment ${quoted(`ops:${op}${strength}${scale === 'torchvision' ? '' : `,scale=${scale}`}`)}`;
  }
  const { policy, flip, erase, cutmix, mixup } = asked;
  return [
    `--augment ${quoted(policy)}`,
    ...(flip ? [] : ['--no-flip']),
    ...(erase > 0 ? [`--erase ${erase}`] : []),
    ...(cutmix > 0 ? [`--cutmix ${cutmix}`] : []),
    ...(mixup > 0 ? [`--mixup ${mixup}`] : []),
  ].join(' ');
}

/** `pupil augment`, which writes such a sheet as a file. */
export function sheetCommand(asked: Asked, folder: string): string {
  const words = ['pupil augment', quoted(folder)];
  if (asked.kind !== 'policy') {
    if (asked.kind === 'op') words.push(`--op ${asked.op}`);
    if (asked.kind === 'op' && asked.magnitude !== undefined) words.push(`--magnitude ${asked.magnitude}`);
    if (asked.scale !== 'torchvision') words.push(`--scale ${asked.scale}`);
  } else {
    words.push(trainingOptions(asked).replace('--augment', '--policy'));
    if (asked.size !== 224) words.push(`--size ${asked.size}`);
    if (asked.seed !== 0) words.push(`--seed ${asked.seed}`);
  }
  return [...words, '--out sheet.png'].join(' ');
}
