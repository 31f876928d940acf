import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** A process, told apart from every other one that ever ran. */
export interface ProcessIdentity {
  /** Digest of the machine, its boot and the process namespace: process numbers mean the same only within one. */
  readonly machine: string;
  readonly pid: number;
  /** When the process started, in the system's own unit; empty where that cannot be told. */
  readonly started: string;
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  return { machine: machineDigest(), pid: process.pid, started: processState(process.pid)?.started ?? '' };
}

/**
 * `dead` and `alive` are certain; `unsure` when the process ran on another machine, or when its number may belong to another
 * process by now.
 */
export function livenessOf(identity: ProcessIdentity): 'alive' | 'dead' | 'unsure' {
  if (identity.machine !== machineDigest()) return 'unsure';
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    // EPERM: it is there and belongs to another user.
    if ((error as { code?: unknown }).code === 'ESRCH') return 'dead';
  }
  const state = processState(identity.pid);
  if (state === undefined || identity.started === '') return 'unsure';
  return state.started === identity.started && !state.ended ? 'alive' : 'dead';
}

/** A name beginning with `.tmp-` that says which process it belongs to, so that leftovers of dead ones can be told. */
export function temporaryName(hint: string): string {
  const { machine, pid, started } = ownIdentity();
  return `.tmp-${machine}-${pid}-${started || 'x'}-${randomBytes(4).toString('hex')}-${hint}`;
}

/** The process a temporary name belongs to; undefined for any other name. */
export function ownerOfTemporary(name: string): ProcessIdentity | undefined {
  const match = /^\.tmp-([0-9a-f]+)-(\d+)-(\d+|x)-[0-9a-f]{8}-/.exec(name);
  if (match === null) return undefined;
  return { machine: match[1] as string, pid: Number(match[2]), started: match[3] === 'x' ? '' : (match[3] as string) };
}

function machineDigest(): string {
  let machine = hostname();
  if (process.platform === 'linux') {
    try {
      machine = `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
    } catch {
      // A system without /proc: the name of the host has to do.
    }
  }
  return createHash('sha256').update(machine).digest('hex').slice(0, 12);
}

/** From /proc: start time in clock ticks since boot, and whether the process has ended but was not yet reaped. */
function processState(pid: number): { readonly started: string; readonly ended: boolean } | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    // The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const started = fields[19];
    return started === undefined ? undefined : { started, ended: fields[0] === 'Z' || fields[0] === 'X' };
  } catch {
    return undefined;
  }
}
