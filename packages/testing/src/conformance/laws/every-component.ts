import { isDeepStrictEqual } from 'node:util';
import type { ComponentDefinition } from '@recloom/plugin-api';
import { deepFreeze } from '../../host/host.js';
import { digest } from '../digest.js';
import { allowedValues, type ObjectSchema, violations } from '../json-schema.js';
import { hold, type Law, LawBroken } from '../law.js';
import { lightPackages, thirdPartyLibraries } from '../package-check.js';
import { probesOf } from '../probes.js';
import { type Subject, sampleRequests } from '../subject.js';

const always = (): boolean => true;

function schemaOf(definition: ComponentDefinition): ObjectSchema {
  return definition.options['~standard'].jsonSchema.input({ target: 'draft-2020-12' }) as ObjectSchema;
}

async function validate(definition: ComponentDefinition, value: unknown): Promise<{ value?: unknown; issuePaths?: readonly string[] }> {
  const result = await definition.options['~standard'].validate(value);
  if (result.issues === undefined) return { value: result.value };
  return {
    issuePaths: result.issues.map((issue) =>
      (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
    ),
  };
}

function fixtureOptions(subject: Subject): Record<string, unknown> {
  return { ...((subject.fixture.options ?? {}) as Record<string, unknown>) };
}

const defaultsValid: Law = {
  id: 'ALL-01',
  title: 'defaults are valid',
  law: 'Options `{}` are valid; where something must be given, the JSON schema says so under `required` and the refusal names it.',
  appliesTo: always,
  async run({ definition, ...subject }) {
    const required = schemaOf(definition).required ?? [];
    const empty = await validate(definition, {});
    if (required.length === 0) {
      hold(
        empty.issuePaths === undefined,
        () => `{} is refused at "${empty.issuePaths?.join('", "')}", though the schema requires nothing.`,
      );
      return;
    }
    hold(empty.issuePaths !== undefined, `The schema requires ${required.join(', ')}, yet {} is accepted.`);
    for (const key of required) hold(empty.issuePaths.includes(key), `{} is refused without naming the required option "${key}".`);
    const given = await validate(definition, subject.fixture.options ?? {});
    hold(given.issuePaths === undefined, `The options of the fixture are refused at "${given.issuePaths?.join('", "')}".`);
  },
};

const optionsRoundTrip: Law = {
  id: 'ALL-02',
  title: 'JSON schema and validation agree',
  law: 'The JSON schema that editors and `recloom plugins` read tells the same as validation: descriptions, defaults, allowed and refused values; validated options are valid again.',
  appliesTo: always,
  async run(subject) {
    const { definition } = subject;
    const schema = schemaOf(definition);
    hold(schema.type === 'object', 'The options are not an object schema.');
    hold(isDeepStrictEqual(JSON.parse(JSON.stringify(schema)), schema), 'The JSON schema is not plain JSON.');
    const options = fixtureOptions(subject);
    const first = await validate(definition, options);
    hold(first.issuePaths === undefined, `The options of the fixture are refused at "${first.issuePaths?.join('", "')}".`);
    const again = await validate(definition, structuredClone(first.value));
    hold(again.issuePaths === undefined, `Validated options are refused at "${again.issuePaths?.join('", "')}" when validated again.`);
    hold(isDeepStrictEqual(again.value, first.value), 'Validating twice gives something else than validating once.');
    const properties = schema.properties ?? {};
    for (const key of Object.keys(first.value as object))
      hold(Object.hasOwn(properties, key), `Option "${key}" is not in the JSON schema.`);
    const rest = Object.fromEntries(Object.entries(options).filter(([key]) => (schema.required ?? []).includes(key)));
    // That the required options alone are valid is another law's matter.
    const defaults = (await validate(definition, rest)).value as Record<string, unknown> | undefined;
    for (const [key, property] of Object.entries(properties)) {
      hold((property.description ?? '').trim() !== '', `Option "${key}" has no description.`);
      if (defaults !== undefined && property.default !== undefined && !Object.hasOwn(rest, key)) {
        hold(isDeepStrictEqual(defaults[key], property.default), `Option "${key}": the schema's default is not what validation fills in.`);
      }
      for (const value of allowedValues(property)) {
        const { issuePaths = [] } = await validate(definition, { ...options, [key]: value });
        hold(!issuePaths.includes(key), `Option "${key}": the schema allows ${JSON.stringify(value)}, validation refuses it.`);
      }
      for (const value of violations(property)) {
        const { issuePaths } = await validate(definition, { ...options, [key]: value });
        hold(issuePaths !== undefined, `Option "${key}": the schema forbids ${JSON.stringify(value)}, validation accepts it.`);
      }
    }
  },
};

const unknownKeyRejected: Law = {
  id: 'ALL-03',
  title: 'unknown options are refused',
  law: 'A misspelt option is an error, in validation and in the JSON schema; it is never ignored.',
  appliesTo: always,
  async run(subject) {
    const { definition } = subject;
    const result = await validate(definition, { ...fixtureOptions(subject), zzUnknownOption: 1 });
    hold(result.issuePaths !== undefined, 'An unknown option is accepted.');
    hold(schemaOf(definition).additionalProperties === false, 'The JSON schema allows additional properties.');
  },
};

const importLight: Law = {
  id: 'ALL-04',
  title: 'importing the plugin loads no library',
  law: `Importing the package loads nothing but its own files and ${lightPackages.join(', ')}: a pipeline pays only for what it uses.`,
  appliesTo: always,
  async run(subject) {
    const { heavy } = await subject.inspector.imported();
    hold(heavy.length === 0, () => `Importing the plugin loads ${heavy.join(', ')}.`);
  },
};

const missingLibrary: Law = {
  id: 'ALL-05',
  title: 'a missing library is named with its range',
  law: 'Without one of its libraries the plugin can be imported, and what needs it fails with RECLOOM_PLG_LIBRARY_MISSING, naming package and range.',
  appliesTo: always,
  async run(subject) {
    for (const library of thirdPartyLibraries(subject.inspector.manifest())) {
      const findings = await subject.inspector.withoutLibrary(library.name);
      const missing = findings.filter((finding) => finding.code === 'RECLOOM_PLG_LIBRARY_MISSING');
      const affected = findings.filter((finding) => finding.outcome === 'failed' && !finding.failsAnyway);
      for (const finding of affected) {
        hold(
          finding.code === 'RECLOOM_PLG_LIBRARY_MISSING',
          `Without ${library.name}, ${finding.component} fails with "${finding.code ?? finding.message}" instead of RECLOOM_PLG_LIBRARY_MISSING.`,
        );
        hold(finding.message.includes(library.name), `Without ${library.name}, the message of ${finding.component} does not name it.`);
        hold(
          finding.message.includes(library.version),
          `Without ${library.name}, the message of ${finding.component} does not name ${library.version}.`,
        );
      }
      const blocked = findings.filter((finding) => finding.failsAnyway);
      hold(
        missing.length > 0,
        () =>
          `Hiding ${library.name} made no component fail, so nobody knows what its users would see.${
            blocked.length > 0
              ? ` ${blocked.map((finding) => `${finding.component} cannot be opened in a child process at all (${finding.code ?? finding.message})`).join('; ')}: give a setupModule.`
              : ''
          }`,
      );
    }
  },
};

const preAborted: Law = {
  id: 'ALL-06',
  title: 'an aborted signal rejects',
  law: '`fit` and every call that is handed a signal reject when it was aborted before they began; nobody waits for work nobody wants.',
  appliesTo: always,
  async run(subject) {
    const reason = new DOMException('aborted by the conformance kit', 'AbortError');
    const signal = AbortSignal.abort(reason);
    const expectAbort = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      let outcome: unknown;
      try {
        outcome = { finished: await work() };
      } catch (error) {
        const { name, code } = error as { name?: unknown; code?: unknown };
        if (error === reason || name === 'AbortError' || code === 'RECLOOM_RUN_ABORTED') return;
        throw new LawBroken(`${what}: an aborted signal leads to another error than the signal's reason.`, error);
      }
      if (outcome !== undefined) throw new LawBroken(`${what}: an aborted signal is ignored.`);
    };
    if (subject.definition.fit !== undefined) {
      await expectAbort('fit', () => subject.host().fit(subject.definition, { ...subject.setup, signal }));
    }
    const { instance } = await subject.open();
    for (const probe of probesOf(subject)) if (probe.abortable) await expectAbort(probe.name, () => probe.run(instance, signal));
    await instance.dispose?.();
  },
};

