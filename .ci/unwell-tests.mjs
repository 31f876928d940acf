// Prints a line for each test of a Vitest JSON report that failed, or passed only when it was tried again.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const file of report.testResults) {
  const name = relative(process.cwd(), file.name);
  if (file.status === 'failed' && file.assertionResults.every(({ status }) => status !== 'failed')) {
    console.log(`failed: ${name}: ${firstLine(file.message)}`);
  }
  for (const test of file.assertionResults) {
    const failures = test.failureMessages ?? [];
    if (failures.length === 0) continue;
    const what = test.status === 'passed' ? 'passed at the second try' : 'failed';
    console.log(`${what}: ${name}: ${test.fullName}: ${failures.map(firstLine).join(' | ')}`);
  }
}

function firstLine(text) {
  return (text ?? '').split('\n', 1)[0];
}
