/**
 * The pointer-level interface that both implementations share: the WebAssembly module exports these
 * names, and `createTwin` gives the same functions in plain TypeScript. Addresses are byte offsets
 * into the kernels memory (0 = absent). Matrices are row-major. Every count is a number of elements.
 *
 * Callers outside this package use `Kernels`, which checks shapes; nothing is checked here.
 */
export interface KernelTable {
  /** Sum of a[i] * b[i]. */
  dot(left: number, right: number, length: number): number;
  /** Dot of two sparse vectors whose indices ascend. */
  sparseDot(
    leftIndices: number,
    leftValues: number,
    leftLength: number,
    rightIndices: number,
    rightValues: number,
    rightLength: number,
  ): number;
  /** Sum of values[i] * dense[indices[i]]. */
  sparseDenseDot(indices: number, values: number, length: number, dense: number): number;
  /** output[r] = dot(matrix[r], vector) for all rows. */
  multiplyRows(matrix: number, rowCount: number, width: number, vector: number, output: number): number;
  /** `multiplyRows` of consecutive queries: output[q * rowCount + r] = dot(matrix[r], query q). */
  multiplyRowsMany(matrix: number, rowCount: number, width: number, queries: number, queryCount: number, output: number): number;
  /** output[r * width + c] = columns[c * count + r], or `missing` where that is not a number. */
  interleaveColumns(columns: number, count: number, width: number, missing: number, output: number): number;
  /** output[r] = sum over c, in order, of weights[c] * columns[c * count + r], with `missing` for what is not a number. */
  combineColumns(columns: number, count: number, width: number, weights: number, missing: number, output: number): number;
  /** output[i] = matrix[rows[i]]. */
  gatherRows(matrix: number, width: number, rows: number, count: number, output: number): number;
  /** output[i] = dot(matrix[rows[i]], vector). */
  gatherDot(matrix: number, width: number, rows: number, count: number, vector: number, output: number): number;
  /** output += sum of weights[i] * matrix[rows[i]] (weights absent: 1). */
  accumulateRows(output: number, matrix: number, width: number, rows: number, weights: number, count: number): number;
  /** output += sum of weights[i] * sparse row rows[i] (weights or values absent: 1). */
  accumulateSparseRows(
    output: number,
    rowOffsets: number,
    columnIndices: number,
    values: number,
    rows: number,
    weights: number,
    count: number,
  ): number;
  /** Divides each row by its Euclidean length in place; zero and non-finite rows become zero. */
  normalizeRows(matrix: number, rowCount: number, width: number): number;
  /** Sum of all values with one sequential stream: the streaming-read limit of this thread. */
  streamRead(values: number, length: number): number;

