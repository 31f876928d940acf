/** A fenced code block of a Markdown text. */
export interface CodeBlock {
  readonly language: string;
  readonly info: readonly string[];
  /** 1-based line of the first line of code. */
  readonly line: number;
  readonly code: string;
}
export const root: string;
export function markdownFiles(): string[];
export function readMarkdown(path: string): string;
export function codeBlocks(text: string): CodeBlock[];
export function anchorsOf(text: string): Set<string>;
export function relativeLinks(text: string): { readonly target: string; readonly line: number }[];
export function brokenLinks(files?: readonly string[], read?: (path: string) => string): string[];
