import type { z } from 'zod';

const words: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object of keys',
  record: 'an object of names',
  null: 'null',
};

/**
 * What is wrong with a value of a manifest, as the end of a sentence that begins with its place: `must be a text, found a number`.
 * `allowed` are the keys of the object that a key too much stands in, where they are known.
 */
export function plainIssue(issue: z.core.$ZodIssue, allowed: readonly string[] = []): string {
  switch (issue.code) {
    case 'invalid_key':
      return issue.issues[0] === undefined ? 'has a wrong name' : plainIssue(issue.issues[0]);
    case 'unrecognized_keys': {
      const names = issue.keys.map((key) => `"${key}"`).join(', ');
      const one = issue.keys.length === 1;
      return `there ${one ? 'is no key' : 'are no keys'} ${names}${allowed.length === 0 ? '' : `; known: ${allowed.join(', ')}`}`;
    }
    case 'invalid_type': {
      const found = /received (\w+)$/.exec(issue.message)?.[1];
      if (found === 'undefined') return 'is missing';
      return `must be ${words[issue.expected] ?? issue.expected}${found === undefined ? '' : `, found ${words[found] ?? found}`}`;
    }
    case 'invalid_value':
      return `must be ${issue.values
        .map((value) => JSON.stringify(value))
        .join(', ')
        .replace(/, ([^,]*)$/, ' or $1')}`;
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      return `must ${issue.origin === 'array' ? 'have' : 'be'} at least ${issue.minimum}${issue.origin === 'array' ? ' in it' : ''}`;
    case 'too_big':
      return `must ${issue.origin === 'array' ? 'have' : 'be'} at most ${issue.maximum}${issue.origin === 'array' ? ' in it' : ''}`;
    default:
      // Schemas of this plugin say the rest in their own words.
      return issue.message;
  }
}
