import type { InferenceTensorInfo } from '@recloom/plugin-api';
import type { Expectations } from './protocol.js';

/** What a graph takes and gives, for the comparison with what a caller expects. */
export interface Signature {
  readonly inputs: readonly InferenceTensorInfo[];
  /** Inputs that need not be fed. */
  readonly optionalInputs?: readonly string[];
  readonly outputs: readonly InferenceTensorInfo[];
}

/**
 * Why a graph does not fit what its caller will feed and ask for, in one sentence without a full stop that says what was
 * expected and what was found; undefined when it fits. Names, types, ranks and fixed sizes must agree; -1 and dynamic
 * dimensions fit any size; the graph must ask for nothing that will not be fed.
 */
export function findMisfit(signature: Signature, expects: Expectations): string | undefined {
  const { inputs = {}, outputs = [] } = expects;
  for (const [name, wanted] of Object.entries(inputs)) {
    const found = signature.inputs.find((info) => info.name === name);
    if (found === undefined) {
      if (signature.optionalInputs?.includes(name)) continue;
      return `it has no input "${name}"; its inputs are ${list(signature.inputs)}`;
    }
    if (found.type !== wanted.type) return `its input "${name}" is ${found.type}, not ${wanted.type}`;
    if (wanted.dims !== undefined && !fits(found.dims, wanted.dims)) {
      return `its input "${name}" has the shape ${show(found.dims)}, not ${show(wanted.dims)}`;
    }
  }
  if (expects.inputs !== undefined) {
    const unfed = signature.inputs.find((info) => !Object.hasOwn(inputs, info.name));
    if (unfed !== undefined) {
      return `it asks for an input "${unfed.name}" (${unfed.type} ${show(unfed.dims)}) that nothing feeds`;
    }
  }
  const absent = outputs.find((name) => !signature.outputs.some((info) => info.name === name));
  return absent === undefined ? undefined : `it has no output "${absent}"; its outputs are ${list(signature.outputs)}`;
}

function fits(found: readonly (number | string)[], wanted: readonly number[]): boolean {
  if (found.length !== wanted.length) return false;
  return found.every((size, place) => typeof size === 'string' || size < 0 || wanted[place] === -1 || wanted[place] === size);
}

function show(dims: readonly (number | string)[]): string {
  return `[${dims.map((size) => (size === -1 ? '?' : size)).join(', ')}]`;
}

function list(infos: readonly InferenceTensorInfo[]): string {
  return infos.map((info) => `"${info.name}" (${info.type} ${show(info.dims)})`).join(', ');
}
