import { type ComponentDefinition, type Inference, inferenceToken, isRecloomError, recloomError } from '@recloom/plugin-api';
import type { AnyInstance } from '../../host/host.js';
import { type WatchedInference, watchInference } from '../../host/inference.js';
import { digest } from '../digest.js';
import { hold, type Law, LawBroken } from '../law.js';
import { type Probe, probesOf } from '../probes.js';
import type { Subject } from '../subject.js';

const signal = (): AbortSignal => new AbortController().signal;

const modelBacked = ({ capabilities }: ComponentDefinition): boolean => (capabilities.devices?.length ?? 0) > 0;

const onInference = (definition: ComponentDefinition): boolean =>
  modelBacked(definition) && Object.values(definition.needs).some((token) => token.id === inferenceToken.id);

interface Watched {
  readonly instance: AnyInstance;
  readonly inference: WatchedInference;
  readonly warnings: readonly { readonly code: string }[];
}

function watch(subject: Subject): WatchedInference {
  const inference: Inference | undefined = subject.provided(inferenceToken);
  hold(inference !== undefined, 'It needs an inference service; provide one (a real one, or fakeInference).');
  return watchInference(inference);
}

/** A new instance whose model is looked at. */
async function openWatched(subject: Subject): Promise<Watched> {
  const inference = watch(subject);
  const { instance, host } = await subject.open({}, [[inferenceToken, inference]]);
  return { instance, inference, warnings: host.warnings };
}

interface ModelProbe {
  readonly probe: Probe;
  /** Digest of what it gives. */
  readonly expected: string;
}

/** The calls that run the model in a new instance. Empty when all its models run in our own kernels. */
async function probesThatRun(subject: Subject): Promise<readonly ModelProbe[]> {
  const found: ModelProbe[] = [];
  let kernels = false;
  for (const probe of probesOf(subject).filter(({ abortable }) => abortable)) {
    const { instance, inference } = await openWatched(subject);
    kernels = typeof instance.models === 'function' && instance.models().every(({ device }) => device === 'kernels');
    const before = inference.runs;
    const expected = digest(await probe.run(instance, signal()));
    if (inference.runs > before) found.push({ probe, expected });
    await instance.dispose?.();
    // One call of a kind is enough: what follows opens several instances for each.
    if (found.length >= 3) break;
  }
  hold(found.length > 0 || kernels, 'No call ran the model; give a fixture (options, shop or request) on which it does.');
  return found;
}

/** What a call ends with. */
async function outcomeOf(work: Promise<unknown>): Promise<{ readonly value: unknown } | { readonly error: unknown }> {
  try {
    return { value: await work };
  } catch (error) {
    return { error };
  }
}

const saysWhatRuns: Law = {
  id: 'MOD-01',
  title: 'it says which models run, and on what',
  law: '`models()` names every model the instance loaded: the base name of its file, its SHA-256, and the device that runs it, one of `devices` or `kernels`; whoever changes the list changes nothing.',
  appliesTo: modelBacked,
  async run(subject) {
    const watched = onInference(subject.definition) ? await openWatched(subject) : undefined;
    const { instance } = watched ?? (await subject.open());
    hold(typeof instance.models === 'function', 'It has the capability `devices`, but there is no method `models`.');
    const look = (when: string): void => {
      const models = instance.models();
      hold(models.length > 0, `${when} it names no model.`);
      for (const { file, sha256, device } of models) {
        hold(file !== '' && !/[\\/]/.test(file), `${when} it names the file of a model as "${file}", which is no base name.`);
        hold(/^[0-9a-f]{64}$/.test(sha256), `${when} the SHA-256 of a model is not 64 hexadecimal digits.`);
        const devices = [...(subject.definition.capabilities.devices ?? []), 'kernels'];
        hold(devices.includes(device), `${when} a model runs on "${device}", which is neither one of ${devices.join(', ')}.`);
      }
      for (const session of watched?.inference.sessions ?? []) {
        const named = models.find((model) => session.sha256 === undefined || model.sha256 === session.sha256);
        hold(named !== undefined, `${when} a model that was loaded is not named.`);
        hold(
          named.device === session.provider || named.device === 'kernels',
          `${when} it says that a model runs on ${named.device}, while ${session.provider} runs it.`,
        );
      }
    };
    look('At first');
    for (const probe of probesOf(subject)) await probe.run(instance, signal());
    const [first] = instance.models();
    (instance.models() as unknown[]).length = 0;
    look('After its calls');
    hold(instance.models()[0]?.sha256 === first?.sha256, 'The order of its models changed.');
    await instance.dispose?.();
  },
};

