import { buildInteractions, type Interactions, typeMask, unknownEventType, usersCut } from '@recloom/item-models';
import { type AlsObjective, alternatingLeastSquares, diagonalizeFactors, type SparseMatrix } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type computeToken,
  type FitContext,
  type InputsSpec,
  isRecloomError,
  type RandomStream,
  RecloomError,
  tensor,
} from '@recloom/plugin-api';
import type { IalsOptions } from './options.js';

interface Needs {
  readonly [name: string]: typeof computeToken;
  readonly compute: typeof computeToken;
}
type IalsFit = FitContext<IalsOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };

/** Spread of the factors before the first epoch (Rendle et al. 2022): this by the square root of their number. */
const startDeviation = 0.1;

/** The kernels' form of the options: an observed pair has confidence unobservedWeight + alpha × its amount, and target 1. */
export function objectiveOf(options: IalsOptions): AlsObjective {
  return {
    unobservedWeight: options.unobservedWeight,
    targetOffset: options.unobservedWeight,
    regularization: options.lambda,
    regularizationExponent: options.regularizationExponent,
  };
}

/**
 * Implicit alternating least squares (Hu, Koren and Volinsky 2008) with the regularisation of Rendle, Krichene, Zhang and
 * Koren (2022): minimises the sum over all pairs of c (p - x . y)^2 plus the sum over people and items of
 * lambda (pairs + unobservedWeight × other side)^nu times their factor's square, where p is 1 and
 * c = unobservedWeight + alpha × amount for an observed pair, 0 and unobservedWeight for others. Keeps the items' factors
 * only, rotated so that their Gram matrix is diagonal: a person is solved for when they ask.
 *
 * @throws IALS_DIVERGED when factors are no longer finite. RECLOOM_KRN_OUT_OF_MEMORY.
 */
export async function fitIals(context: IalsFit): Promise<ComponentState> {
  const { history, options, signal } = context;
  const { compute } = context.deps;
  const counted = typeMask(history.typeNames, options.eventTypes, (name) =>
    context.warn(unknownEventType('IALS_EVENT_TYPE_UNKNOWN', name, history.typeNames)),
  );
  const interactions = buildInteractions(history, options, options, context.asOfMs, counted, signal);
  if (interactions.cutUsers > 0) context.warn(usersCut('IALS_USERS_CUT', interactions.cutUsers, options.maximumUserItems));
  const { matrix, modelRows } = compact(interactions, options.alpha);
  context.progress(0.05, 'interactions');
  const width = options.factors;
  const itemCount = tensor(Int32Array.of(history.itemCount));
  if (modelRows.length === 0) {
    return {
      itemCount,
      modelRows: tensor(modelRows),
      factors: tensor(new Float32Array(0), [0, width]),
      spectrum: tensor(new Float32Array(width)),
    };
  }
  const objective = { ...objectiveOf(options), uniformValue: options.alpha };
  try {
    const learned = await alternatingLeastSquares(matrix, objective, {
      width,
      epochs: options.epochs,
      columnFactors: startFactors(modelRows.length, width, context.random),
      onHalf: (half, halves) => {
        context.progress(
          0.05 + (0.9 * half) / halves,
          `epoch ${Math.ceil(half / 2)} of ${options.epochs}, ${half % 2 === 1 ? 'people' : 'items'}`,
        );
      },
      compute,
      signal,
    });
    const { factors, spectrum } = await diagonalizeFactors(learned.columnFactors, width, { compute, signal });
    return { itemCount, modelRows: tensor(modelRows), factors: tensor(factors, [modelRows.length, width]), spectrum: tensor(spectrum) };
  } catch (error) {
    throw isRecloomError(error) && error.code === 'RECLOOM_KRN_NOT_POSITIVE_DEFINITE' ? diverged(error) : error;
  }
}

function startFactors(count: number, width: number, random: RandomStream): Float32Array {
  const deviation = startDeviation / Math.sqrt(width);
  const factors = new Float32Array(count * width);
  for (let index = 0; index < factors.length; index++) factors[index] = deviation * random.normal();
  return factors;
}

/** The matrix over the people and items that have any pair, its values times alpha; and the items' rows, ascending. */
function compact({ matrix, itemUsers }: Interactions, alpha: number): { readonly matrix: SparseMatrix; readonly modelRows: Int32Array } {
  const modelRows = Int32Array.from(itemUsers.keys()).filter((row) => (itemUsers[row] as number) > 0);
  const placeOf = new Int32Array(itemUsers.length);
  modelRows.forEach((row, place) => {
    placeOf[row] = place;
  });
  const rowOffsets = new Int32Array(matrix.rowCount + 1);
  let rowCount = 0;
  for (let row = 0; row < matrix.rowCount; row++) {
    const end = matrix.rowOffsets[row + 1] as number;
    if (end > (rowOffsets[rowCount] as number)) rowOffsets[++rowCount] = end;
  }
  // An amount that float32 cannot hold would only show as a factor that is not a number.
  const values = matrix.values?.map((value) => value * alpha);
  if (values?.some((value) => !(value < Number.POSITIVE_INFINITY)) === true) throw diverged(undefined);
  return {
    matrix: {
      rowCount,
      columnCount: modelRows.length,
      rowOffsets: rowOffsets.slice(0, rowCount + 1),
      columnIndices: matrix.columnIndices.map((row) => placeOf[row] as number),
      values,
    },
    modelRows,
  };
}

function diverged(cause: unknown): RecloomError {
  return new RecloomError({
    code: 'IALS_DIVERGED',
    message: 'The factors became infinite or not a number while fitting, so there is no model.',
    hint: 'Raise lambda, or lower alpha; with useWeights look for extreme event weights.',
    cause,
  });
}