  /** Best `k` by score descending, then row ascending; returns how many there are. */
  topK(scores: number, length: number, k: number, mask: number, outputRows: number, outputScores: number, workspace: number): number;
  /** `topK` over the rows whose score is above floors[r]; a floor that is not a number lets nothing pass. */
  topKAbove(
    scores: number,
    floors: number,
    length: number,
    k: number,
    mask: number,
    outputRows: number,
    outputScores: number,
    workspace: number,
  ): number;
  /** `topK` over dot(matrix[r], query). */
  scanTopK(
    matrix: number,
    rowCount: number,
    width: number,
    query: number,
    k: number,
    mask: number,
    outputRows: number,
    outputScores: number,
    workspace: number,
  ): number;
  /** `scanTopK` for consecutive queries; query q fills k slots from q * k and outputCounts[q]. */
  scanTopKMany(
    matrix: number,
    rowCount: number,
    width: number,
    queries: number,
    queryCount: number,
    k: number,
    mask: number,
    outputRows: number,
    outputScores: number,
    outputCounts: number,
    workspace: number,
  ): number;
  /**
   * The rows with the highest dot products above 0 for consecutive queries, exactly: for query q at most limits[q], in slots
   * from q * most, and their number in outputCounts[q], or -1 when the query's length is not finite. `blocks`, `lengths` and
   * `order` hold the rows again as `BoundedRows` lays them out, with each component divided by its factor in `scales`, by
   * which queries are multiplied. Mask and ties as in `topK`. Workspace: `boundedWorkspaceBytes`.
   */
  boundedTopKMany(
    blocks: number,
    lengths: number,
    order: number,
    rowCount: number,
    matrix: number,
    width: number,
    queries: number,
    scales: number,
    queryCount: number,
    limits: number,
    most: number,
    mask: number,
    outputRows: number,
    outputScores: number,
    outputCounts: number,
    workspace: number,
  ): number;
  /**
   * Symmetric int8 quantisation per row of `rowCount` rows, stored as rows from `firstRow` on. Codes
   * have `stride` bytes a row (a multiple of 16, zero-padded); groups of four rows are stored together,
   * pieces of eight codes alternating: code c of row r is at
   * (r - r % 4) * stride + (c - c % 8) * 4 + (r % 4) * 8 + c % 8.
   */
  quantizeRows(matrix: number, firstRow: number, rowCount: number, width: number, stride: number, codes: number, scales: number): number;
  /** `topK` over scales[r] * queryScale * integer dot(codes[r], queryCodes) (int16 query codes). */
  quantizedTopK(
    codes: number,
    scales: number,
    rowCount: number,
    stride: number,
    queryCodes: number,
    queryScale: number,
    k: number,
    mask: number,
    outputRows: number,
    outputScores: number,
    workspace: number,
  ): number;
  /** `quantizedTopK` for consecutive queries, one scale each; query q fills k slots from q * k and outputCounts[q]. */
  quantizedTopKMany(
    codes: number,
    scales: number,
    rowCount: number,
    stride: number,
    queryCodes: number,
    queryScales: number,
    queryCount: number,
    k: number,
    mask: number,
    outputRows: number,
    outputScores: number,
    outputCounts: number,
    workspace: number,
  ): number;
  /** `topK` over dot(matrix[rows[i]], query), reporting rows[i]. */
  rerankTopK(
    matrix: number,
    width: number,
    query: number,
    rows: number,
    count: number,
    k: number,
    outputRows: number,
    outputScores: number,
    workspace: number,
  ): number;

  /**
   * Lower triangle of rows [rowBegin, rowEnd) of X^T diag(weights) X. Takes X twice: by row, and
   * transposed (whose rows are the columns of X). Columns ascend within rows.
   */
  gramRows(
    rowOffsets: number,
    columnIndices: number,
    values: number,
    transposedOffsets: number,
    transposedIndices: number,
    transposedValues: number,
    weights: number,
    size: number,
    rowBegin: number,
    rowEnd: number,
    output: number,
  ): number;
  /** Copies the lower triangle of rows [rowBegin, rowEnd) to the upper one, times `factor`. */
  mirrorLower(
    source: number,
    sourceStride: number,
    output: number,
    outputStride: number,
    size: number,
    rowBegin: number,
    rowEnd: number,
    factor: number,
  ): number;
  /**
   * Per-row top-k of a sparse product, by ascending column; row r fills k slots from (r - rowBegin) * k. `workspace`:
   * `productWorkspaceBytes`, zero before its first use.
   */
  sparseProductTopKRows(
    leftOffsets: number,
    leftIndices: number,
    leftValues: number,
    rightOffsets: number,
    rightIndices: number,
    rightValues: number,
    rightColumnCount: number,
    rowFactors: number,
    columnFactors: number,
    shrinkage: number,
    excludeDiagonal: number,
    k: number,
    rowBegin: number,
    rowEnd: number,
    outputIndices: number,
    outputValues: number,
    outputCounts: number,
    workspace: number,
  ): number;
  /** Rows [rowBegin, rowEnd) of sparse times dense. */
  sparseDenseRows(
    rowOffsets: number,
    columnIndices: number,
    values: number,
    dense: number,
    width: number,
    rowBegin: number,
    rowEnd: number,
    output: number,
  ): number;

