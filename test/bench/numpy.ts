import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import type { Timing } from './measure.js';

const script = `
import sys, time
import numpy
size, dtype = int(sys.argv[1]), sys.argv[2]
x = numpy.random.default_rng(0).random((size, 200))
gram = (x @ x.T + 100 * numpy.eye(size)).astype(dtype)
print(numpy.__version__, flush=True)
for line in sys.stdin:
    cpu, wall = time.process_time(), time.perf_counter()
    numpy.linalg.inv(gram)
    print(1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall), flush=True)
`;

/** A Python that has numpy, or undefined: `RECLOOM_PYTHON`, else `python3`. */
export function findPython(): string | undefined {
  const wanted = process.env['RECLOOM_PYTHON'];
  const candidates = wanted === undefined || wanted === '' ? ['python3'] : [wanted];
  return candidates.find((python) => spawnSync(python, ['-c', 'import numpy'], { stdio: 'ignore' }).status === 0);
}

/** A Python process that inverts the same matrix of `size` × `size` whenever asked, on a given number of threads. */
export class NumpyInverse {
  readonly version: string;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(child: ChildProcess, reader: Interface, lines: AsyncIterator<string>, version: string) {
    this.#process = child;
    this.#reader = reader;
    this.#lines = lines;
    this.version = version;
  }

  static async start(python: string, size: number, dtype: 'float32' | 'float64', threads: number): Promise<NumpyInverse> {
    const count = String(threads);
    const child = spawn(python, ['-c', script, String(size), dtype], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OPENBLAS_NUM_THREADS: count, OMP_NUM_THREADS: count, MKL_NUM_THREADS: count },
    });
    if (child.stdout === null) throw new Error('Python has no output.');
    const reader = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${python} ended at once.`);
    return new NumpyInverse(child, reader, lines, value);
  }

  /** One `numpy.linalg.inv`, timed by Python itself. */
  readonly invert = async (): Promise<Timing> => {
    this.#process.stdin?.write('\n');
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('Python ended.');
    const [cpuMs, wallMs] = value.split(' ').map(Number);
    return { cpuMs: cpuMs as number, wallMs: wallMs as number };
  };

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin?.end();
    await ended;
    this.#reader.close();
  }
}
