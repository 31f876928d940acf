import { createHash } from 'node:crypto';
import type {
  Inference,
  InferenceRunOptions,
  InferenceSession,
  InferenceTensor,
  InferenceTensorInfo,
  ModelRequest,
} from '@recloom/plugin-api';

/** Tensors by name. */
export type Tensors = Readonly<Record<string, InferenceTensor>>;

/** A model written in plain code. */
export interface FakeModel {
  /** Default: what the request says under `expects`, with dynamic dimensions where it says nothing. */
  readonly inputs?: readonly InferenceTensorInfo[];
  readonly outputs?: readonly InferenceTensorInfo[];
  /** Default `cpu`. */
  readonly provider?: string;
  readonly batchDependent?: boolean;
  run(feeds: Tensors, options: InferenceRunOptions): Record<string, InferenceTensor> | Promise<Record<string, InferenceTensor>>;
}

/**
 * An inference service whose models are functions: no file is read. The hash of a session is the request's `sha256`, or
 * that of the file's path. Runs reject when their signal is aborted, and after `close`.
 */
export function fakeInference(model: FakeModel | ((request: ModelRequest) => FakeModel)): Inference {
  return {
    async load(request, signal) {
      await Promise.resolve();
      signal?.throwIfAborted();
      const made = typeof model === 'function' ? model(request) : model;
      let closed = false;
      const session: InferenceSession = {
        inputs: made.inputs ?? infoOf(request),
        outputs: made.outputs ?? (request.expects?.outputs ?? []).map((name) => ({ name, type: 'float32', dims: [-1, -1] })),
        provider: made.provider ?? 'cpu',
        warnings: [],
        sha256: request.sha256 ?? createHash('sha256').update(request.file).digest('hex'),
        ...(made.batchDependent === undefined ? {} : { batchDependent: made.batchDependent }),
        async run(feeds, options = {}) {
          options.signal?.throwIfAborted();
          if (closed) throw new Error('The session is closed.');
          await Promise.resolve();
          const outputs = await made.run(feeds, options);
          options.signal?.throwIfAborted();
          return outputs;
        },
        close() {
          closed = true;
          return Promise.resolve();
        },
      };
      return session;
    },
  };
}

function infoOf({ expects }: ModelRequest): readonly InferenceTensorInfo[] {
  return Object.entries(expects?.inputs ?? {}).map(([name, { type, dims }]) => ({ name, type, dims: dims ?? [-1, -1] }));
}

/** A run on its way to the real session. */
export interface InterceptedRun {
  readonly request: ModelRequest;
  readonly feeds: Tensors;
  readonly options: InferenceRunOptions;
  /** Runs it. */
  readonly proceed: () => Promise<Record<string, InferenceTensor>>;
}

/** An inference service that is looked at, and that can be made to fail. */
export interface WatchedInference extends Inference {
  /** Sessions handed out so far. */
  readonly opened: number;
  /** Of those, how many were given back. */
  readonly closed: number;
  /** Runs started so far. */
  readonly runs: number;
  /** SHA-256 and provider of every session handed out. */
  readonly sessions: readonly { readonly file: string; readonly sha256: string | undefined; readonly provider: string }[];
  /** Takes the place of every run while it is set. */
  intercept: ((run: InterceptedRun) => Promise<Record<string, InferenceTensor>>) | undefined;
  /** Called when a session is about to be handed out. */
  onOpened: (() => void) | undefined;
}

/** Wraps an inference service: counts sessions and runs, and lets a test stand between a component and its model. */
export function watchInference(inference: Inference): WatchedInference {
  const sessions: { file: string; sha256: string | undefined; readonly provider: string }[] = [];
  let opened = 0;
  let closed = 0;
  let runs = 0;
  const watched: WatchedInference = {
    get opened() {
      return opened;
    },
    get closed() {
      return closed;
    },
    get runs() {
      return runs;
    },
    sessions,
    intercept: undefined,
    onOpened: undefined,
    async load(request, signal) {
      const session = await inference.load(request, signal);
      opened++;
      sessions.push({
        file: request.file,
        sha256: session.sha256,
        get provider() {
          return session.provider;
        },
      });
      let open = true;
      watched.onOpened?.();
      return {
        inputs: session.inputs,
        outputs: session.outputs,
        get provider() {
          return session.provider;
        },
        get warnings() {
          return session.warnings;
        },
        ...(session.sha256 === undefined ? {} : { sha256: session.sha256 }),
        ...(session.batchDependent === undefined ? {} : { batchDependent: session.batchDependent }),
        run(feeds, options = {}) {
          runs++;
          const proceed = (): Promise<Record<string, InferenceTensor>> => session.run(feeds, options);
          return watched.intercept === undefined ? proceed() : watched.intercept({ request, feeds, options, proceed });
        },
        async close() {
          if (open) closed++;
          open = false;
          await session.close();
        },
      };
    },
  };
  return watched;
}
