import type { ContextValue, RequestView } from '@recloom/plugin-api';
import type { Frame } from './frame.js';
import { type BooleanNode, type DynamicNode, type NumberNode, nullBoolean, type TextNode } from './nodes.js';

type ReadRequest = (request: RequestView) => ContextValue | undefined;

/** A value of the request, the same for all its candidates. */
export function requestValue(field: string): DynamicNode {
  const read = builtins[field] ?? ((request) => (Object.hasOwn(request.context, field) ? request.context[field] : undefined));
  return {
    type: 'dynamic',
    asNumber: () => requestNumber(read),
    asText: () => requestText(read),
    asBoolean: () => requestBoolean(read),
    isNull: () => requestIsNull(read),
  };
}

const builtins: Readonly<Record<string, ReadRequest>> = Object.assign(Object.create(null), {
  limit: (request: RequestView) => request.limit,
  asOfMs: (request: RequestView) => request.asOfMs,
  hour: (request: RequestView) => new Date(request.asOfMs).getUTCHours(),
  // Sunday is 0 in JavaScript and 7 in ISO 8601.
  weekday: (request: RequestView) => new Date(request.asOfMs).getUTCDay() || 7,
  text: (request: RequestView) => request.text,
});

/** Runs a function for each request with the range of its candidates. */
function eachRequest(frame: Frame, apply: (request: RequestView, start: number, end: number) => void): void {
  const { batch } = frame;
  if (batch === undefined) return;
  for (const [index, request] of batch.requests.entries()) apply(request, batch.offsets[index] ?? 0, batch.offsets[index + 1] ?? 0);
}

function requestNumber(read: ReadRequest): NumberNode {
  return {
    type: 'number',
    evaluate(frame) {
      const out = frame.pool.takeNumbers(frame.count);
      eachRequest(frame, (request, start, end) => {
        const value = read(request);
        out.fill(typeof value === 'number' ? value : Number.NaN, start, end);
      });
      return out;
    },
  };
}

function requestText(read: ReadRequest): TextNode {
  return {
    type: 'text',
    evaluate(frame) {
      const out = frame.pool.takeTexts();
      eachRequest(frame, (request, start, end) => {
        const value = read(request);
        const text = typeof value === 'string' ? value : null;
        for (let index = start; index < end; index++) out[index] = text;
      });
      return out;
    },
  };
}

function requestBoolean(read: ReadRequest): BooleanNode {
  return requestFlag((request) => {
    const value = read(request);
    return typeof value === 'boolean' ? Number(value) : nullBoolean;
  });
}

function requestIsNull(read: ReadRequest): BooleanNode {
  return requestFlag((request) => {
    const value = read(request);
    return value === undefined || value === null || Number.isNaN(value) ? 1 : 0;
  });
}

function requestFlag(flag: (request: RequestView) => number): BooleanNode {
  return {
    type: 'boolean',
    evaluate(frame) {
      const out = frame.pool.takeBooleans(frame.count);
      eachRequest(frame, (request, start, end) => out.fill(flag(request), start, end));
      return out;
    },
  };
}