  /**
   * Inverts the diagonal block at `begin` in float64 into `inverse` (order x order, float32). Returns
   * 0, or 1 + the index of the first pivot that is not positive.
   */
  sweepPivot(matrix: number, stride: number, begin: number, order: number, inverse: number, workspace: number): number;
  /** For rows [rowBegin, rowEnd): packs the panel of block `begin` and its product with the inverse. */
  sweepPanel(
    matrix: number,
    stride: number,
    begin: number,
    order: number,
    inverse: number,
    packed: number,
    product: number,
    rowBegin: number,
    rowEnd: number,
  ): number;
  /** matrix[i, j] -= product[i] . panel[j] for i in the rows, j in [columnBegin, i]. */
  rankUpdate(
    matrix: number,
    stride: number,
    order: number,
    packed: number,
    product: number,
    rowBegin: number,
    rowEnd: number,
    columnBegin: number,
    skipBegin: number,
    skipEnd: number,
  ): number;
  /** Stores the swept panel for rows [rowBegin, rowEnd). */
  sweepStore(matrix: number, stride: number, begin: number, order: number, product: number, rowBegin: number, rowEnd: number): number;
  /** Stores minus the inverse into the diagonal block. */
  sweepStorePivot(matrix: number, stride: number, begin: number, order: number, inverse: number): number;
  /** Cholesky factor of the diagonal block in place and its inverse; returns as `sweepPivot`. */
  choleskyPivot(matrix: number, stride: number, begin: number, order: number, inverse: number, workspace: number): number;
  /** For rows [rowBegin, rowEnd) below the block: L = A * inverse^T, stored and packed. */
  choleskyPanel(
    matrix: number,
    stride: number,
    begin: number,
    order: number,
    inverse: number,
    packed: number,
    product: number,
    rowBegin: number,
    rowEnd: number,
  ): number;
  /** Solves L L^T x = b in place for each of `count` right-hand sides (rows of `size`). */
  choleskySolve(factor: number, stride: number, size: number, rightHandSides: number, count: number): number;

  /**
   * Seeded random walks with restart; adds a visit per step to `visits`. `edges` holds one node per
   * edge or, when `weighted`, three words per edge: threshold, node, alias node; `starts` likewise
   * when `weightedStarts`.
   */
  randomWalks(
    rowOffsets: number,
    edges: number,
    weighted: number,
    starts: number,
    weightedStarts: number,
    startCount: number,
    restartThreshold: number,
    seedLow: number,
    seedHigh: number,
    chunkBegin: number,
    chunkEnd: number,
    stepCount: number,
    visits: number,
    workspace: number,
  ): number;

  /**
   * Features as ranks, one byte per row and slot in blocks of 32 rows (rows that are not there: any): how many thresholds
   * of the slot lie below, minus 128. `slots`: feature, first threshold, steps (2^steps - 1 ascending thresholds, padded
   * with infinity), rank of NaN.
   */
  rankFeatures(
    features: number,
    rowCount: number,
    featureCount: number,
    slots: number,
    slotCount: number,
    thresholds: number,
    ranks: number,
  ): number;
  /**
   * Adds to `sums` (targets x sumStride) the leaf of every tree for blocks of 32 rows of ranks. `trees`: mask bytes,
   * outputs, entries per byte (last byte first), then target and first weight per output; `entries`: place of the slot in
   * a block, then one byte each: rank of the threshold minus 128, leaves lost above it. `aggregate`: 0 sum, 1 smallest,
   * 2 largest. `workspace`: 32 bytes.
   */
  maskedTrees(
    ranks: number,
    blockCount: number,
    slotCount: number,
    trees: number,
    treeCount: number,
    entries: number,
    weights: number,
    aggregate: number,
    sums: number,
    sumStride: number,
    workspace: number,
  ): number;
  /** Features by slot in blocks of 8 rows. `slots`: feature, and 1 where NaN is to be minus infinity. */
  spreadFeatures(features: number, rowCount: number, featureCount: number, slots: number, slotCount: number, output: number): number;
  /**
   * As `maskedTrees` for blocks of 8 rows of spread features, by walking down. `trees`: place of the root, depth,
   * outputs, then target and first weight per output; `nodes`: threshold (NaN in a leaf), place of the slot in a block,
   * place of the false child (the true one lies 16 bytes behind; a leaf: its own), leaf number or -1.
   */
  walkedTrees(
    values: number,
    blockCount: number,
    slotCount: number,
    trees: number,
    treeCount: number,
    nodes: number,
    weights: number,
    aggregate: number,
    sums: number,
    sumStride: number,
    workspace: number,
  ): number;