const givesSessionsBack: Law = {
  id: 'MOD-02',
  title: 'every session is given back',
  law: 'What `create` loaded is closed by `dispose`, once and for all; a `create` that is aborted or fails on its way leaves no session behind.',
  appliesTo: onInference,
  async run(subject) {
    const { instance, inference } = await openWatched(subject);
    for (const probe of probesOf(subject)) await probe.run(instance, signal());
    await instance.dispose?.();
    hold(
      inference.closed === inference.opened,
      `After dispose ${inference.opened - inference.closed} of ${inference.opened} sessions are open.`,
    );
    await instance.dispose?.();
    const state = await subject.state();
    // Aborted before it began, and after each of its models was there.
    for (let after = 0; after <= inference.opened; after++) {
      const own = watch(subject);
      const controller = new AbortController();
      if (after === 0) controller.abort(new DOMException('aborted by the conformance kit', 'AbortError'));
      own.onOpened = () => {
        if (own.opened === after) controller.abort(new DOMException('aborted by the conformance kit', 'AbortError'));
      };
      const host = subject.host([[inferenceToken, own]]);
      const outcome = await outcomeOf(host.open(subject.definition, { ...subject.setup, state, signal: controller.signal }));
      // One that was there before it noticed may be handed out; it is closed like any other.
      if ('value' in outcome) await (outcome.value as AnyInstance).dispose?.();
      else {
        const { name, code } = outcome.error as { readonly name?: unknown; readonly code?: unknown };
        hold(name === 'AbortError' || code === 'RECLOOM_RUN_ABORTED', 'An aborted `create` fails with another error than the abort.');
      }
      hold(after > 0 || 'error' in outcome, '`create` ignores a signal that was aborted before it began.');
      hold(own.closed === own.opened, `An aborted \`create\` leaves ${own.opened - own.closed} sessions open.`);
    }
  },
};

const deadWorker: Law = {
  id: 'MOD-03',
  title: 'a worker that dies is an error worth another try',
  law: 'While its worker keeps dying a call rejects with a coded, retryable error, and is never answered as if the data were at fault; when one run died, that call or the next gives what it always gives.',
  appliesTo: onInference,
  async run(subject) {
    const died = (): Error => recloomError('RECLOOM_RUN_WORKER_DIED', { what: 'the conformance kit' });
    for (const { probe, expected } of await probesThatRun(subject)) {
      const same = async (instance: AnyInstance, when: string): Promise<void> => {
        const found = digest(await probe.run(instance, signal()));
        hold(subject.definition.capabilities.deterministic === false || found === expected, `${probe.name} answers differently ${when}.`);
      };
      for (const deaths of [Number.POSITIVE_INFINITY, 1]) {
        const { instance, inference } = await openWatched(subject);
        let left = deaths;
        inference.intercept = ({ proceed }) => (left-- > 0 ? Promise.reject(died()) : proceed());
        const outcome = await outcomeOf(probe.run(instance, signal()));
        if ('error' in outcome) {
          const { error } = outcome;
          hold(isRecloomError(error), `${probe.name}: a worker that died surfaces without a code.`);
          hold(error.retryable, `${probe.name}: a worker that died surfaces as ${error.code}, which is not retryable.`);
        } else {
          hold(deaths === 1, `${probe.name} is answered although the worker of its model died every time.`);
          hold(
            subject.definition.capabilities.deterministic === false || digest(outcome.value) === expected,
            `${probe.name} answers differently when a worker died on the way.`,
          );
        }
        inference.intercept = undefined;
        await same(instance, 'after a worker died');
        await instance.dispose?.();
      }
    }
  },
};

