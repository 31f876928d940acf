import { type InferenceSession, type InferenceTensor, isRecloomError } from '@recloom/plugin-api';

/** Runs a model; when its worker died and was replaced, once more: that saves a build of minutes. */
export async function runTwice(
  session: InferenceSession,
  feeds: Readonly<Record<string, InferenceTensor>>,
  output: string,
  signal: AbortSignal,
): Promise<InferenceTensor | undefined> {
  const options = { outputs: [output], signal };
  try {
    return (await session.run(feeds, options))[output];
  } catch (error) {
    if (!isRecloomError(error) || error.code !== 'RECLOOM_RUN_WORKER_DIED' || signal.aborted) throw error;
    return (await session.run(feeds, options))[output];
  }
}
