/** What a union's issue looks like, in zod and in libraries that tell of unions the same way. */
interface UnionIssue {
  readonly code?: string | undefined;
  readonly path?: readonly unknown[] | undefined;
  /** By branch, what did not fit. */
  readonly errors?: unknown;
  readonly values?: unknown;
}

/** A branch that a fixed word (`kind: temporal`) speaks against is not the one that was meant, however much of it fits. */
const otherWord = 100;

/**
 * Issues with those of unions replaced by the issues of the branch that was meant: the one whose outermost type fits what is
 * written; of several the one with the fewest issues, then the first. A union of which no branch fits stays as it is.
 */
export function meantIssues<Issue extends UnionIssue>(issues: readonly Issue[]): readonly Issue[] {
  return issues.flatMap((issue): readonly Issue[] => {
    if (issue.code !== 'invalid_union' || !Array.isArray(issue.errors)) return [issue];
    let meant: readonly Issue[] | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const branch of issue.errors as readonly (readonly Issue[])[]) {
      const count = branch.reduce((sum, inner) => sum + (isFixedWord(inner) ? otherWord : 1), 0);
      if (!branch.every(fitsOutside) || count >= fewest) continue;
      meant = branch;
      fewest = count;
    }
    if (meant === undefined) return [issue];
    return meantIssues(meant.map((inner) => ({ ...inner, path: [...(issue.path ?? []), ...(inner.path ?? [])] })));
  });
}

function fitsOutside({ code, path }: UnionIssue): boolean {
  return (path?.length ?? 0) > 0 || (code !== 'invalid_type' && code !== 'invalid_value');
}

function isFixedWord({ code, values }: UnionIssue): boolean {
  return code === 'invalid_value' && Array.isArray(values) && values.length === 1;
}
