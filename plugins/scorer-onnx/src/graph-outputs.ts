import type { InferenceTensor, InferenceTensorInfo } from '@recloom/plugin-api';
import { type Finish, finisherOf } from './calibration.js';
import type { Manifest } from './manifest.js';
import type { OutputDescription } from './manifest-schema.js';
import { scorerError } from './plugin-error.js';
import { showShape, showTensor } from './show-tensor.js';

/** One score taken from a model. */
export interface OutputReader {
  /** `ctr` in `score.<component>.ctr`. */
  readonly name: string;
  /** The output in the graph. */
  readonly output: string;
  /**
   * Copies the value of each of `out.length` candidates from the tensor and finishes it (sigmoid, calibration).
   *
   * @throws SCORER_ONNX_OUTPUT when the tensor has not one row per candidate.
   */
  read(tensor: InferenceTensor | undefined, out: Float32Array): void;
}

/**
 * The scores a manifest takes from a graph, the main one first.
 *
 * @throws SCORER_ONNX_OUTPUT for an output or column that the graph does not have, or that holds no numbers per row.
 */
export function openOutputs(manifest: Manifest, graph: readonly InferenceTensorInfo[]): readonly OutputReader[] {
  const described = manifest.outputs ?? { score: onlyOutput(graph) };
  const names = Object.keys(described);
  const main = manifest.main ?? names[0];
  if (main === undefined || !names.includes(main)) {
    throw scorerError('SCORER_ONNX_OUTPUT', `${manifest.place('main')}: there is no output "${main}"; there are ${names.join(', ')}.`);
  }
  const problems = names.flatMap((name) => {
    const problem = fit(described[name] as OutputDescription, graph);
    return problem === undefined ? [] : [`${manifest.place('outputs', name)}: ${problem}`];
  });
  if (problems.length > 0) throw scorerError('SCORER_ONNX_OUTPUT', `The outputs do not fit the model: ${problems.join('; ')}.`);
  return [main, ...names.filter((name) => name !== main)].map((name) => reader(name, described[name] as OutputDescription));
}

/** Where nothing is said: the one output there is. */
function onlyOutput(graph: readonly InferenceTensorInfo[]): OutputDescription {
  const [only] = graph;
  if (only === undefined || graph.length > 1) {
    throw scorerError('SCORER_ONNX_OUTPUT', `The graph has the outputs ${list(graph)}; say under "outputs" which to take.`);
  }
  return { output: only.name, column: 0, kind: 'score' };
}

function fit({ output, column }: OutputDescription, graph: readonly InferenceTensorInfo[]): string | undefined {
  const info = graph.find((candidate) => candidate.name === output);
  if (info === undefined) return `the graph has no output "${output}"; it has ${list(graph)}`;
  if (info.type !== 'float32') {
    const more = info.type === 'not a tensor' ? '; convert the model without ZipMap (zipmap=False)' : '';
    return `the output "${output}" is ${info.type}, not float32${more}`;
  }
  const { dims } = info;
  if (dims.length > 2) return `the output "${output}" is ${showShape(dims)}, not [rows] or [rows, columns]`;
  const width = dims.length === 2 ? dims[1] : dims.length === 1 ? 1 : -1;
  if (typeof width === 'number' && width >= 0 && column >= width)
    return `the output "${output}" has ${width} column${width === 1 ? '' : 's'}, not a column ${column}`;
  return undefined;
}

function reader(name: string, description: OutputDescription): OutputReader {
  const { output, column } = description;
  const finish: Finish | undefined = finisherOf(description);
  return {
    name,
    output,
    read(tensor, out) {
      const rows = out.length;
      const size = tensor?.data.length ?? 0;
      const width = size / rows;
      if (
        !(tensor?.data instanceof Float32Array) ||
        !Number.isInteger(width) ||
        column >= width ||
        (tensor.dims.length > 1 && tensor.dims[0] !== rows)
      ) {
        const found = tensor === undefined ? 'nothing' : `${tensor.type} [${tensor.dims.join(', ')}]`;
        throw scorerError('SCORER_ONNX_OUTPUT', `The output "${output}" gave ${found} for ${rows} candidate${rows === 1 ? '' : 's'}.`);
      }
      if (width === 1) out.set(tensor.data);
      else for (let place = 0, from = column; place < rows; place++, from += width) out[place] = tensor.data[from] as number;
      finish?.(out);
    },
  };
}

function list(graph: readonly InferenceTensorInfo[]): string {
  return graph.map(showTensor).join(', ') || 'none';
}