const inputsUnchanged: Law = {
  id: 'ALL-07',
  title: 'inputs are left unchanged',
  law: 'Tables, history, features, state, options, requests and candidates are lent, often shared with other components: nobody writes to them.',
  appliesTo: always,
  async run(subject) {
    const lent = (): string => digest([subject.shop.items.columns, subject.shop.users.columns, subject.shop.history, subject.inputs]);
    const before = lent();
    const state = await subject.state();
    hold(lent() === before, '`fit` changed the catalogue, the history or a feature.');
    // The host copies states, so the copy that `create` gets is caught on its way in.
    let handed: unknown;
    const { definition } = subject;
    const spied: ComponentDefinition = {
      ...definition,
      create: (context) => {
        handed = (context as { state: unknown }).state;
        return definition.create(context);
      },
    };
    const instance = await subject.host().open(spied, { ...subject.setup, state });
    const stateBefore = digest(state);
    for (const probe of probesOf(subject)) {
      const inputsBefore = digest(probe.inputs);
      deepFreeze(probe.inputs);
      await probe.run(instance, new AbortController().signal);
      hold(digest(probe.inputs) === inputsBefore, `${probe.name} changed what it was given.`);
      hold(lent() === before, `${probe.name} changed the catalogue, the history or a feature.`);
    }
    hold(digest(handed) === stateBefore, 'The state changed while the component answered.');
    await instance.dispose?.();
  },
};

async function answers(subject: Subject, instance: Awaited<ReturnType<Subject['open']>>['instance']): Promise<readonly string[]> {
  const digests: string[] = [];
  for (const probe of probesOf(subject)) digests.push(digest(await probe.run(instance, new AbortController().signal)));
  return digests;
}

