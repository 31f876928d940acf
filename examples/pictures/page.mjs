// The page of the picture demo: one file, no script, no network; light and dark; readable by a screen reader.

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const text = (value) => String(value).replace(/[&<>"]/g, (character) => escapes[character]);
const plural = (count, one) => `${count} ${one}${count === 1 ? '' : 's'}`;

/** What the sources of the config mean to a reader. */
const sourceNames = {
  alike: 'meaning and looks',
  words: 'words of the label',
  lookalike: 'looks',
  related: 'meaning and looks',
};

/** A cosine as a bar and a number; a match of words, which has no upper bound, by its place. */
function evidence({ name, rank, score }) {
  const what = text(sourceNames[name] ?? name);
  if (name === 'words') return `<li><span class="chip">word</span><span class="hidden">${what}, place ${rank}</span></li>`;
  const share = Math.round(Math.max(0, Math.min(1, score)) * 100);
  return `<li title="${what}: cosine ${score.toFixed(2)}, place ${rank} of its source"><span class="bar ${text(name)}" aria-hidden="true"><span style="width:${share}%"></span></span><span class="hidden">${what}, cosine </span>${score.toFixed(2)}</li>`;
}

function tile(item, place) {
  return `<li class="tile"><span class="place" aria-hidden="true">${place}</span>
<img src="${item.picture}" alt="" width="72" height="72">
<h4>${text(item.label)}</h4><p class="group">${text(item.group)}</p>
<ul class="sources" aria-label="proposed by">${item.sources.map(evidence).join('')}</ul>
${item.reason === '' ? '' : `<p class="reason">${text(item.reason)}</p>`}</li>`;
}

function answerOf(answer, formatDuration) {
  const warnings = answer.warnings
    .map(({ code, message }) => `<p class="warning"><code>${text(code)}</code> ${text(message)}</p>`)
    .join('');
  return `${warnings}<ol class="tiles">${answer.items.map((item, place) => tile(item, place + 1)).join('')}</ol>
<p class="timing">answered in ${text(formatDuration(answer.milliseconds))}${answer.devices.length === 0 ? '' : `, models on ${text(answer.devices.join(', '))}`}</p>`;
}

function question({ words, name, picture, alt, note, shares }) {
  const parts = [];
  if (picture !== undefined) parts.push(`<img class="asked" src="${picture}" alt="${text(alt)}" width="128" height="128">`);
  const lines = [];
  if (words !== undefined) lines.push(`<p class="words">“${text(words)}”</p>`);
  if (name !== undefined) lines.push(`<p class="words">${text(name)}</p>`);
  if (note !== undefined) lines.push(`<p class="note">${text(note)}</p>`);
  if (shares !== undefined) {
    const share = Math.round(shares.text * 100);
    lines.push(
      `<p class="note">words ${share} %, picture ${100 - share} %</p><div class="share" aria-hidden="true"><span style="width:${share}%"></span></div>`,
    );
  }
  parts.push(`<div>${lines.join('')}</div>`);
  return `<div class="question">${parts.join('')}</div>`;
}

const row = (asked, answer) => `<article class="row">${asked}<div class="answer">${answer}</div></article>`;

function twins(groups) {
  if (groups.length === 0) return '<p>None.</p>';
  return `<ul class="groups">${groups
    .map(
      (group) =>
        `<li><div class="pair">${group.map((item) => `<img src="${item.picture}" alt="" width="64" height="64">`).join('')}</div><p>${group.map(({ label }) => text(label)).join(' <span class="equals">≈</span> ')}</p></li>`,
    )
    .join('')}</ul>`;
}

const style = `
:root{color-scheme:light dark;--paper:#fbfaf7;--card:#fff;--ink:#1d1b26;--soft:#5d5970;--line:#e5e1ec;--accent:#6a35d9;--tint:#f1ebff;
--meaning:#6a35d9;--looks:#c2410c;--words:#0f766e;--warn:#92400e;--warnpaper:#fef3c7;--shadow:0 1px 2px #1d1b2614,0 6px 20px #1d1b260d}
@media (prefers-color-scheme:dark){:root{--paper:#14121b;--card:#1e1b29;--ink:#f2eff9;--soft:#aca6c2;--line:#332e44;--accent:#b79bff;--tint:#2a2340;
--meaning:#b79bff;--looks:#fb9a5f;--words:#4fd1c0;--warn:#fcd34d;--warnpaper:#3a2c0a;--shadow:none}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main,header.top,footer{max-width:1180px;margin:0 auto;padding:0 24px}
header.top{padding-top:48px;padding-bottom:8px}
h1{font-size:clamp(2rem,4.5vw,3rem);line-height:1.1;margin:0 0 12px;letter-spacing:-.02em}
h2{font-size:1.5rem;margin:56px 0 4px;letter-spacing:-.01em}
h3{font-size:1.05rem;margin:16px 0 4px}
.lead{font-size:1.15rem;color:var(--soft);max-width:62ch;margin:0 0 24px}
section>p{color:var(--soft);max-width:74ch;margin:0 0 16px}
.facts{display:flex;flex-wrap:wrap;gap:12px;margin:0;padding:0;list-style:none}
.facts li{background:var(--tint);border-radius:12px;padding:10px 16px}
.facts b{display:block;font-size:1.25rem;letter-spacing:-.01em}
.facts span{color:var(--soft);font-size:.86rem}
.row{background:var(--card);border:1px solid var(--line);border-radius:18px;box-shadow:var(--shadow);padding:18px;margin:16px 0;display:grid;grid-template-columns:190px 1fr;gap:20px;align-items:start}
.question{display:flex;flex-direction:column;gap:10px}
.question .words{font-size:1.15rem;font-weight:650;margin:0;line-height:1.3}
.note{color:var(--soft);font-size:.86rem;margin:4px 0 0}
.asked{border-radius:14px;border:1px solid var(--line);background:#fff;object-fit:contain}
.share{height:8px;border-radius:4px;background:var(--looks);overflow:hidden;margin-top:6px;max-width:150px}
.share span{display:block;height:100%;background:var(--meaning)}
.tiles{list-style:none;margin:0;padding:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(96px,1fr));gap:6px}
@media (min-width:1080px){.tiles{grid-template-columns:repeat(8,minmax(0,1fr))}}
.tile{position:relative;text-align:center;padding:8px 2px;border-radius:12px;min-width:0}
.tile:first-child{background:var(--tint)}
.tile img{width:72px;height:72px;object-fit:contain}
.tile h4{font-size:.78rem;line-height:1.3;margin:4px 0 0;overflow-wrap:break-word;hyphens:auto}
.group{font-size:.75rem;color:var(--soft);margin:0}
.reason{font-size:.72rem;color:var(--soft);margin:3px 0 0;line-height:1.3}
.place{position:absolute;left:8px;top:6px;font-size:.75rem;color:var(--soft);font-variant-numeric:tabular-nums}
.sources{list-style:none;margin:4px 0 0;padding:0;font-size:.75rem;color:var(--soft);font-variant-numeric:tabular-nums;display:flex;gap:6px;justify-content:center;align-items:center;flex-wrap:wrap}
.bar{display:inline-block;width:36px;height:6px;border-radius:3px;background:var(--line);overflow:hidden;vertical-align:middle;margin-right:4px}
.bar span{display:block;height:100%;background:linear-gradient(90deg,var(--meaning),var(--looks))}
.bar.lookalike span{background:var(--looks)}
.chip{background:var(--words);color:var(--card);border-radius:6px;padding:1px 5px;font-size:.7rem}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.timing{font-size:.78rem;color:var(--soft);margin:10px 0 0;text-align:right}
.warning{background:var(--warnpaper);color:var(--warn);border-radius:10px;padding:8px 12px;font-size:.86rem;margin:0 0 12px}
.groups{list-style:none;margin:0;padding:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:12px}
.groups li{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:12px;box-shadow:var(--shadow)}
.groups p{margin:6px 0 0;font-size:.82rem;line-height:1.35}
.pair{display:flex;flex-wrap:wrap;gap:4px}.equals{color:var(--accent)}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,monospace}
footer{color:var(--soft);font-size:.86rem;padding-top:40px;padding-bottom:56px}
footer p{max-width:80ch}
@media (max-width:720px){.row{grid-template-columns:1fr}.question{flex-direction:row;align-items:center}}
@media print{.row,.groups li{box-shadow:none;break-inside:avoid}}
`;

/** The page as one HTML document. */
export function renderPage(page) {
  const { sections, formatDuration, formatCount } = page;
  const answer = (one) => answerOf(one, formatDuration);
  const times = [...sections.text, ...sections.picture, ...sections.both].map((one) => one.answer.milliseconds).sort((a, b) => a - b);
  const median = times[times.length >> 1] ?? 0;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Recloom: a catalogue of pictures</title><style>${style}</style></head><body>
<header class="top"><h1>${formatCount(page.counts.items)} pictures, found by what they mean and how they look</h1>
<p class="lead">One pipeline file wires a text model, an image model and a keyword index. Nobody tagged anything: keywords are not indexed, and both models run on this machine, on the CPU, off the event loop.</p>
<ul class="facts"><li><b>${text(formatDuration(page.buildMs))}</b><span>${page.kept ? 'to build; vectors of pictures seen before are kept' : 'to read, embed and publish'}</span></li>
<li><b>${text(formatDuration(median))}</b><span>a search, median of this page</span></li>
<li><b>384</b><span>numbers per label and per picture, one space</span></li>
<li><b>0</b><span>requests to a network</span></li></ul></header>
<main>
<section aria-labelledby="words"><h2 id="words">By words</h2>
<p>Their words are in hardly any label. What a label means counts most, what its picture shows adds to it (the bar is the cosine of the two together), and a word of the search in the label is a third witness (the chip).</p>
${sections.text.map((one) => row(question({ words: one.text }), answer(one.answer))).join('\n')}</section>
<section aria-labelledby="picture"><h2 id="picture">By a picture</h2>
<p>Three files that are not in the catalogue.</p>
${sections.picture.map((one) => row(question({ ...one.query }), answer(one.answer))).join('\n')}</section>
<section aria-labelledby="both"><h2 id="both">By both</h2>
<p>Words and a picture in one search, with weights the caller sends along.</p>
${sections.both.map((one) => row(question({ words: one.text, ...one.query, shares: { text: one.textWeight } }), answer(one.answer))).join('\n')}
${row(question({ words: sections.broken.text, note: 'and a file that ends after 200 bytes: no error, a warning, and the words answer' }), answer(sections.broken.answer))}</section>
<section aria-labelledby="like"><h2 id="like">Items like this</h2>
<p>By looks alone, and by looks and meaning together.</p>
${sections.like
  .map((one) => {
    const asked = question({ picture: one.item.picture, alt: '', name: one.item.label });
    return row(asked, `<h3>by its looks</h3>${answer(one.looks)}<h3>by looks and meaning</h3>${answer(one.both)}`);
  })
  .join('\n')}</section>
<section aria-labelledby="twins"><h2 id="twins">Near duplicates</h2>
<p>Found while the catalogue was built: pictures whose vectors are nearly the same. A list can keep the first of each group.</p>
${twins(sections.twins)}</section>
</main>
<footer><p>Snapshot <code>${text(page.snapshotId)}</code> · Recloom ${text(page.version)} · ${plural(page.components, 'fitted component')} · made in ${text(formatDuration(page.totalMs))}.</p>
<p>The image model is small (7.6 MB) and not CLIP. It saw most of these very pictures while it was trained, so this page flatters it; honest figures, on pictures it never saw, are in docs/guide/pictures.md.</p>
<p>Pictures: Fluent Emoji, © Microsoft, MIT, from <code>@lobehub/fluent-emoji-3d</code>. Labels: <code>emojibase-data</code>, © Miles Johnson, MIT.</p></footer>
</body></html>
`;
}
