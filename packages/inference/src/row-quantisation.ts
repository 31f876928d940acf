import { joinBytes, type ProtobufField, readFields, readText, writeBytes, writeMessage, writeNumber, writeText } from './protobuf.js';

interface Node {
  readonly entry: ProtobufField;
  readonly operator: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** The parts of a graph that belong to one dynamic quantisation. */
interface Quantisation {
  readonly node: Node;
  readonly source: string;
  readonly quantised: string;
  readonly scale: string;
  readonly zeroPoint: string;
  /** Products of the tensor's scale and a weight's scale: they go. */
  readonly scaleProducts: ReadonlyMap<Node, { readonly weightScale: string }>;
  /** Where the scales are multiplied back: these are written anew. */
  readonly rescalings: ReadonlyMap<Node, Rescaling>;
}

interface Rescaling {
  readonly sums: string;
  readonly weightScale: string;
  /** The product and the cast before it, where all three can be one operator: with one scale per weight or per column. */
  readonly before: { readonly product: Node; readonly cast: Node } | undefined;
}

const prefix = 'recloom.rows.';

/** The domain of onnxruntime's own operators. */
const runtimeDomain = 'com.microsoft';

/**
 * Rewrites an ONNX model so that activations are quantised with one range per row instead of one per tensor: then rows
 * of a batch do not influence each other, and each is quantised more exactly.
 *
 * Every `DynamicQuantizeLinear` whose result goes only into `MatMulInteger` with constant weights becomes: range = the largest
 * absolute value along the last axis, 8 bits around 128; the sums of the product are scaled back row by row. (ZeroQuant's
 * token-wise quantisation, Yao et al. 2022.) All other quantisations are left as they are.
 *
 * @returns new bytes, or undefined when there is nothing that can be rewritten
 * @throws RangeError when the bytes are not a protobuf message
 */
export function quantiseByRow(bytes: Uint8Array): Uint8Array | undefined {
  const model = [...readFields(bytes)];
  const graphEntry = model.find((entry) => entry.field === 7);
  if (graphEntry?.bytes === undefined) return undefined;
  const graph = [...readFields(graphEntry.bytes)];
  const nodes = graph.flatMap((entry) => (entry.field === 1 && entry.bytes !== undefined ? [readNode(entry, entry.bytes)] : []));
  const quantisations = findQuantisations(graph, nodes);
  if (quantisations.length === 0) return undefined;
  const reduceByAttribute = opsetOf(model) < 18;

  const byNode = new Map(quantisations.map((quantisation) => [quantisation.node, quantisation]));
  const fused = quantisations.flatMap(({ rescalings }) =>
    [...rescalings.values()].flatMap(({ before }) => (before === undefined ? [] : [before])),
  );
  const removed = new Set([
    ...quantisations.flatMap((quantisation) => [...quantisation.scaleProducts.keys()]),
    ...fused.flatMap(({ product, cast }) => [product, cast]),
  ]);
  const rescaled = new Map(
    quantisations.flatMap((quantisation) =>
      [...quantisation.rescalings].map(([node, rescaling]) => [node, { ...rescaling, scale: quantisation.scale }] as const),
    ),
  );
  const zeroPoints = new Set(quantisations.map((quantisation) => quantisation.zeroPoint));
  const nodeOf = new Map(nodes.map((node) => [node.entry, node]));

  const rewritten: Uint8Array[] = [];
  for (const entry of graph) {
    const node = nodeOf.get(entry);
    if (node === undefined) rewritten.push(entry.raw);
    else if (removed.has(node)) continue;
    else if (byNode.has(node)) rewritten.push(...writeQuantisation(byNode.get(node) as Quantisation, reduceByAttribute));
    else if (rescaled.has(node))
      rewritten.push(...writeRescaling(node, rescaled.get(node) as NonNullable<ReturnType<typeof rescaled.get>>));
    else if (node.inputs.some((input) => zeroPoints.has(input))) rewritten.push(writeWithZeroPoint(node, zeroPoints));
    else rewritten.push(entry.raw);
  }
  rewritten.push(...constants(reduceByAttribute));
  const parts = model.map((entry) => (entry === graphEntry ? writeBytes(7, joinBytes(rewritten)) : entry.raw));
  if (fused.length > 0 && opsetOf(model, [runtimeDomain]) === 0)
    parts.push(writeMessage(8, [writeText(1, runtimeDomain), writeNumber(2, 1)]));
  return joinBytes(parts);
}

function findQuantisations(graph: readonly ProtobufField[], nodes: readonly Node[]): readonly Quantisation[] {
  // Graphs inside nodes can read any name of this one; such models are left alone.
  if (nodes.some((node) => hasSubgraph(node))) return [];
  const constants = new Set<string>();
  const lists = new Set<string>();
  const outputs = new Set<string>();
  for (const entry of graph) {
    if (entry.bytes === undefined) continue;
    if (entry.field === 5) {
      const name = nameOf(entry.bytes, 8);
      constants.add(name);
      if (rankOf(entry.bytes) < 2) lists.add(name);
    }
    if (entry.field === 12) outputs.add(nameOf(entry.bytes, 1));
  }
  const consumers = new Map<string, Node[]>();
  const producers = new Map<string, Node>();
  for (const node of nodes) {
    for (const output of node.outputs) producers.set(output, node);
    for (const input of new Set(node.inputs)) {
      const list = consumers.get(input);
      if (list === undefined) consumers.set(input, [node]);
      else list.push(node);
    }
  }
  const isStandard = (node: Node | undefined, operator: string): node is Node => node?.operator === operator && node.domain === '';
  /** Of a product of two, the factor that is not `one`. */
  const otherFactor = (node: Node, one: string): string | undefined => {
    if (!isStandard(node, 'Mul') || node.inputs.length !== 2) return undefined;
    const [left, right] = node.inputs;
    return left === one ? right : right === one ? left : undefined;
  };

  const found: Quantisation[] = [];
  for (const node of nodes) {
    if (!isStandard(node, 'DynamicQuantizeLinear')) continue;
    const [source] = node.inputs;
    const [quantised, scale, zeroPoint] = node.outputs;
    if (source === undefined || !quantised || !scale || !zeroPoint) continue;
    if ([quantised, scale, zeroPoint].some((name) => outputs.has(name))) continue;
    const products = consumers.get(quantised) ?? [];
    const fits = products.every((product) => {
      const [left, weight, leftZero, weightZero] = product.inputs;
      if (!isStandard(product, 'MatMulInteger') || left !== quantised || leftZero !== zeroPoint || weight === undefined) return false;
      return constants.has(weight) && (!weightZero || constants.has(weightZero));
    });
    if (!fits || products.length === 0) continue;
    if ((consumers.get(zeroPoint) ?? []).some((consumer) => !products.includes(consumer))) continue;

    const scaleProducts = new Map<Node, { weightScale: string }>();
    const rescalings = new Map<Node, Rescaling>();
    const complete = (consumers.get(scale) ?? []).every((scaleProduct) => {
      const weightScale = otherFactor(scaleProduct, scale);
      const [product] = scaleProduct.outputs;
      if (weightScale === undefined || !constants.has(weightScale) || product === undefined || outputs.has(product)) return false;
      scaleProducts.set(scaleProduct, { weightScale });
      return (consumers.get(product) ?? []).every((rescaling) => {
        const sums = otherFactor(rescaling, product);
        const cast = sums === undefined ? undefined : producers.get(sums);
        if (sums === undefined || !isStandard(cast, 'Cast')) return false;
        const integerProduct = producers.get(cast.inputs[0] ?? '');
        if (integerProduct === undefined || !products.includes(integerProduct)) return false;
        // Whoever else reads the sums would find them scaled otherwise.
        const alone = [cast, integerProduct].every((before) => {
          const [output = ''] = before.outputs;
          return !outputs.has(output) && consumers.get(output)?.length === 1;
        });
        if (!alone) return false;
        const [, , , weightZero = ''] = integerProduct.inputs;
        const oneOperator = lists.has(weightScale) && (weightZero === '' || lists.has(weightZero));
        rescalings.set(rescaling, { sums, weightScale, before: oneOperator ? { product: integerProduct, cast } : undefined });
        return true;
      });
    });
    // Every product must be scaled back in one of the places found, or its scale would be lost.
    const rescaledSums = new Set([...rescalings.values()].map(({ sums }) => producers.get(producers.get(sums)?.inputs[0] ?? '')));
    if (complete && products.every((product) => rescaledSums.has(product))) {
      found.push({ node, source, quantised, scale, zeroPoint, scaleProducts, rescalings });
    }
  }
  return found;
}

/** scale = max(|x| along the last axis, tiny) / 127; quantised = uint8(round(x / scale) + 128). */
function writeQuantisation(quantisation: Quantisation, reduceByAttribute: boolean): readonly Uint8Array[] {
  const { source, quantised, scale } = quantisation;
  const name = (step: string): string => `${prefix}${scale}.${step}`;
  const keep = numberAttribute('keepdims', 1);
  return [
    writeNode('Abs', [source], [name('absolute')]),
    reduceByAttribute
      ? writeNode('ReduceMax', [name('absolute')], [name('largest')], [numbersAttribute('axes', [-1]), keep])
      : writeNode('ReduceMax', [name('absolute'), `${prefix}axis`], [name('largest')], [keep]),
    writeNode('Max', [name('largest'), `${prefix}tiny`], [name('range')]),
    writeNode('Mul', [name('range'), `${prefix}step`], [scale]),
    writeNode('Div', [source, scale], [name('scaled')]),
    // Rounds to even and adds the middle, in one pass over the values where Round, Add and Cast make three.
    writeNode('QuantizeLinear', [name('scaled'), `${prefix}one`, `${prefix}zero`], [quantised]),
  ];
}

/**
 * sums × weight scale × scale. The first product is part of onnxruntime's own operator for sums of bytes that become floats,
 * where the graph lets it; the second goes through the values once. Never sums × (scale × weight scale): onnxruntime (seen in
 * 1.30.0, from the extended optimisation level on) fuses that into the same operator, which takes the first row's scale for all.
 */
function writeRescaling(node: Node, { sums, scale, weightScale, before }: Rescaling & { readonly scale: string }): readonly Uint8Array[] {
  const [output = ''] = node.outputs;
  const between = `${prefix}${output}.by_column`;
  if (before === undefined) return [writeNode('Mul', [sums, weightScale], [between]), writeNode('Mul', [between, scale], [output])];
  const [values = '', weight = '', , weightZero] = before.product.inputs;
  const inputs = [values, weight, `${prefix}one`, weightScale, `${prefix}zero`, ...(weightZero ? [weightZero] : [])];
  return [writeNode('MatMulIntegerToFloat', inputs, [between], [], runtimeDomain), writeNode('Mul', [between, scale], [output])];
}

/** The node with its tensor-wide zero point replaced by the constant one. */
function writeWithZeroPoint(node: Node, zeroPoints: ReadonlySet<string>): Uint8Array {
  const fields = [...readFields(node.entry.bytes ?? new Uint8Array(0))].map((entry) =>
    entry.field === 1 && zeroPoints.has(readText(entry.bytes)) ? writeText(1, `${prefix}zero`) : entry.raw,
  );
  return writeMessage(1, fields);
}

function constants(reduceByAttribute: boolean): readonly Uint8Array[] {
  const tensor = (name: string, type: number, dims: readonly number[], data: Uint8Array): Uint8Array =>
    writeMessage(5, [...dims.map((size) => writeNumber(1, size)), writeNumber(2, type), writeText(8, prefix + name), writeBytes(9, data)]);
  const float = (value: number): Uint8Array => {
    const data = new Uint8Array(4);
    new DataView(data.buffer).setFloat32(0, value, true);
    return data;
  };
  return [
    tensor('tiny', 1, [], float(1e-12)),
    tensor('step', 1, [], float(1 / 127)),
    tensor('one', 1, [], float(1)),
    tensor('zero', 2, [], Uint8Array.of(128)),
    // -1 as int64.
    ...(reduceByAttribute ? [] : [tensor('axis', 7, [1], new Uint8Array(8).fill(0xff))]),
  ];
}

function writeNode(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Uint8Array[] = [],
  domain = '',
): Uint8Array {
  return writeMessage(1, [
    ...inputs.map((name) => writeText(1, name)),
    ...outputs.map((name) => writeText(2, name)),
    writeText(4, operator),
    ...attributes,
    ...(domain === '' ? [] : [writeText(7, domain)]),
  ]);
}

function numberAttribute(name: string, value: number): Uint8Array {
  return writeMessage(5, [writeText(1, name), writeNumber(3, value), writeNumber(20, 2)]);
}

function numbersAttribute(name: string, values: readonly number[]): Uint8Array {
  return writeMessage(5, [writeText(1, name), ...values.map((value) => writeNumber(8, value)), writeNumber(20, 7)]);
}

function readNode(entry: ProtobufField, bytes: Uint8Array): Node {
  const inputs: string[] = [];
  const outputs: string[] = [];
  let operator = '';
  let domain = '';
  for (const { field, bytes: value } of readFields(bytes)) {
    if (field === 1) inputs.push(readText(value));
    else if (field === 2) outputs.push(readText(value));
    else if (field === 4) operator = readText(value);
    else if (field === 7) domain = readText(value);
  }
  return { entry, operator, domain: domain === 'ai.onnx' ? '' : domain, inputs, outputs };
}

function hasSubgraph(node: Node): boolean {
  for (const { field, bytes } of readFields(node.entry.bytes ?? new Uint8Array(0))) {
    if (field !== 5 || bytes === undefined) continue;
    for (const attribute of readFields(bytes)) if (attribute.field === 6 || attribute.field === 11) return true;
  }
  return false;
}

/** How many dimensions a constant has. */
function rankOf(tensor: Uint8Array): number {
  let rank = 0;
  // Packed, they are one field: more than one byte is more than one dimension, or one that is large, which is left alone as well.
  for (const { field, bytes } of readFields(tensor)) if (field === 1) rank += bytes?.length ?? 1;
  return rank;
}

function nameOf(bytes: Uint8Array, nameField: number): string {
  for (const { field, bytes: value } of readFields(bytes)) if (field === nameField) return readText(value);
  return '';
}

/** The version of the operators of a domain, of which all names are given; 0 when the model imports none. */
function opsetOf(model: readonly ProtobufField[], names: readonly string[] = ['', 'ai.onnx']): number {
  for (const entry of model) {
    if (entry.field !== 8 || entry.bytes === undefined) continue;
    let domain = '';
    let version = 0;
    for (const { field, bytes, value } of readFields(entry.bytes)) {
      if (field === 1) domain = readText(bytes);
      if (field === 2) version = value ?? 0;
    }
    if (names.includes(domain)) return version;
  }
  return 0;
}