const notANumber: Law = {
  id: 'MOD-04',
  title: 'what the model cannot say is missing',
  law: 'Where the model gives NaN, an embedding is absent (with a warning) and a score missing, or the call rejects with a coded error; where it gives infinities, none is passed on.',
  appliesTo: (definition) =>
    onInference(definition) && (definition.provides.includes('extractor') || definition.provides.includes('scorer')),
  async run(subject) {
    for (const { probe } of await probesThatRun(subject)) {
      for (const garbage of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const { instance, inference, warnings } = await openWatched(subject);
        inference.intercept = async ({ proceed }) => {
          const outputs = await proceed();
          for (const { data } of Object.values(outputs)) if (data instanceof Float32Array) data.fill(garbage);
          return outputs;
        };
        const outcome = await outcomeOf(probe.run(instance, signal()));
        await instance.dispose?.();
        if ('error' in outcome) {
          hold(isRecloomError(outcome.error), `${probe.name}: a model that gives ${garbage} surfaces without a code.`);
          continue;
        }
        const value = outcome.value as {
          readonly presence?: Uint8Array;
          readonly values?: Float32Array;
          readonly out?: Float32Array;
          readonly further?: readonly Float32Array[];
        };
        if (value.presence !== undefined && value.values !== undefined) {
          hold(value.values.every(Number.isFinite), `${probe.name} passes on numbers that are not finite.`);
          if (!Number.isNaN(garbage)) continue;
          hold(!value.presence.includes(1), `${probe.name} marks rows as present whose model gave NaN.`);
          hold(warnings.length > 0, `${probe.name}: a model that gives NaN leaves no warning.`);
        }
        if (value.out !== undefined) {
          const columns = [value.out, ...(value.further ?? [])];
          hold(
            columns.every((column) => column.every((score) => Number.isFinite(score) || Number.isNaN(score))),
            `${probe.name} passes on infinite scores.`,
          );
          if (!Number.isNaN(garbage)) continue;
          hold(
            columns.every((column) => column.every((score) => Number.isNaN(score))),
            `${probe.name} makes scores of NaN.`,
          );
        }
      }
    }
  },
};

/** A call that has not ended by then, after its signal was aborted, hangs. Milliseconds. */
const patienceMs = 5_000;

const abortReachesModel: Law = {
  id: 'MOD-05',
  title: 'an abort reaches the model',
  law: 'A call that is aborted while the model runs rejects at once, and the run gets a signal that is aborted too: nobody computes what nobody wants.',
  appliesTo: onInference,
  async run(subject) {
    for (const { probe } of await probesThatRun(subject)) {
      const { instance, inference } = await openWatched(subject);
      const controller = new AbortController();
      const reason = new DOMException('aborted by the conformance kit', 'AbortError');
      let told = false;
      const started = new Promise<void>((resolve) => {
        inference.intercept = ({ options }) => {
          resolve();
          return new Promise((_, reject) => {
            options.signal?.addEventListener('abort', () => {
              told = true;
              reject(recloomError('RECLOOM_RUN_ABORTED', {}, { cause: reason }));
            });
          });
        };
      });
      const call = outcomeOf(probe.run(instance, controller.signal));
      await Promise.race([started, call]);
      controller.abort(reason);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), patienceMs);
      });
      const outcome = await Promise.race([call, late]);
      clearTimeout(timer);
      if (outcome === undefined) throw new LawBroken(`${probe.name} hangs: the run of its model was never told of the abort.`);
      hold('error' in outcome, `${probe.name} is answered although it was aborted while its model ran.`);
      const { name, code } = outcome.error as { readonly name?: unknown; readonly code?: unknown };
      hold(
        outcome.error === reason || name === 'AbortError' || code === 'RECLOOM_RUN_ABORTED',
        `${probe.name}: an abort leads to another error than the signal's reason.`,
      );
      hold(told, `${probe.name} is aborted, but the run of its model goes on.`);
      inference.intercept = undefined;
      await instance.dispose?.();
    }
  },
};

/** Laws of components that run models. */
export const modelLaws: readonly Law[] = [saysWhatRuns, givesSessionsBack, deadWorker, notANumber, abortReachesModel];
