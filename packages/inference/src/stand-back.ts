import { setPriority } from 'node:os';
import { platform } from 'node:process';

/** How much a thread stands back behind the host's own threads, in steps of Linux's `nice`. */
const niceness = 5;

/**
 * Models compute for tens of milliseconds at a time, and so does the work around them. Where cores are short, the host's event
 * loop comes first: woken by a message, a worker would otherwise often take the very core that the sender runs on. Lowers the
 * priority of the calling thread alone: only Linux has priorities of threads; elsewhere the call would slow the whole process.
 */
export function standBack(): void {
  if (platform !== 'linux') return;
  try {
    setPriority(0, niceness);
  } catch {
    // Where that is forbidden, all threads are alike.
  }
}
