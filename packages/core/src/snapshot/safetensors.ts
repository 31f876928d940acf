import type { ComponentState } from '@recloom/plugin-api';

/** The bytes of a safetensors file, as pieces to be written one after the other. */
export function encodeSafetensors(_tensors: ComponentState, _metadata?: Readonly<Record<string, string>>): readonly Uint8Array[] {
  throw new Error('in work');
}

export function decodeSafetensors(_bytes: Uint8Array): {
  readonly tensors: ComponentState;
  readonly metadata: Readonly<Record<string, string>>;
} {
  throw new Error('in work');
}
