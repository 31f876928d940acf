import type { OnnxAttribute, OnnxConstant, OnnxNode } from './onnx-graph.js';
import { require } from './row-steps.js';

function isConstant(value: OnnxAttribute | undefined): value is OnnxConstant {
  return typeof value === 'object' && !Array.isArray(value);
}

/** A tensor among the attributes. @throws NotUnderstood when it is not there. */
export function constantOf(node: OnnxNode, name: string): OnnxConstant {
  const value = node.attributes.get(name);
  require(isConstant(value), () => `a ${node.operator} without ${name}`);
  return value;
}

/** A list of numbers among the attributes; empty when it is not there. */
export function numbersOf(node: OnnxNode, name: string): readonly number[] {
  const value = node.attributes.get(name);
  return Array.isArray(value) ? (value as readonly number[]) : [];
}

/** A list of texts among the attributes; empty when it is not there. */
export function textsOf(node: OnnxNode, name: string): readonly string[] {
  const value = node.attributes.get(name);
  return Array.isArray(value) ? (value as readonly string[]) : [];
}

/** A number among the attributes. */
export function numberOf(node: OnnxNode, name: string, otherwise: number): number {
  const value = node.attributes.get(name);
  return typeof value === 'number' ? value : otherwise;
}

/** A text among the attributes. */
export function textOf(node: OnnxNode, name: string, otherwise: string): string {
  const value = node.attributes.get(name);
  return typeof value === 'string' ? value : otherwise;
}