  /**
   * Four numbers per row of `rows` (-1: zeros), weighted means over the other rows of `history` (at most 64, different;
   * `weights` sum to 1): is it a neighbour, shared neighbours, their rarities, shared by all. `slots`: one zero per row,
   * zero again afterwards. `workspace`: 576 bytes, and 80 for one and each neighbour of the history.
   */
  neighbourEvidence(
    offsets: number,
    neighbours: number,
    rarities: number,
    rows: number,
    count: number,
    history: number,
    weights: number,
    historyCount: number,
    slots: number,
    workspace: number,
    output: number,
  ): number;
  /** Two numbers per row: largest and mean dot product with the history's vectors. `workspace`: 256 * (width + 1) bytes. */
  historySimilarity(
    vectors: number,
    width: number,
    rows: number,
    count: number,
    history: number,
    weights: number,
    historyCount: number,
    workspace: number,
    output: number,
  ): number;

  /**
   * Solves rows [rowBegin, rowEnd) of alternating least squares in the basis of `sources` (rows of `stride` floats, a
   * multiple of 8): (diag(base + regularization) + sum of weight * y y^T) x = sum of (weight + offset) y over the row's
   * entries, weight being the entry's value (no values: `uniform`). Rows of at most `alsDirectEntries` entries are solved
   * directly, others in steps, to `tolerance`. `regularizations`: one per row, or 0 for none. `gram`: 0, or where the Gram
   * matrix of the results goes. `workspace`: `alsWorkspaceBytes`. Returns the steps taken, -1 when a result is not finite.
   */
  alsSolveRows(
    rowOffsets: number,
    columnIndices: number,
    values: number,
    uniform: number,
    offset: number,
    sources: number,
    stride: number,
    base: number,
    regularizations: number,
    tolerance: number,
    mostSteps: number,
    rowBegin: number,
    rowEnd: number,
    workspace: number,
    factors: number,
    gram: number,
  ): number;
  /** Rows [rowBegin, rowEnd) times a matrix packed in strips of eight columns; `upper`: 1 where nothing lies below its diagonal. */
  alsTransformRows(
    factors: number,
    stride: number,
    packed: number,
    upper: number,
    rowBegin: number,
    rowEnd: number,
    output: number,
  ): number;
  /** Lower triangle of the Gram matrix of rows [rowBegin, rowEnd), in 4 x 8 tiles (those on the diagonal also write above it). */
  alsGramRows(factors: number, stride: number, rowBegin: number, rowEnd: number, output: number): number;
  /**
   * Factors are kept in the basis in which they were solved: with R its matrix, a row x there is x R in truth. From the
   * Gram matrix of the sources (scale * sum of the parts = M) in their basis `from`, the basis for what is solved next:
   * `into`, packed in strips of eight columns, takes the sources' rows to where M + regularization I (in truth) is the
   * unit matrix (`eigen` 0, Cholesky; `into` is upper triangular) or M is diagonal (`eigen` 1; `base` receives the
   * eigenvalues), and `to` receives the basis of solutions of systems there. A basis: R and its inverse, transposed, in
   * doubles, `alsStateBytes`; both 0 where nothing is solved. `workspace`: `alsBasisBytes`. Returns 0, or 1 + a row whose
   * pivot is not positive or whose values are not finite.
   */
  alsBasis(
    parts: number,
    partCount: number,
    width: number,
    stride: number,
    scale: number,
    regularization: number,
    eigen: number,
    workspace: number,
    into: number,
    base: number,
    from: number,
    to: number,
  ): number;

  /**
   * One training step of `HistoryNetwork`, in four phases over the block of words at `layout` (its order stands in
   * history-network.ts). First: vectors of length 1 of the places [begin, end) among the rows that take part; those of the
   * negatives also in strips of eight columns.
   */
  networkItemRows(layout: number, begin: number, end: number): number;
  /**
   * Second: hidden vectors, losses and gradients of the examples [begin, end); `filterGradient` (positions x width) receives
   * their sum for the filter.
   */
  networkExampleRows(layout: number, begin: number, end: number, filterGradient: number): number;
  /** Third: gradients of the places [begin, end), and one step of Adam on their rows. */
  networkItemGradients(layout: number, begin: number, end: number): number;
  /** Fourth: one step of Adam on those attributes of [begin, end) whose items took part; `workspace`: one row. Returns their number. */
  networkAttributeRows(layout: number, begin: number, end: number, workspace: number): number;
}

export type KernelName = keyof KernelTable;

