// How long the host's event loop is held up while encoders work (G9).
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type Dataset, datasetFromArrays, openPipeline, type Pipeline } from '@recloom/core';
import { atTimes, poissonTimes, quantileOf, sharedNowMs } from './arrivals.js';
import type { GoalResult } from './goal.js';
import { root } from './online-retail.js';
import { type EmojiPicture, emojiPictures } from './pictures.js';
import type { SuiteOptions } from './suites.js';
import { threadClock } from './thread-clock.js';

const probesPerSecond = 1_000;
/** Every so many probes stand for a request; every third of those brings words to encode. */
const probesPerRequest = 20;
const answerLength = 10;

/** What the probes of one phase saw. */
interface Phase {
  /** Milliseconds from the moment a probe was sent to the moment the event loop took it. */
  readonly delaysMs: readonly number[];
  /** Of that at most what this thread itself computed meanwhile, by its own clock. */
  readonly busyMs: readonly number[];
  readonly requestsMs: readonly number[];
  /** Node's own histogram: 99 of 100 turns of a timer of one millisecond, and the longest. */
  readonly nodeP99Ms: number;
  readonly nodeLongestMs: number;
  readonly seconds: number;
}

/** What one pass saw. */
interface Pass {
  readonly idle: Phase;
  readonly builds: Phase;
  readonly changes: Phase;
}

/**
 * G9: pictures and texts of a catalogue are encoded, by a build and by changes to a live one, while requests are answered. Three
 * passes; the figures are those of the middle one by the 99th percentile, each phase for itself.
 */
