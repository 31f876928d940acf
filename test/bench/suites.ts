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
  /** The goals it measures, as `--only` names them. */
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
