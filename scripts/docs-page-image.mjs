#!/usr/bin/env node
// Takes a picture of parts of a page for the docs, in a Chromium that is installed (CHROMIUM names another than /usr/bin/chromium):
//   npm run demo
//   node scripts/docs-page-image.mjs examples/online-retail/.recloom/report.html docs/images/report.jpg 'header.top, #summary, #curves'
//   node scripts/docs-page-image.mjs PAGE PICTURE.jpg SELECTORS [WIDTH, default 1160]
// Everything that neither is, holds nor lies in what the selectors name is left out; the parts stand in the page's order.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [page, picture, selectors, width = '1160'] = process.argv.slice(2);
if (selectors === undefined) {
  console.error('Usage: node scripts/docs-page-image.mjs PAGE PICTURE.jpg SELECTORS [WIDTH]');
  process.exit(2);
}
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  // Root has no sandbox in a container; the page is ours and holds no script.
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
try {
  const context = await browser.newContext({ viewport: { width: Number(width), height: 900 }, colorScheme: 'light' });
  const tab = await context.newPage();
  await tab.goto(pathToFileURL(resolve(page)).href);
  const missing = await tab.evaluate((wanted) => {
    const kept = [...document.querySelectorAll(wanted)];
    for (const element of document.body.querySelectorAll('*')) {
      if (!kept.some((part) => part === element || part.contains(element) || element.contains(part))) element.remove();
    }
    return wanted.split(',').filter((selector) => document.querySelector(selector) === null);
  }, selectors);
  if (missing.length > 0) throw new Error(`The page has no ${missing.join(', ')}.`);
  await tab.screenshot({ path: picture, type: 'jpeg', quality: 85, fullPage: true });
} finally {
  await browser.close();
}