export async function benchEventLoop({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const pictures = emojiPictures();
  const [served, added] = [pictures.slice(0, 200), pictures.slice(200, quick ? 260 : 1_200)];
  const dataset = datasetOf(added);
  const passes: Pass[] = [];
  for (let pass = 0; pass < (quick ? 1 : 3); pass++) {
    const pipeline = await open(datasetOf(served));
    try {
      passes.push({
        idle: await during(pipeline, () => new Promise((resolve) => setTimeout(resolve, quick ? 1_000 : 10_000))),
        builds: await during(pipeline, async () => (await open(dataset)).close()),
        changes: await during(pipeline, () => pipeline.upsertItems(added.map(itemOf))),
      });
    } finally {
      await pipeline.close();
    }
  }
  const what = `${added.length.toLocaleString('en-GB')} texts and pictures are encoded`;
  return [
    ...outcomesOf(`while ${what} by a build in the same process, its opening included`, passes, 'builds'),
    ...outcomesOf(`while ${what} by upsertItems`, passes, 'changes'),
  ];
}

/** The phase in the middle of the passes by what it held the event loop up, and what all of them were. */
function middle(passes: readonly Pass[], name: keyof Pass): { readonly phase: Phase; readonly all: string } {
  const sorted = passes.map((pass) => pass[name]).sort((one, other) => quantileOf(one.busyMs, 0.99) - quantileOf(other.busyMs, 0.99));
  return {
    phase: sorted[Math.floor(sorted.length / 2)] as Phase,
    all: sorted.map(({ busyMs }) => quantileOf(busyMs, 0.99).toFixed(2)).join(', '),
  };
}

function outcomesOf(when: string, passes: readonly Pass[], name: 'builds' | 'changes'): GoalResult[] {
  const { phase, all } = middle(passes, name);
  const { phase: idle } = middle(passes, 'idle');
  const show = (values: readonly number[], share: number): string => quantileOf(values, share).toFixed(2);
  const without = 'the same requests, no catalogue being encoded';
  return [
    {
      goal: 'G9',
      name: `event loop held up by work of its own, ${when}, 99th percentile`,
      figure: quantileOf(phase.busyMs, 0.99),
      unit: 'ms',
      bound: { atMost: 2 },
      limit: { name: without, value: quantileOf(idle.busyMs, 0.99), unit: 'ms' },
      note: `${phase.busyMs.length.toLocaleString('en-GB')} probes at random moments over ${phase.seconds.toFixed(0)} s: the delay of a probe, of that at most what this thread computed meanwhile (the CPU time of the thread since the last probe before); 99.9 % ${show(phase.busyMs, 0.999)}, longest ${show(phase.busyMs, 1)} ms; ${phase.requestsMs.length.toLocaleString('en-GB')} requests, median ${show(phase.requestsMs, 0.5)}, 99 % ${show(phase.requestsMs, 0.99)} ms; the passes ${all} ms`,
    },
    {
      goal: 'G9',
      name: `the same with all waiting for a core ${when}`,
      figure: quantileOf(phase.delaysMs, 0.99),
      unit: 'ms',
      limit: { name: without, value: quantileOf(idle.delaysMs, 0.99), unit: 'ms' },
      note: `from the moment another thread sent a probe to the moment the event loop took it, on a machine whose cores the encoders fill; 99.9 % ${show(phase.delaysMs, 0.999)}, longest ${show(phase.delaysMs, 1)} ms; monitorEventLoopDelay 99 % ${phase.nodeP99Ms.toFixed(2)}, longest ${phase.nodeLongestMs.toFixed(1)} ms`,
    },
  ];
}

function itemOf({ label, file }: EmojiPicture): { readonly id: string; readonly title: string; readonly photo: string } {
  return { id: file, title: label, photo: file };
}

function datasetOf(pictures: readonly EmojiPicture[]): Dataset {
  const items = pictures.map(itemOf);
  const events = items.map(({ id }, row) => ({ user: `u${row % 50}`, item: id, timeMs: Date.UTC(2024, 0, 1) + row * 60_000 }));
  return datasetFromArrays({ items, events, types: { items: { title: 'text', photo: 'image' } } });
}

/** A search by words and pictures, and a list, over a catalogue that is encoded here and now. */
function open(dataset: Dataset): Promise<Pipeline> {
  return openPipeline(
    {
      format: '1.0',
      name: 'bench-event-loop',
      data: {},
      images: { directories: [root] },
      components: {
        text: { use: 'text-bert/embedding', in: { text: 'item.title' }, with: { storeEmbeddings: false, cacheSize: 0 } },
        image: { use: 'image-clip/embedding', in: { image: 'item.photo' }, with: { storeEmbeddings: false, cacheSize: 0 } },
        alike: { use: 'vector-search/nearest', in: { vectors: ['text', 'image'] }, with: { mode: 'query' } },
        recent: { use: 'popularity/recent', with: {} },
      },
      surfaces: {
        home: { sources: { recent: 100 }, limits: { timeoutMs: 60_000 } },
        search: { needs: ['text'], sources: { alike: 100 }, limits: { timeoutMs: 60_000 } },
      },
    },
    { dataset, directory: root },
  );
}

/** Probes the event loop, and asks the pipeline, while `work` is under way. */
async function during(pipeline: Pipeline, work: () => Promise<unknown>): Promise<Phase> {
  const delaysMs: number[] = [];
  const busyMs: number[] = [];
  const requestsMs: number[] = [];
  const answers: Promise<void>[] = [];
  const usedMs = threadClock();
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  let over = false;
  let beganMs = Number.POSITIVE_INFINITY;
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const ask = async (turn: number): Promise<void> => {
    const askedMs = sharedNowMs();
    const request =
      turn % 3 === 0 ? { surface: 'search', text: `something like number ${turn}` } : { surface: 'home', user: `u${turn % 50}` };
    const { items } = await pipeline.recommend({ ...request, limit: answerLength });
    if (items.length === 0) throw new Error('A request found nothing.');
    requestsMs.push(sharedNowMs() - askedMs);
  };
  const readings: { readonly atMs: number; readonly usedMs: number }[] = [];
  // As many probes as the longest phase may take; those behind its end are not counted.
  const stop = new AbortController();
  const probing = atTimes(
    poissonTimes(probesPerSecond, 600, 41),
    (turn, _dueMs, sentMs) => {
      const tookMs = sharedNowMs();
      const delayMs = tookMs - sentMs;
      const nowUsedMs = usedMs();
      readings.push({ atMs: tookMs, usedMs: nowUsedMs });
      // What this thread computed since the last reading before the probe was sent: that it waited for a core, that the sender did
      // between looking at the clock and sending, or that the machine's host was elsewhere, is not ours.
      while ((readings[1]?.atMs ?? Number.POSITIVE_INFINITY) <= sentMs) readings.shift();
      begin();
      if (!over && sentMs > beganMs) {
        delaysMs.push(delayMs);
        const before = readings[0]?.usedMs;
        busyMs.push(before === undefined ? delayMs : Math.min(delayMs, nowUsedMs - before));
        if (turn % probesPerRequest === 0) answers.push(ask(turn / probesPerRequest));
      }
    },
    stop.signal,
  );
  try {
    await begun;
    histogram.enable();
    beganMs = sharedNowMs();
    await work();
    over = true;
    const seconds = (sharedNowMs() - beganMs) / 1000;
    histogram.disable();
    await Promise.all(answers);
    // The histogram counts whole intervals of the timer, in nanoseconds.
    return {
      delaysMs,
      busyMs,
      requestsMs,
      seconds,
      nodeP99Ms: histogram.percentile(99) / 1e6 - 1,
      nodeLongestMs: histogram.max / 1e6 - 1,
    };
  } finally {
    over = true;
    stop.abort();
    await probing;
  }
}
