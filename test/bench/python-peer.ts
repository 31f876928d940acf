// Python processes that hold a peer's library and answer a line of numbers to each line they are given.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

/** How to get a Python with all the libraries that the bench compares with. */
export const howToGetPeers =
  "set RECLOOM_BENCH_PYTHON to one: python3 -m venv /tmp/peers && /tmp/peers/bin/pip install implicit==0.7.3 rectools==0.19.0 'numpy<2' scipy onnxruntime";

/** A Python that can import these modules, or undefined: `RECLOOM_BENCH_PYTHON`, `RECLOOM_PYTHON`, else `python3`. */
export function findPythonWith(...modules: readonly string[]): string | undefined {
  const candidates = [process.env['RECLOOM_BENCH_PYTHON'], process.env['RECLOOM_PYTHON'], 'python3'];
  return candidates.find(
    (python) =>
      python !== undefined &&
      python !== '' &&
      spawnSync(python, ['-W', 'ignore', '-c', `import ${modules.join(', ')}`], { stdio: 'ignore' }).status === 0,
  );
}

/** A process of one script. The script prints its library's version first. */
export class PythonPeer {
  /** What the script printed first. */
  readonly version: string;
  readonly #process: ChildProcess;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  /** Where its files lie, and where it may leave others. */
  readonly folder: string;

  private constructor(child: ChildProcess, reader: Interface, lines: AsyncIterator<string>, folder: string, version: string) {
    this.#process = child;
    this.#reader = reader;
    this.#lines = lines;
    this.folder = folder;
    this.version = version;
  }

  /** Starts `script` with a folder that holds `files`, then `parameters`; its own threads (OpenMP) are one unless told. @throws Error when it ends at once */
  static async start(
    python: string,
    script: string,
    files: Readonly<Record<string, Int32Array | Float32Array>>,
    parameters: readonly (string | number)[],
    threads = 1,
  ): Promise<PythonPeer> {
    const folder = mkdtempSync(join(tmpdir(), 'recloom-bench-'));
    for (const [name, values] of Object.entries(files)) writeFileSync(join(folder, name), values);
    const child = spawn(python, ['-W', 'ignore', '-c', script, folder, ...parameters.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: '1' },
    });
    if (child.stdout === null) throw new Error('Python has no output.');
    const reader = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const { value, done } = await lines.next();
    if (done === true) {
      rmSync(folder, { recursive: true, force: true });
      throw new Error(`${python} ended at once.`);
    }
    return new PythonPeer(child, reader, lines, folder, value);
  }

  /** The numbers that the script answers to one line. @throws Error when it has ended */
  async ask(line = ''): Promise<readonly number[]> {
    this.#process.stdin?.write(`${line}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('Python ended.');
    return value.split(' ').map(Number);
  }

  /** Ends the process and removes its folder. */
  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#process.once('exit', done));
    this.#process.stdin?.end();
    await ended;
    this.#reader.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
