export interface PseudoLabel { readonly path: string; readonly hash: string; readonly label: number; readonly confidence: number; readonly probabilities: Float32Array; readonly accepted: boolean; readonly copies: number }
export interface PseudoLabels { readonly classes: readonly string[]; readonly rows: readonly PseudoLabel[] }
export function readPseudoLabels(_file: string, _classes?: readonly string[]): Promise<PseudoLabels> { throw new Error('stub'); }
