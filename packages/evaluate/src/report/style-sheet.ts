import { Html } from './html.js';

/** The page's look: colours that the colour-blind can tell apart, with contrast of 4.5 to 1 for text and 3 to 1 for marks. */
export const styleSheet = new Html(`
:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--ink:#14181f;--ink-soft:#566070;--line:#dfe3ea;--accent:#0b5cad;--accent-soft:#e6f0fa;
--good:#00715a;--good-soft:#e2f4ef;--bad:#b83c00;--bad-soft:#fdeee5;--baseline:#6b7482;--open-soft:#eef0f4;--shade:#14181f59;
--series-0:#0069b4;--series-1:#c84e00;--series-2:#00806a;--series-3:#a23a7e;--series-4:#8a6500;--series-5:#5a4fcf;
--head:#12456f;--head-ink:#fff;--middle:#4f8fc4;--middle-ink:#0b1a28;--tail:#bcdcf3;--tail-ink:#0b1a28}
@media (prefers-color-scheme:dark){:root{--page:#0f1319;--card:#181d26;--ink:#e9edf3;--ink-soft:#a3adbb;--line:#2e3643;--accent:#7cc0ff;--accent-soft:#16293c;
--good:#4fd6b0;--good-soft:#10302a;--bad:#ff9d66;--bad-soft:#3a2115;--baseline:#98a2b1;--open-soft:#232a35;--shade:#000c;
--series-0:#5cb3f5;--series-1:#ff9457;--series-2:#45d3ab;--series-3:#ea90c8;--series-4:#e3bd45;--series-5:#aba3ff;
--head:#8cc8f5;--head-ink:#0b1a28;--middle:#3f81b8;--middle-ink:#fff;--tail:#20405b;--tail-ink:#e9edf3}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
.top,main,footer{max-width:1080px;margin:0 auto;padding:0 24px}
.top{padding-top:44px}
.kicker{margin:0 0 10px;color:var(--ink-soft);font-size:.9rem}
h1{margin:0;font-size:clamp(1.55rem,1rem + 2.4vw,2.5rem);line-height:1.2;font-weight:650;letter-spacing:-.015em;text-wrap:balance}
h1 strong{color:var(--accent);font-weight:750;white-space:nowrap}
h2{margin:0 0 8px;font-size:1.4rem;line-height:1.25;letter-spacing:-.01em}
h3{margin:0;font-size:1rem}
h4{margin:0 0 6px;font-size:.82rem;color:var(--ink-soft);font-weight:600}
p{margin:0 0 14px;max-width:72ch}
a{color:var(--accent);text-underline-offset:2px}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
section{margin-top:26px;padding:26px 28px;background:var(--card);border:1px solid var(--line);border-radius:14px;scroll-margin-top:12px}
#summary{background:none;border:0;padding:0;margin-top:14px}
.lede{font-size:1.06rem;color:var(--ink-soft)}
.note,.meaning,.about{color:var(--ink-soft);font-size:.88rem}
.about{margin:0 0 8px}
.meaning{display:block;font-weight:400;line-height:1.4}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.missing{color:var(--ink-soft)}
.verdicts{list-style:none;margin:0 0 20px;padding:0;display:grid;gap:8px}
.verdicts li{display:flex;gap:12px;padding:12px 16px;border-radius:10px;background:var(--open-soft);border-left:4px solid var(--baseline)}
.verdicts .better{background:var(--good-soft);border-color:var(--good)}
.verdicts .worse{background:var(--bad-soft);border-color:var(--bad)}
.mark{color:var(--baseline);font-size:.9em}.better .mark,td .better{color:var(--good)}.worse .mark,td .worse{color:var(--bad)}
td .better,td .worse{font-weight:650}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(186px,1fr));gap:14px;margin-bottom:18px}
.tile{padding:16px 18px;background:var(--card);border:1px solid var(--line);border-radius:12px}
.tile h3{font-size:.86rem;color:var(--ink-soft);font-weight:600;line-height:1.3}
.tile .value{margin:6px 0 4px;font-size:1.9rem;font-weight:700;line-height:1.1;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile .value small{display:block;margin-top:4px;font-size:.8rem;font-weight:400;letter-spacing:0;color:var(--ink-soft)}
.tile .other{margin:0;font-size:.86rem}
.tile .meaning{margin:8px 0 0;font-size:.8rem}
nav ul{display:flex;flex-wrap:wrap;gap:6px 18px;margin:0;padding:0;list-style:none;font-size:.92rem}
.scroll{position:relative;overflow-x:auto;container-type:inline-size;margin:14px 0 4px;-webkit-overflow-scrolling:touch;
background:linear-gradient(to right,var(--card) 40%,transparent) left/36px 100% no-repeat local,linear-gradient(to left,var(--card) 40%,transparent) right/36px 100% no-repeat local,
linear-gradient(to right,var(--shade),transparent) left/12px 100% no-repeat scroll,linear-gradient(to left,var(--shade),transparent) right/12px 100% no-repeat scroll}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;padding:0 0 8px;font-weight:600;font-size:.88rem;color:var(--ink-soft)}
caption span{position:sticky;left:0;display:inline-block;max-width:100cqi}
th,td{padding:8px 10px;border-top:1px solid var(--line);text-align:left;vertical-align:top}
thead th{border-top:0;font-size:.84rem;color:var(--ink-soft);vertical-align:bottom;min-width:84px;max-width:190px}
tbody th{font-weight:600}
th,th bdi{overflow-wrap:break-word}
th bdi{display:inline-block;max-width:18ch}
.numbers th:not(:first-child),.numbers td{text-align:right;font-variant-numeric:tabular-nums}
.meanings th:first-child{min-width:230px;max-width:430px}
.numbers td{white-space:nowrap}
.numbers th:first-child{position:sticky;left:0;background:var(--card)}
.compact td,.compact th{padding:6px 10px}
.compact tbody th{font-weight:500;min-width:110px;max-width:240px}
td small{display:block;color:var(--ink-soft);font-size:.8rem;font-weight:400}
td ul.plain{white-space:normal;text-align:left}
.highest data{font-weight:750}.highest small data{font-weight:400}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0 0 12px;padding:0;list-style:none;font-size:.88rem}
.legend li{display:flex;align-items:center;gap:8px;min-width:0}
.legend .plot{width:34px;flex:none}
.key{width:14px;height:14px;border-radius:3px;flex:none}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:26px 36px;margin:6px 0 12px}
figure{margin:0;min-width:0;max-width:500px}
figcaption{margin-top:6px;font-size:.86rem;color:var(--ink-soft);line-height:1.45}
figcaption b{color:var(--ink)}
.plot{display:block;width:100%;height:auto;overflow:visible;font-family:inherit}
.plot text{white-space:pre}
details{margin-top:12px}
summary{cursor:pointer;color:var(--accent);font-size:.92rem;width:fit-content}
.cards{display:grid;gap:18px}
.card{border:1px solid var(--line);border-radius:12px;padding:18px 20px}
.card header{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 12px;margin-bottom:10px}
.card h3{font-size:1.08rem}
.kind{margin:0;padding:1px 10px;border-radius:99px;background:var(--accent-soft);color:var(--accent);font-size:.8rem;font-weight:600}
.before{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:12px 28px}
.chips{display:flex;flex-wrap:wrap;gap:6px;margin:0 0 6px;padding:0;list-style:none;font-size:.8rem;line-height:1.35}
.chips li{padding:3px 9px;border:1px solid var(--line);border-radius:8px}
.chips li:has(.found){border-color:var(--good);background:var(--good-soft);color:var(--good);font-weight:600}
.chips .more{border-style:dashed;color:var(--ink-soft)}
.lists{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,270px),1fr));gap:14px 28px;margin-top:14px}
.list h4{color:var(--ink);font-size:.9rem}
.list ol{margin:0;padding-left:1.9em;font-size:.86rem;line-height:1.4}
.list li{padding:4px 6px 4px 4px;border-radius:6px}
.list li::marker{color:var(--ink-soft);font-variant-numeric:tabular-nums}
.list .meaning{font-size:.78rem}
.hit{background:var(--good-soft)}
.tag{color:var(--good);font-size:.78rem;font-weight:700;white-space:nowrap}
.facts{margin:0 0 8px}
.facts div{display:grid;grid-template-columns:120px 1fr;gap:4px 16px;padding:7px 0;border-top:1px solid var(--line)}
.facts dt{color:var(--ink-soft);font-size:.88rem}.facts dd{margin:0}
ul.plain{margin:0;padding:0;list-style:none}
code{font:.82em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.command{display:block;padding:10px 12px;border-radius:8px;background:var(--page);border:1px solid var(--line);white-space:pre-wrap}
footer{padding-top:22px;padding-bottom:44px;color:var(--ink-soft);font-size:.84rem}
@media (max-width:600px){.top,main,footer{padding-left:14px;padding-right:14px}.top{padding-top:26px}section{padding:18px 16px}.tiles{grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px}.tile{padding:12px 14px}.tile .value{font-size:1.55rem}
.meanings th:first-child{min-width:126px}.meanings .meaning{font-size:.76rem}.meanings thead th{min-width:64px}.meanings td small{white-space:normal;max-width:9ch;margin-left:auto}.plot{font-size:14px!important}.facts div{grid-template-columns:1fr;gap:0}th,td{padding:7px 8px}.card{padding:14px}}
@media print{:root{--page:#fff;--card:#fff}body{font-size:10.5pt}section{border:0;padding:0;margin-top:18pt}nav,footer{display:none}figure,.card,.tile,.verdicts li,tr{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible;background:none}
.hit,.verdicts li,.kind,.key,.plot{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
@media print and (prefers-color-scheme:dark){:root{color-scheme:light;--ink:#14181f;--ink-soft:#566070;--line:#dfe3ea;--accent:#0b5cad;--accent-soft:#e6f0fa;--good:#00715a;--good-soft:#e2f4ef;--bad:#b83c00;--bad-soft:#fdeee5;--baseline:#6b7482;--open-soft:#eef0f4;
--series-0:#0069b4;--series-1:#c84e00;--series-2:#00806a;--series-3:#a23a7e;--series-4:#8a6500;--series-5:#5a4fcf;--head:#12456f;--head-ink:#fff;--middle:#4f8fc4;--middle-ink:#0b1a28;--tail:#bcdcf3;--tail-ink:#0b1a28}}
`);
