// Where nodes learn in encounters: each of them with its step, its votes as they come, and what it paid and why.

import { $, count, el, percent, say, seconds, signed, tokens } from "./format.js";
import { point } from "./graph.js";
import { ask } from "./why.js";
import { onChange, state } from "./store.js";

const SHOWN = 80;
const body = $("met").tBodies[0];
const rows = new Map();
const VERDICTS = {
  open: ["▸", "under way"], accepted: ["✓", "accepted"], refused: ["✕", "refused"],
  voided: ["–", "too few validators"], defaulted: ["✕", "nothing was delivered"],
};
const VOTES = { true: ["✓", "no worse"], false: ["✕", "worse"], null: ["·", "has not voted yet"] };

const money = (units) => tokens(units, state.about.plan.unit);
const gain = (units) => signed(units / state.about.plan.unit);

function row(key) {
  const why = el("button", { type: "button", class: "why", "aria-haspopup": "dialog" }, "why?");
  why.addEventListener("click", () => explain(key));
  const meter = el("span", { class: "steps", "aria-hidden": "true" }, ...state.about.plan.steps.map(() => el("i")));
  const cells = {
    pair: el("th", { scope: "row" }, el("b"), " from ", el("b")),
    step: el("td", { class: "spare" }, meter, el("span", { class: "step-name" })),
    votes: el("td", { class: "votes" }),
    verdict: el("td"),
    paid: el("td", { class: "n" }),
    why: el("td", null, why),
  };
  const made = el("tr", null, ...Object.values(cells));
  return { made, cells, meter, why, drawn: null, paid: null };
}

function chip([, node, vote, before, after], pay) {
  const [mark, meaning] = VOTES[String(vote)];
  const change = pay ? el("span", { class: "word" }, ` ${gain(pay.change)}`) : null;
  const found = vote === null ? meaning : `${meaning}: accuracy ${percent(before)}, then ${percent(after)}`;
  return el("span", { class: `vote ${vote === null ? "" : vote ? "yes" : "no"}`, title: `${node}: ${found}` },
    el("span", { "aria-hidden": "true" }, mark), el("span", { class: "unseen" }, `${found}:`), ` ${node.replace(/^node-/, "")}`, change);
}

function dress(entry, met, pays) {
  const { cells } = entry;
  const { steps, validators } = state.about.plan;
  const over = met.state !== "open";
  say(cells.pair.children[0], met.learner);
  say(cells.pair.children[1], met.neighbor || "…");
  entry.meter.dataset.step = met.step;
  [...entry.meter.children].forEach((part, place) => { part.className = place < met.step ? "on" : ""; });
  say(cells.step.lastChild, `${met.step} of ${steps.length}: ${steps[met.step - 1]}`);
  const byNode = new Map((pays?.judges ?? []).map((judge) => [judge.node, judge]));
  const missing = over ? 0 : Math.max(0, validators - met.seats.length);
  cells.votes.replaceChildren(...met.seats.map((seat) => chip(seat, byNode.get(seat[1]))),
    ...Array.from({ length: missing }, () => el("span", { class: "vote", "aria-hidden": "true" }, "·")));
  const [mark, word] = VERDICTS[met.state] ?? ["?", met.state];
  cells.verdict.replaceChildren(`${mark} `, el("span", { class: "word" }, word));
  cells.verdict.className = met.state === "accepted" ? "good" : met.state === "open" ? "" : "bad";
  say(cells.paid, pays ? gain(pays.paid[0]) : met.state === "voided" ? "0.00" : "–");
  entry.made.className = over ? "" : "current";
  entry.why.disabled = !pays;
  entry.why.setAttribute("aria-label", `Why ${met.learner} and ${met.neighbor} were paid so, encounter ${met.number}`);
}

function paint() {
  const { plan } = state.about;
  if (!plan?.meets) return;
  const all = Object.entries(state.met).sort(([, a], [, b]) => b.number - a.number);
  const shown = all.slice(0, SHOWN);
  const keep = new Set(shown.map(([key]) => key));
  for (const [key, entry] of rows) {
    if (!keep.has(key)) {
      entry.made.remove();
      rows.delete(key);
    }
  }
  let before = null; // the row above
  for (const [key, met] of shown) {
    let entry = rows.get(key);
    if (!entry) {
      entry = row(key);
      rows.set(key, entry);
      entry.made.addEventListener("pointerenter", () => point(met.learner));
      entry.made.addEventListener("pointerleave", () => point(""));
    }
    const place = before ? before.nextSibling : body.firstChild;
    if (place !== entry.made) body.insertBefore(entry.made, place);
    before = entry.made;
    const pays = state.pays[key];
    if (entry.drawn === met && entry.paid === pays) continue; // a patch replaces what changed, and nothing else
    entry.drawn = met;
    entry.paid = pays;
    dress(entry, met, pays);
  }
  const rest = all.length > shown.length ? ` The latest ${shown.length} of ${all.length}.` : "";
  say($("met-text"), `${words(all.map(([, met]) => met))}${rest}`);
}

