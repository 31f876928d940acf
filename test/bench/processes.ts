import { spawn } from 'node:child_process';
import { root } from './online-retail.js';

/**
 * Runs a module's text in a fresh Node without loaders, in the folder of the repository, and gives the JSON it prints.
 *
 * @throws Error when it ends with another code than 0
 */
export function runScript(script: string, parameters: readonly string[], flags: readonly string[] = []): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', script, ...parameters], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(text));
      else reject(new Error(`A process of the measurement ended with ${signal ?? code}.`));
    });
  });
}