function sameAnswers(subject: Subject, expected: readonly string[], found: readonly string[], when: string): void {
  if (subject.definition.capabilities.deterministic === false) return;
  probesOf(subject).forEach((probe, index) => {
    hold(expected[index] === found[index], `${probe.name} answers differently ${when}.`);
  });
}

const instancesIndependent: Law = {
  id: 'ALL-08',
  title: 'instances are independent',
  law: 'Two instances share nothing that changes: using or closing one leaves the other as it was, and a third is like the first.',
  appliesTo: always,
  async run(subject) {
    const { instance: one } = await subject.open();
    const { instance: other } = await subject.open();
    const expected = await answers(subject, one);
    sameAnswers(subject, expected, await answers(subject, other), 'in a second instance');
    await other.dispose?.();
    sameAnswers(subject, expected, await answers(subject, one), 'after another instance was closed');
    const { instance: third } = await subject.open();
    await one.dispose?.();
    sameAnswers(subject, expected, await answers(subject, third), 'in an instance opened later');
    await third.dispose?.();
  },
};

const concurrentIsSequential: Law = {
  id: 'ALL-09',
  title: 'concurrent calls answer like sequential ones',
  law: 'Calls that overlap give what the same calls give one after the other: no scratch memory is shared across an await.',
  appliesTo: always,
  async run(subject) {
    const { instance } = await subject.open();
    const expected = await answers(subject, instance);
    const probes = probesOf(subject);
    const reversed = await Promise.all([...probes].reverse().map((probe) => probe.run(instance, new AbortController().signal)));
    // Digests only now: a result that a later call overwrote must show.
    const found = reversed.reverse().map((result) => digest(result));
    sameAnswers(subject, expected, found, 'when calls overlap');
    await instance.dispose?.();
  },
};

const disposeIdempotent: Law = {
  id: 'ALL-10',
  title: 'dispose can be called twice',
  law: '`dispose` gives everything back and may be called again; a host that closes in a hurry does.',
  appliesTo: always,
  async run(subject) {
    const { instance } = await subject.open();
    await instance.dispose?.();
    try {
      await instance.dispose?.();
    } catch (error) {
      throw new LawBroken('The second dispose fails.', error);
    }
    const { instance: used } = await subject.open();
    await answers(subject, used);
    await used.dispose?.();
    await used.dispose?.();
  },
};

const importChangesNothing: Law = {
  id: 'ALL-11',
  title: 'importing the plugin changes nothing global',
  law: 'Importing the package adds no global, patches no built-in and listens to no process event: it is a guest in its host.',
  appliesTo: always,
  async run(subject) {
    const { globals } = await subject.inspector.imported();
    hold(globals.length === 0, () => `Importing the plugin changes ${globals.join(', ')}.`);
  },
};

const explains: Law = {
  id: 'ALL-12',
  title: 'whoever says it explains, explains',
  law: 'With the capability `explains` there is one entry per row, undefined where nothing can be said, with a code and an English sentence, a strength in [0, 1] and item rows that exist; over all sample requests there is a reason.',
  appliesTo: ({ capabilities }) => capabilities.explains === true,
  async run(subject) {
    const { instance } = await subject.open();
    hold(typeof instance.reasons === 'function', 'The capability `explains` is set, but there is no method `reasons`.');
    const { rowCount } = subject.shop.items;
    const rows = Int32Array.from({ length: rowCount }, (_, row) => row);
    let given = 0;
    for (const request of sampleRequests(subject)) {
      const reasons = instance.reasons(request, rows);
      hold(reasons.length === rows.length, `${reasons.length} reasons for ${rows.length} rows.`);
      for (const reason of reasons) {
        if (reason === undefined) continue;
        given++;
        hold(/^[a-z][a-z0-9-]*$/.test(reason.code), `The reason code "${reason.code}" is not in kebab case.`);
        hold(reason.text.trim() !== '', 'A reason has no text.');
        const strength = reason.strength ?? 0.5;
        hold(strength >= 0 && strength <= 1, `A reason has the strength ${strength}.`);
        for (const item of reason.items ?? [])
          hold(Number.isInteger(item) && item >= 0 && item < rowCount, 'A reason names an item row that does not exist.');
        for (const [, name] of reason.text.matchAll(/\{(\w+)\}/g)) {
          const filled = name === 'item' ? (reason.items?.length ?? 0) > 0 : Object.hasOwn(reason.values ?? {}, name ?? '');
          hold(filled, `The text of "${reason.code}" names {${name}}, which the reason does not bring.`);
        }
      }
    }
    hold(
      given > 0,
      'Not one reason was given for any of the requests; give a fixture (options, shop or request) on which it has something to say.',
    );
    await instance.dispose?.();
  },
};

/** Laws every component keeps. */
export const everyComponentLaws: readonly Law[] = [
  defaultsValid,
  optionsRoundTrip,
  unknownKeyRejected,
  importLight,
  missingLibrary,
  preAborted,
  inputsUnchanged,
  instancesIndependent,
  concurrentIsSequential,
  disposeIdempotent,
  importChangesNothing,
  explains,
];