/** How many encounters there were, by what became of them. */
export function tally() {
  const all = Object.values(state.met);
  const of = (...states) => all.filter((met) => states.includes(met.state)).length;
  return { open: of("open"), accepted: of("accepted"), refused: of("refused"), without: of("voided", "defaulted") };
}

function words(all) {
  if (!all.length) return "Nobody has met anybody yet.";
  const { open } = tally();
  const took = all.filter((met) => met.ended && met.began).map((met) => met.ended - met.began).sort((a, b) => a - b);
  const half = took.length ? ` Half of them took ${seconds(took[Math.floor(took.length / 2)])} or less.` : "";
  return `${count(open, "encounter")} under way. A validator’s ✓ says that the model is no worse than before; the neighbor is paid if most say so.${half}`;
}

const head = (...names) => el("thead", null, el("tr", null, ...names.map((name, place) => el("th", { scope: "col", class: place ? "n" : "" }, name))));
const line = (name, ...cells) => el("tr", null, el("th", { scope: "row" }, name), ...cells.map((text) => el("td", { class: "n" }, text)));
const framed = (label, ...parts) => el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label }, el("table", null, ...parts));

function explain(key) {
  const pays = state.pays[key];
  const met = state.met[key];
  const serum = pays.rule === "serum";
  const valid = pays.judges.filter((judge) => judge.vote === true).length;
  const voted = pays.judges.filter((judge) => judge.vote !== null).length;
  const vote = { true: "✓ no worse", false: "✕ worse", null: "– none" };
  const judges = pays.judges.map((judge) => line(judge.node || "given up since", vote[String(judge.vote)],
    `${judge.before[0]} : ${judge.before[1]}`, judge.vote === null ? "–" : String(judge.matches),
    ...(serum ? [judge.vote === null ? "–" : judge.worth.toFixed(3), judge.vote === null ? "–" : signed(judge.score)] : []), gain(judge.change)));
  const names = ["validator", "vote", "voted before ✓ : ✕", "others agreed", ...(serum ? ["worth of one", "score"] : []), "gets"];
  const verdict = { valid: `${valid} of ${voted} found the model no worse: the neighbor gets ${money(pays.share)} of the learner’s ${money(pays.prepayment)}.`,
    invalid: `${valid} of ${voted} found the model no worse, and that is not most: the learner gets ${money(pays.share)} of the neighbor’s ${money(pays.prepayment)}.`,
    none: "The votes gave no verdict." }[pays.verdict];
  ask(`${pays.learner} learned from ${pays.neighbor}: ${VERDICTS[met?.state]?.[1] ?? pays.verdict}`, [
    el("p", null, `Both put ${money(pays.prepayment)} aside. ${verdict}`),
    framed("Validators", head(...names), el("tbody", null, ...judges)),
    el("ol", { class: "sums" },
      serum ? el("li", null, "score: others who agreed × worth ÷ others who voted, less one; to agree is worth more where such a vote was rare among the others before") : null,
      el("li", null, `the validators share ${money(pays.prepayment - pays.share)} by the rule ${pays.rule}; what they leave is the learner’s`),
      el("li", null, `${pays.neighbor} ${gain(pays.paid[0])}, ${pays.learner} ${gain(pays.paid[1])}${pays.block ? `, in block ${pays.block}` : ""}`)),
    pays.tx ? el("p", { class: "note" }, el("code", null, `p2pfd explain ${pays.tx}`)) : null,
    el("p", { class: pays.right ? "good" : "bad" }, pays.right ? "✓ Recomputed from the calls and votes on the chain: equal to the last unit." : "✕ The chain paid something else than the rules say."),
  ]);
}

/** What one node got from all its encounters. */
export function explainNode(name) {
  const lines = [];
  let sum = 0;
  for (const [key, pays] of Object.entries(state.pays)) {
    const number = state.met[key]?.number ?? 0;
    const parts = [["learner", pays.learner, pays.paid[1], `from ${pays.neighbor}`], ["neighbor", pays.neighbor, pays.paid[0], `for ${pays.learner}`],
      ...pays.judges.map((judge) => ["validator", judge.node, judge.change, `of ${pays.learner} and ${pays.neighbor}`])];
    for (const [role, node, change, whom] of parts) {
      if (node !== name) continue;
      sum += change;
      lines.push([number, line(String(number), role, whom, gain(change))]);
    }
  }
  lines.sort(([a], [b]) => b - a);
  ask(`${name} got ${gain(sum)} from ${count(lines.length, "part")} in encounters`, [
    framed("Its encounters", head("encounter", "as", "", "gets"), el("tbody", null, ...lines.map(([, made]) => made)))]);
}

onChange(["met", "pays", "about"], paint);
