import { type ComponentDefinition, isRecloomError, type PluginDefinition, type Provided } from '@recloom/plugin-api';
import type { TestInputs } from '../../host/host.js';
import { featureMatrix } from '../../host/requests.js';
import { probesOf } from '../probes.js';
import { type ComponentFixture, type ConformanceOptions, createSubject } from '../subject.js';
import type { ChildComponent, ChildRequest, OpenFinding } from './messages.js';

interface SetupModule {
  readonly default?: { readonly provide?: Provided; readonly fixtures?: Readonly<Record<string, ComponentFixture>> };
}

/** Fits, opens and uses every component; the first failure of each is what is told. */
export async function openComponents(plugin: unknown, request: ChildRequest): Promise<readonly OpenFinding[]> {
  const setup = request.setupModule === undefined ? undefined : ((await import(request.setupModule)) as SetupModule).default;
  const findings: OpenFinding[] = [];
  for (const component of request.components ?? []) {
    const definition = (plugin as PluginDefinition).components.find((candidate) => candidate.id === component.id);
    if (definition === undefined) {
      findings.push({ component: component.id, outcome: 'failed', code: undefined, message: 'the package does not have this component' });
      continue;
    }
    const own = setup?.fixtures?.[component.id];
    const fixture: ComponentFixture = own ?? {
      options: component.options,
      ...(component.directory === undefined ? {} : { directory: component.directory }),
      ...(component.request === undefined ? {} : { request: component.request }),
      ...(component.columns === undefined ? {} : { columns: component.columns }),
      ...(component.inputs === undefined ? {} : { inputs: revive(component.inputs) }),
    };
    findings.push(
      await openOne(plugin as PluginDefinition, definition, { provide: setup?.provide ?? [], fixtures: { [component.id]: fixture } }),
    );
  }
  return findings;
}

async function openOne(plugin: PluginDefinition, definition: ComponentDefinition, options: ConformanceOptions): Promise<OpenFinding> {
  const component = definition.id;
  try {
    const subject = createSubject(plugin, definition, options);
    const { instance } = await subject.open();
    for (const probe of probesOf(subject)) await probe.run(instance, new AbortController().signal);
    await instance.dispose?.();
    return { component, outcome: 'worked', code: undefined, message: '' };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { component, outcome: 'failed', code: isRecloomError(error) ? error.code : undefined, message };
  }
}

function revive(inputs: NonNullable<ChildComponent['inputs']>): TestInputs {
  const one = (given: unknown): string | ReturnType<typeof featureMatrix> => {
    if (typeof given === 'string') return given;
    const { name, width, values, presence } = given as { name: string; width: number; values: Float32Array; presence: Uint8Array };
    return featureMatrix(name, width, values, presence);
  };
  return Object.fromEntries(Object.entries(inputs).map(([name, given]) => [name, Array.isArray(given) ? given.map(one) : one(given)]));
}
