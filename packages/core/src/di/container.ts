import 'reflect-metadata';
import type { NeedsSpec, Provided } from '@recloom/plugin-api';
import { Container } from 'inversify';
import type { ServiceDefault } from './services.js';
import { translateError } from './translate-error.js';

/** The root container of one pipeline: the host's services and the defaults of those it did not replace. */
export class ServiceContainer {
  readonly #container = new Container({ defaultScope: 'Singleton' });
  #closed = false;

  constructor(defaults: readonly ServiceDefault[], provided: Provided) {
    const replaced = new Set(provided.map(([token]) => token.id));
    for (const [token, value] of provided) this.#container.bind(token.id).toConstantValue(value);
    for (const service of defaults) {
      if (replaced.has(service.token.id)) continue;
      const binding = this.#container
        .bind(service.token.id)
        .toResolvedValue(() => service.make((token) => this.get(token.id)))
        .inSingletonScope();
      // A host's own service is the host's to dispose; only our defaults are ended with the pipeline.
      if (service.dispose !== undefined) binding.onDeactivation(service.dispose as (value: unknown) => void | Promise<void>);
    }
  }

  /** One service by token id; made on first use. */
  async get<Value>(tokenId: string): Promise<Value> {
    try {
      return await this.#container.getAsync<Value>(tokenId);
    } catch (error) {
      throw translateError(error, `service ${tokenId}`);
    }
  }

  /** A child in which the nodes of one assembly live; ending it leaves the services alone. */
  assembly(constants: Provided = []): AssemblyContainer {
    const child = new Container({ parent: this.#container, defaultScope: 'Singleton' });
    for (const [token, value] of constants) child.bind(token.id).toConstantValue(value);
    return new AssemblyContainer(child);
  }

  /** Disposes the services that core made. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#container.unbindAllAsync();
  }
}

/** The nodes of one assembly. Used while assembling and when it ends, never by a request. */
export class AssemblyContainer {
  readonly #parent: Container;
  readonly #nodes: { readonly container: Container; readonly name: string }[] = [];

  constructor(parent: Container) {
    this.#parent = parent;
  }

  /**
   * Makes one node in a child container of its own: resolves its needs by token, calls `create` with them, and
   * disposes the instance when the assembly ends. A node that fails is unbound at once, since a failed async
   * singleton would be cached for ever.
   */
  async bindNode<Instance>(
    name: string,
    needs: NeedsSpec,
    create: (deps: Record<string, unknown>) => Instance | Promise<Instance>,
  ): Promise<Instance> {
    const container = new Container({ parent: this.#parent, defaultScope: 'Singleton' });
    const keys = Object.keys(needs);
    const serviceIds = keys.map((key) => (needs[key] as { id: string }).id);
    const nodeId = `node:${name}`;
    let failure: unknown;
    container
      .bind<Instance>(nodeId)
      .toResolvedValue(async (...values: unknown[]) => {
        try {
          return await create(Object.fromEntries(keys.map((key, index) => [key, values[index]])));
        } catch (error) {
          failure = error;
          throw error;
        }
      }, serviceIds as never)
      .inSingletonScope()
      .onDeactivation(async (instance) => {
        const dispose = (instance as { dispose?: () => void | Promise<void> }).dispose;
        if (typeof dispose === 'function') await dispose.call(instance);
      });
    try {
      const instance = await container.getAsync<Instance>(nodeId);
      this.#nodes.push({ container, name });
      return instance;
    } catch (error) {
      throw failure ?? translateError(error, `component ${name}`);
    }
  }

  /** Disposes every node, last made first, and collects what went wrong. Idempotent. */
  async close(): Promise<readonly { readonly name: string; readonly error: unknown }[]> {
    const failures: { name: string; error: unknown }[] = [];
    for (const { container, name } of this.#nodes.splice(0).reverse()) {
      try {
        await container.unbindAllAsync();
      } catch (error) {
        failures.push({ name, error });
      }
    }
    return failures;
  }
}
