/** Figures of a model that says how likely a click (or a purchase) is. */
export interface ClickMetrics {
  /** Probability that a positive scores above a negative, ties counting half (Mann–Whitney U over n₊·n₋); NaN unless both kinds are there. */
  readonly auc: number;
  /** Mean of −log p of what happened, in nats; p is kept within [1e-15, 1 − 1e-15]. NaN without examples. */
  readonly logLoss: number;
  /** Expected calibration error: Σ over bins of their share × |mean prediction − share of positives| (Guo 2017). NaN without examples. */
  readonly calibrationError: number;
}

/**
 * Compares predicted probabilities with what happened.
 *
 * @param labels one byte per example, 1 = it happened.
 * @param bins equally wide bins of the calibration error; default 15 as in the paper.
 * @throws RangeError when the lengths differ or a prediction is not in [0, 1].
 */
export function clickMetrics(predictions: ArrayLike<number>, labels: ArrayLike<number>, bins = 15): ClickMetrics {
  const count = predictions.length;
  if (labels.length !== count) throw new RangeError(`${count} predictions do not fit ${labels.length} labels`);
  let loss = 0;
  const binCount = new Float64Array(bins);
  const binPrediction = new Float64Array(bins);
  const binPositive = new Float64Array(bins);
  for (let index = 0; index < count; index++) {
    const prediction = predictions[index] as number;
    if (!(prediction >= 0 && prediction <= 1)) throw new RangeError('a prediction is not a probability');
    const positive = (labels[index] as number) > 0;
    const kept = Math.min(1 - 1e-15, Math.max(1e-15, prediction));
    loss -= positive ? Math.log(kept) : Math.log1p(-kept);
    const bin = Math.min(bins - 1, Math.floor(prediction * bins));
    binCount[bin] = (binCount[bin] as number) + 1;
    binPrediction[bin] = (binPrediction[bin] as number) + prediction;
    if (positive) binPositive[bin] = (binPositive[bin] as number) + 1;
  }
  let calibration = 0;
  for (let bin = 0; bin < bins; bin++) calibration += Math.abs((binPrediction[bin] as number) - (binPositive[bin] as number));
  return {
    auc: areaUnderCurve(predictions, labels),
    logLoss: count === 0 ? Number.NaN : loss / count,
    calibrationError: count === 0 ? Number.NaN : calibration / count,
  };
}

/**
 * Area under the ROC curve of any scores, by ranks: ties count half. NaN unless there are both positives and negatives.
 *
 * @throws RangeError when the lengths differ or a score is NaN.
 */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const count = scores.length;
  if (labels.length !== count) throw new RangeError(`${count} scores do not fit ${labels.length} labels`);
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  order.sort((left, right) => (scores[left] as number) - (scores[right] as number));
  let positives = 0;
  let rankSum = 0;
  for (let start = 0; start < count; ) {
    const score = scores[order[start] as number] as number;
    if (Number.isNaN(score)) throw new RangeError('a score is NaN');
    let end = start;
    while (end < count && scores[order[end] as number] === score) end++;
    const rank = (start + 1 + end) / 2;
    for (let place = start; place < end; place++) {
      if (!((labels[order[place] as number] as number) > 0)) continue;
      positives++;
      rankSum += rank;
    }
    // A NaN in the middle equals nothing, not even itself.
    if (end === start) throw new RangeError('a score is NaN');
    start = end;
  }
  const negatives = count - positives;
  return positives === 0 || negatives === 0 ? Number.NaN : (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
