// The network that stands for a team's own model: 50 features, two hidden layers, one score.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import { normalSource, uniformSource } from './measure.js';

export const networkWidths = [50, 256, 128, 1] as const;

/** MatMul + Add + Relu per layer, the last without Relu; He-sized reproducible weights. Input x [rows, 50], output y [rows, 1]. */
export function encodeNetwork(widths: readonly number[] = networkWidths): Uint8Array {
  const { onnx } = onnxProto;
  const normal = normalSource(uniformSource(99));
  const node: Onnx.INodeProto[] = [];
  const initializer: Onnx.ITensorProto[] = [];
  const layers = widths.length - 1;
  for (let layer = 0; layer < layers; layer++) {
    const from = widths[layer] as number;
    const to = widths[layer + 1] as number;
    const last = layer === layers - 1;
    const weights = Array.from({ length: from * to }, () => normal() * Math.sqrt(2 / from));
    initializer.push({ name: `w${layer}`, dims: [from, to], dataType: onnx.TensorProto.DataType.FLOAT, floatData: weights });
    const biases = Array.from({ length: to }, () => normal() / 10);
    initializer.push({ name: `b${layer}`, dims: [to], dataType: onnx.TensorProto.DataType.FLOAT, floatData: biases });
    node.push({ opType: 'MatMul', input: [layer === 0 ? 'x' : `h${layer}`, `w${layer}`], output: [`m${layer}`] });
    node.push({ opType: 'Add', input: [`m${layer}`, `b${layer}`], output: [last ? 'y' : `a${layer}`] });
    if (!last) node.push({ opType: 'Relu', input: [`a${layer}`], output: [`h${layer + 1}`] });
  }
  const value = (name: string, width: number): Onnx.IValueInfoProto => ({
    name,
    type: { tensorType: { elemType: onnx.TensorProto.DataType.FLOAT, shape: { dim: [{ dimParam: 'rows' }, { dimValue: width }] } } },
  });
  return onnx.ModelProto.encode(
    onnx.ModelProto.create({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 17 }],
      graph: { name: 'mlp', node, initializer, input: [value('x', widths[0] as number)], output: [value('y', widths.at(-1) as number)] },
    }),
  ).finish();
}
