import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import onnxProto from 'onnx-proto';
import { describe, expect, it } from 'vitest';
import { readOnnxFacts } from './onnx-facts.js';
import { dynamicModel, quantisedProductModel, scaleModel, type TinyModel, writeOnnx } from './onnx-writer.fixture.js';
import { quantiseByRow } from './row-quantisation.js';

const miniLm = fileURLToPath(new URL('../../model-all-minilm-l6-v2/onnx/model_quantized.onnx', import.meta.url));
const change = (more: Partial<TinyModel>): Uint8Array => writeOnnx({ ...quantisedProductModel, ...more });
const extraNode = (operator: string, inputs: string[], output: string): Uint8Array =>
  change({ nodes: [...quantisedProductModel.nodes, { operator, inputs, outputs: [output] }] });

describe('quantisation by row', () => {
  it('rewrites what quantize_dynamic writes, the whole default text model included', async () => {
    for (const bytes of [writeOnnx(quantisedProductModel), await readFile(miniLm)]) {
      expect(readOnnxFacts(bytes).batchDependent).toBe(true);
      const rewritten = quantiseByRow(bytes);
      expect(rewritten).toBeDefined();
      expect(readOnnxFacts(rewritten ?? bytes).batchDependent).toBe(false);
      expect(quantiseByRow(rewritten ?? bytes)).toBeUndefined();
    }
  });

  it('makes one operator of product, cast and weight scale, unless the weight has a scale of another shape', () => {
    const initializers = quantisedProductModel.initializers ?? [];
    const withScale = (dims: number[], values: number[]): Uint8Array =>
      change({ initializers: [...initializers.slice(0, 1), { name: 'w_scale', dims, values: Float32Array.from(values) }] });
    const cases: readonly (readonly [Uint8Array, string[]])[] = [
      [writeOnnx(quantisedProductModel), ['MatMulIntegerToFloat']],
      [withScale([], [0.125]), ['MatMulIntegerToFloat']],
      [withScale([2], [0.125, 0.25]), ['MatMulIntegerToFloat']],
      [withScale([1, 2], [0.125, 0.25]), ['MatMulInteger']],
    ];
    for (const [bytes, operators] of cases) {
      const rewritten = quantiseByRow(bytes) ?? new Uint8Array(0);
      const { graph, opsetImport } = onnxProto.onnx.ModelProto.decode(rewritten);
      expect((graph?.node ?? []).map((node) => node.opType).filter((operator) => operator?.startsWith('MatMul'))).toEqual(operators);
      const own = opsetImport.filter(({ domain }) => domain === 'com.microsoft').length;
      expect(own).toBe(operators[0] === 'MatMulInteger' ? 0 : 1);
    }
  });

  it('leaves alone what it does not know to be safe', () => {
    const untouched: Readonly<Record<string, Uint8Array>> = {
      'nothing to do': writeOnnx(scaleModel),
      'a quantised tensor that is an output': writeOnnx(dynamicModel),
      'a quantised tensor used elsewhere': extraNode('Shape', ['q'], 'shape'),
      'a zero point used elsewhere': extraNode('Identity', ['zero'], 'same'),
      'a scale used elsewhere': extraNode('Sqrt', ['scale'], 'root'),
      'sums used elsewhere': extraNode('Abs', ['sums'], 'same'),
      'sums as floats used elsewhere': extraNode('Sqrt', ['float_sums'], 'root'),
      'sums that are an output': change({
        outputs: [...quantisedProductModel.outputs, { name: 'sums', type: 'int32', dims: ['rows', 2] }],
      }),
      'scales used elsewhere': extraNode('Sqrt', ['scales'], 'root'),
      'weights that are not constant': change({ initializers: quantisedProductModel.initializers?.slice(1) ?? [] }),
      'sums that are not scaled back': change({
        nodes: [...quantisedProductModel.nodes, { operator: 'MatMulInteger', inputs: ['q', 'w', 'zero'], outputs: ['other'] }],
      }),
      'an operator of another kind': change({
        nodes: quantisedProductModel.nodes.map((node) => (node.operator === 'MatMulInteger' ? { ...node, operator: 'ConvInteger' } : node)),
      }),
    };
    for (const [what, bytes] of Object.entries(untouched)) expect(quantiseByRow(bytes), what).toBeUndefined();
  });
});
