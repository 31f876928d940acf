export interface BuildLock {
  /** @throws RECLOOM_DAT_LOCKED when another build took over. */
  assertHeld(): void;
  release(): Promise<void>;
}
