import type { Outcome } from './goal.js';
import type { Growth } from './growth.js';

export interface SuiteOptions {
  /** Fewer rounds: to see that everything runs, not to publish. */
  readonly quick: boolean;
}

/** What one suite found. */
export interface SuiteResult {
  readonly outcomes: readonly Outcome[];
  readonly growth?: Growth;
}

/** Measurements that share data and run together, in a process of their own. */
export interface Suite {
  readonly id: string;
  /** The goals it measures, as `--only` names them; several suites may measure a goal. */
  readonly goals: readonly string[];
  /** Run when nothing is selected. */
  readonly usual: boolean;
  readonly summary: string;
  run(options: SuiteOptions): Promise<SuiteResult>;
}

/** All suites, in the order they run. Each loads its code when it runs. */
export const suites: readonly Suite[] = [
  {
    id: 'overhead',
    goals: ['G1'],
    usual: true,
    summary: 'what the framework adds to a request',
    run: async (options) => ({ outcomes: await (await import('./requests.js')).benchOverhead(options) }),
  },
  {
    id: 'model-requests',
    goals: ['G1'],
    usual: true,
    summary: 'what the framework adds to a network of a team',
    run: async (options) => ({ outcomes: await (await import('./model-requests.js')).benchModelRequests(options) }),
  },
  {
    id: 'scorer-onnx',
    goals: ['G1', 'G2', 'G8'],
    usual: true,
    summary: 'models in scorer-onnx against the bare run of onnxruntime',
    run: async (options) => ({ outcomes: await (await import('./scorer-onnx.js')).benchScorerOnnx(options) }),
  },
  {
    id: 'trees',
    goals: ['G2', 'G8'],
    usual: true,
    summary: 'kernels for linear models and trees against onnxruntime',
    run: async (options) => {
      const { benchLinear, benchTrees } = await import('./trees.js');
      return { outcomes: [...(await benchLinear(options)), ...(await benchTrees(options))] };
    },
  },
  {
    id: 'graph-columns',
    goals: ['GRAPH'],
    usual: true,
    summary: 'what the graph says of candidates',
    run: async (options) => ({ outcomes: await (await import('./graph-columns.js')).benchGraphColumns(options) }),
  },
  {
    id: 'load',
    goals: ['G3'],
    usual: true,
    summary: 'latency at half load, random arrivals',
    run: async (options) => ({ outcomes: await (await import('./load.js')).benchLoad(options) }),
  },
  {
    id: 'encoders',
    goals: ['G7'],
    usual: true,
    summary: "encoders against Python's onnxruntime",
    run: async (options) => ({ outcomes: await (await import('./encoders.js')).benchEncoders(options) }),
  },
  {
    id: 'event-loop',
    goals: ['G9'],
    usual: true,
    summary: 'the event loop while encoders work',
    run: async (options) => ({ outcomes: await (await import('./event-loop.js')).benchEventLoop(options) }),
  },
  {
    id: 'shared-runs',
    goals: ['G10'],
    usual: true,
    summary: 'small concurrent scorings in shared runs',
    run: async (options) => ({ outcomes: await (await import('./inference-batching.js')).benchSharedRuns(options) }),
  },
  {
    id: 'memory',
    goals: ['MEMORY'],
    usual: true,
    summary: 'memory of inference workers',
    run: async (options) => ({ outcomes: await (await import('./memory.js')).benchMemory(options) }),
  },
  {
    id: 'start-up',
    goals: ['START'],
    usual: true,
    summary: 'from the start of a process to the first answer',
    run: async (options) => ({ outcomes: await (await import('./start-up.js')).benchStartUp(options) }),
  },
  {
    id: 'fixed-cost',
    goals: ['G11'],
    usual: true,
    summary: 'the fixed cost of a request',
    run: async (options) => ({ outcomes: await (await import('./requests.js')).benchFixedCost(options) }),
  },
  {
    id: 'scans',
    goals: ['G4', 'G13'],
    usual: true,
    summary: 'exact vector search against the memory',
    run: async (options) => ({ outcomes: await (await import('./kernels.js')).benchScans(options) }),
  },
  {
    id: 'batch-scan',
    goals: ['G5'],
    usual: true,
    summary: "64 queries at once against onnxruntime's MatMul and TopK, and implicit's topk",
    run: async (options) => ({ outcomes: await (await import('./batch-scan.js')).benchBatchScan(options) }),
  },
  {
    id: 'walks',
    goals: ['G12'],
    usual: true,
    summary: 'random walks',
    run: async (options) => ({ outcomes: await (await import('./kernels.js')).benchWalks(options) }),
  },
  {
    id: 'ease',
    goals: ['EASE'],
    usual: true,
    summary: 'EASE on 3,066 items against numpy',
    run: async (options) => ({ outcomes: await (await import('./ease.js')).benchEase(options) }),
  },
  {
    id: 'item-knn',
    goals: ['KNN'],
    usual: true,
    summary: "item-kNN's fit against implicit's",
    run: async (options) => ({ outcomes: await (await import('./item-knn.js')).benchItemKnn(options) }),
  },
  {
    id: 'als',
    goals: ['G6'],
    usual: true,
    summary: "an epoch of alternating least squares against implicit's",
    run: async (options) => ({ outcomes: await (await import('./als.js')).benchAls(options) }),
  },
  {
    id: 'linear',
    goals: ['EASE'],
    usual: false,
    summary: 'EASE on 12,101 items against numpy, time and memory; how next-purchase grows',
    run: async (options) => ({ outcomes: await (await import('./ease.js')).benchLinear(options) }),
  },
  {
    id: 'batch-recommendation',
    goals: ['BATCH'],
    usual: false,
    summary: 'ten items for all of Amazon Beauty, against implicit and RecTools',
    run: async (options) => ({ outcomes: await (await import('./batch-recommendation.js')).benchBatch(options) }),
  },
  {
    id: 'evaluation',
    goals: ['EVALUATION'],
    usual: false,
    summary: 'evaluation of 22,363 users through the full pipeline',
    run: async (options) => ({ outcomes: await (await import('./evaluation.js')).benchEvaluation(options) }),
  },
  {
    id: 'preset-builds',
    goals: ['PRESETS'],
    usual: false,
    summary: 'building each preset on Online Retail: time and memory',
    run: async (options) => ({ outcomes: await (await import('./preset-builds.js')).benchPresets(options) }),
  },
  {
    id: 'data',
    goals: ['DATA'],
    usual: true,
    summary: 'reading and cleaning Online Retail against counting its lines',
    run: async (options) => ({ outcomes: await (await import('./data.js')).benchData(options) }),
  },
  {
    id: 'growth',
    goals: ['GROWTH'],
    usual: false,
    summary: 'fit and request time as users and items grow',
    run: async (options) => ({ outcomes: [], growth: await (await import('./growth.js')).benchGrowth(options) }),
  },
];
