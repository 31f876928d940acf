import type { ComponentState } from '@recloom/plugin-api';

export class PartStore {
  constructor(_root: string) {}
  async get(_key: string): Promise<ComponentState | undefined> {
    throw new Error('in work');
  }
  async put(_key: string, _tensors: ComponentState): Promise<void> {
    throw new Error('in work');
  }
  async prune(_keepKeys: Iterable<string>): Promise<void> {
    throw new Error('in work');
  }
}
