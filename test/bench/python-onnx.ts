import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { InferenceTensor } from '@recloom/plugin-api';
import type { Timing } from './measure.js';

const script = `
import json, sys, time
import numpy, onnxruntime
model, folder, output = sys.argv[1:4]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
data = numpy.fromfile(folder + '/feeds.bin', dtype=numpy.uint8)
def tensor(entry):
    return data[entry['from']:entry['to']].view(entry['type']).reshape(entry['dims'])
runs = [{name: tensor(entry) for name, entry in run.items()} for run in json.load(open(folder + '/feeds.json'))]
session.run([output], runs[0])[0].astype(numpy.float32).tofile(folder + '/first.bin')
print(onnxruntime.__version__, flush=True)
for line in sys.stdin:
    cpu, wall = time.process_time(), time.perf_counter()
    for feeds in runs:
        session.run([output], feeds)
    print(1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall), flush=True)
`;

/** What a model is fed in one run. */
export type Feeds = Readonly<Record<string, InferenceTensor>>;

/** A Python that has onnxruntime and numpy, or undefined: `RECLOOM_BENCH_PYTHON`, `RECLOOM_PYTHON`, else `python3`. */
export function findPythonOnnx(): string | undefined {
  const wanted = process.env['RECLOOM_BENCH_PYTHON'] || process.env['RECLOOM_PYTHON'];
  return [wanted || 'python3'].find((python) => spawnSync(python, ['-c', 'import numpy, onnxruntime'], { stdio: 'ignore' }).status === 0);
}

/** A Python process that runs a model over the same inputs whenever asked, with onnxruntime on one thread. */
export class PythonOnnx {
  /** Of onnxruntime. */
  readonly version: string;
  /** The output of the first run. */
  readonly first: string;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(child: ChildProcess, reader: Interface, lines: AsyncIterator<string>, version: string, first: string) {
    this.#process = child;
    this.#reader = reader;
    this.#lines = lines;
    this.version = version;
    this.first = first;
  }

  /** @param folder an empty one, for what the process is given and gives */
  static async start(python: string, model: string, folder: string, output: string, runs: readonly Feeds[]): Promise<PythonOnnx> {
    const parts: Uint8Array[] = [];
    let at = 0;
    const index = runs.map((feeds) =>
      Object.fromEntries(
        Object.entries(feeds).map(([name, { type, dims, data }]) => {
          const from = at;
          parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
          at += data.byteLength;
          return [name, { type, dims, from, to: at }];
        }),
      ),
    );
    await writeFile(join(folder, 'feeds.bin'), parts);
    await writeFile(join(folder, 'feeds.json'), JSON.stringify(index));
    const child = spawn(python, ['-c', script, model, folder, output], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
    });
    if (child.stdout === null) throw new Error('Python has no output.');
    const reader = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${python} ended at once.`);
    return new PythonOnnx(child, reader, lines, value, join(folder, 'first.bin'));
  }

  /** All runs once, timed by Python itself. */
  readonly runAll = async (): Promise<Timing> => {
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
