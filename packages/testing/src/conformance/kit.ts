import type { PluginDefinition } from '@recloom/plugin-api';
import { type Law, LawBroken } from './law.js';
import { dataLaws } from './laws/data.js';
import { everyComponentLaws } from './laws/every-component.js';
import { extractorLaws } from './laws/extractor.js';
import { filterLaws } from './laws/filter.js';
import { fitLaws } from './laws/fit.js';
import { modalityLaws } from './laws/modality.js';
import { modelLaws } from './laws/model.js';
import { privacyLaws } from './laws/privacy.js';
import { rankerLaws } from './laws/ranker.js';
import { scorerLaws } from './laws/scorer.js';
import { sourceLaws } from './laws/source.js';
import { PackageInspector } from './package-check.js';
import { type ConformanceOptions, createSubject } from './subject.js';

/** Every law, in the order of their ids within each kind. */
export const laws: readonly Law[] = Object.freeze([
  ...everyComponentLaws,
  ...fitLaws,
  ...dataLaws,
  ...extractorLaws,
  ...modalityLaws,
  ...sourceLaws,
  ...filterLaws,
  ...scorerLaws,
  ...rankerLaws,
  ...privacyLaws,
  ...modelLaws,
]);

/** A law bound to one component of a plugin. */
export interface BoundLaw {
  /** The component's id. */
  readonly component: string;
  readonly id: string;
  readonly title: string;
  readonly law: string;
  /** Resolves when the component keeps the law. */
  run(): Promise<void>;
}

/** The laws that apply to a plugin's components, component by component. For any test runner: run each, a rejection is a failure. */
export function conformanceLaws(plugin: PluginDefinition, options: ConformanceOptions = {}): readonly BoundLaw[] {
  for (const id of Object.keys(options.fixtures ?? {})) {
    if (!plugin.components.some((component) => component.id === id)) {
      throw new RangeError(`There is a fixture for "${id}", which is no component of the plugin "${plugin.id}".`);
    }
  }
  return bindLaws(plugin, options, new PackageInspector(plugin, options));
}

/** `conformanceLaws` with a given inspector, so that several calls can share what it found. */
export function bindLaws(plugin: PluginDefinition, options: ConformanceOptions, inspector: PackageInspector): readonly BoundLaw[] {
  return plugin.components.flatMap((definition) => {
    let subject: ReturnType<typeof createSubject> | undefined;
    return laws
      .filter((law) => law.appliesTo(definition))
      .map(
        (law): BoundLaw => ({
          component: definition.id,
          id: law.id,
          title: law.title,
          law: law.law,
          async run() {
            subject ??= createSubject(plugin, definition, options, inspector);
            await law.run(subject);
          },
        }),
      );
  });
}

/** One law a component does not keep. */
export interface BrokenLaw {
  readonly component: string;
  readonly id: string;
  readonly title: string;
  readonly law: string;
  /** What was found. */
  readonly message: string;
  readonly error: unknown;
}

/** What `runLaws` found. */
export interface ConformanceReport {
  /** Laws kept, as `<component> <law id>`. */
  readonly kept: readonly string[];
  readonly broken: readonly BrokenLaw[];
}

/** Runs all laws that apply, one after the other, and reports. Never rejects because of a component. */
export function runLaws(plugin: PluginDefinition, options: ConformanceOptions = {}): Promise<ConformanceReport> {
  return runBoundLaws(conformanceLaws(plugin, options));
}

/** Runs the given laws, one after the other, and reports. */
export async function runBoundLaws(bound: readonly BoundLaw[]): Promise<ConformanceReport> {
  const kept: string[] = [];
  const broken: BrokenLaw[] = [];
  for (const one of bound) {
    const { component, id, title, law } = one;
    try {
      await one.run();
      kept.push(`${component} ${id}`);
    } catch (error) {
      const message = error instanceof LawBroken ? error.message : `It failed: ${error instanceof Error ? error.message : String(error)}`;
      broken.push({ component, id, title, law, message, error });
    }
  }
  return { kept, broken };
}