/** Every kernel name; used to bind the module's exports and to refuse unknown names. */
export const kernelNames: readonly KernelName[] = [
  'dot',
  'sparseDot',
  'sparseDenseDot',
  'multiplyRows',
  'multiplyRowsMany',
  'interleaveColumns',
  'combineColumns',
  'gatherRows',
  'gatherDot',
  'accumulateRows',
  'accumulateSparseRows',
  'normalizeRows',
  'streamRead',
  'topK',
  'topKAbove',
  'scanTopK',
  'scanTopKMany',
  'boundedTopKMany',
  'quantizeRows',
  'quantizedTopK',
  'quantizedTopKMany',
  'rerankTopK',
  'gramRows',
  'mirrorLower',
  'sparseProductTopKRows',
  'sparseDenseRows',
  'sweepPivot',
  'sweepPanel',
  'rankUpdate',
  'sweepStore',
  'sweepStorePivot',
  'choleskyPivot',
  'choleskyPanel',
  'choleskySolve',
  'randomWalks',
  'rankFeatures',
  'maskedTrees',
  'spreadFeatures',
  'walkedTrees',
  'neighbourEvidence',
  'historySimilarity',
  'networkItemRows',
  'networkExampleRows',
  'networkItemGradients',
  'networkAttributeRows',
  'alsSolveRows',
  'alsTransformRows',
  'alsGramRows',
  'alsBasis',
];

/** Rows are padded to this many floats in factorisation workspaces. */
export const panelPadding = 16;
/** Columns per packed strip of a rank update; part of the data layout of both implementations. */
export const stripColumns = 8;
/** Steps per independently seeded chunk of a random walk. */
export const walkChunkSteps = 16_384;
/** Interleaved walkers per chunk. */
export const walkersPerChunk = 8;

/** Bytes of workspace that a top-k selection needs: its state and twice as many keys as it keeps. */
export function selectionBytes(k: number): number {
  return 64 + (2 * k + 256) * 8;
}
/** Bytes of workspace for `scanTopKMany`: packed queries and rows, a tile of scores, selections. */
export function batchWorkspaceBytes(width: number, queryCount: number, k: number): number {
  const strips = Math.ceil(queryCount / stripColumns) + 1;
  return strips * stripColumns * width * 4 + 256 + queryCount * selectionBytes(k);
}
/** Bytes of workspace for `boundedTopKMany`: components, rests and rows kept of each query, and room to sort components. */
export function boundedWorkspaceBytes(width: number, queryCount: number, most: number): number {
  const chunks = Math.ceil(width / 16);
  return queryCount * (16 + chunks * 128 + (chunks + 2) * 4 + most * 8 + 4) + 8 + width * 16 + 1024;
}
/** Bytes of workspace for `quantizedTopKMany`: widened codes of 16 rows, selections. */
export function quantizedBatchBytes(stride: number, queryCount: number, k: number): number {
  return 16 * stride * 2 + queryCount * selectionBytes(k);
}
/** Bytes of workspace for one thread of `sparseProductTopKRows`; zero at the first call. */
export function productWorkspaceBytes(rightColumnCount: number, k: number): number {
  // A word, sixteen scores; sums in blocks of sixteen columns, and their marks; a selection with room for its keys twice.
  const blocks = Math.ceil(rightColumnCount / 16);
  return 128 + blocks * 64 + Math.ceil(blocks / 64) * 64 + 64 + (2 * k + 256) * 16;
}
/** Bytes of workspace for one thread of `randomWalks`: node and two words of generator per walker. */
export const walkWorkspaceBytes = walkersPerChunk * 12;
/** Bytes of workspace for `sweepPivot` and `choleskyPivot`. */
export function pivotWorkspaceBytes(order: number): number {
  return order * order * 16;
}
/** Rows of at most so many entries are solved directly by `alsSolveRows`. */
export const alsDirectEntries = 24;
/** Bytes of workspace for `alsSolveRows`: five vectors, and the matrix of a direct solution with its three vectors. */
export function alsWorkspaceBytes(stride: number): number {
  return 5 * stride * 4 + (alsDirectEntries + 4) * (alsDirectEntries + 4) * 4 + 32;
}
/** Bytes of workspace for `alsBasis`: two matrices and four vectors of doubles. */
export function alsBasisBytes(width: number): number {
  return (2 * width * width + 4 * width) * 8;
}
/** Bytes of a basis: two matrices of doubles. */
export function alsStateBytes(width: number): number {
  return 2 * width * width * 8;
}
