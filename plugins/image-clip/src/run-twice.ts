import { type InferenceSession, type InferenceTensor, isRecloomError } from '@recloom/plugin-api';

/** What a run is fed. */
export interface RunFeeds {
  readonly tensors: Readonly<Record<string, InferenceTensor>>;
  /** Those whose memory the run may take. */
  readonly give: readonly string[];
}

/**
 * Runs a model; when its worker died and was replaced, once more: that saves a build of minutes.
 *
 * @throws the signal's reason when it was aborted while the feeds were made, and what the session throws
 */
export async function runTwice(
  session: InferenceSession,
  makeFeeds: () => RunFeeds | Promise<RunFeeds>,
  output: string,
  signal: AbortSignal,
): Promise<InferenceTensor | undefined> {
  const run = async (): Promise<InferenceTensor | undefined> => {
    const { tensors, give } = await makeFeeds();
    signal.throwIfAborted();
    return (await session.run(tensors, { outputs: [output], signal, give }))[output];
  };
  try {
    return await run();
  } catch (error) {
    if (!isRecloomError(error) || error.code !== 'RECLOOM_RUN_WORKER_DIED' || signal.aborted) throw error;
    return run();
  }
}
