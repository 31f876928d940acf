import { expect, it } from 'vitest';
import { Turns } from './turns.js';

it('gives one piece of work at a time a turn of the event loop, in order', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  let over = false;
  const count = (): void => {
    seen.push('turn');
    if (!over) setImmediate(count);
  };
  const piece = async (name: string): Promise<void> => {
    for (let part = 0; part < 3; part++) {
      await turns.next();
      seen.push(name);
    }
  };
  setImmediate(count);
  await Promise.all([piece('a'), piece('b')]);
  over = true;
  expect(seen.filter((name) => name !== 'turn')).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  // Between two pieces everything else has had its turn.
  for (const [place, name] of seen.entries()) if (name !== 'turn' && place > 0) expect(seen[place - 1]).toBe('turn');
});
