// Runs a build in a process of its own and prints what it does as JSON lines.
//   build-driver.mjs <config> [kill-at]   ends itself with SIGKILL at a step, e.g. "fit habits start"
//   build-driver.mjs <config> --full      builds again and again, the nth file of each build landing on a full disk (/dev/full)
import { writeSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { buildPipeline } from '@recloom/core';

const [, , config, mode = ''] = process.argv;
const print = (line) => writeSync(1, `${JSON.stringify(line)}\n`);

const observer = {
  step(step, phase, detail) {
    print({ step, phase, ...(detail?.reused === undefined ? {} : { reused: detail.reused }) });
    if (`${step} ${phase}` === mode) process.kill(process.pid, 'SIGKILL');
  },
  progress() {},
  warn() {},
};

async function build() {
  try {
    const { snapshotId, components } = await buildPipeline(config, { observer });
    print({ id: snapshotId, reused: components.filter((component) => component.reused).map((component) => component.name) });
    return true;
  } catch (error) {
    print({ code: error.code, message: error.message, retryable: error.retryable });
    return false;
  }
}

if (mode === '--full') {
  const { open } = promises;
  let left = 0;
  // Only new files below the snapshots' folder: what a build writes.
  promises.open = (path, flags, ...rest) => {
    const isNew = flags === 'wx' && String(path).includes('.recloom');
    return isNew && left-- === 1 ? open('/dev/full', 'w') : open(path, flags, ...rest);
  };
  syncBuiltinESMExports();
  for (let place = 1; ; place++) {
    left = place;
    print({ place });
    if (await build()) break;
  }
} else if (!(await build())) process.exitCode = 1;
