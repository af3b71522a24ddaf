// The nodes as a table, and why each was paid what it was paid.

import { $, count, el, number, percent, say, signed, tokens } from "./format.js";
import { point } from "./graph.js";
import { explainNode } from "./met.js";
import { nodeNames, onChange, roundNumbers, state } from "./store.js";
import { askRound, show } from "./why.js";

const MARKS = { starting: "…", listening: "…", ready: "●", stopped: "■", paused: "Ⅱ", finished: "✓", failed: "✕", lost: "✕" };
const GONE = ["finished", "failed", "lost"];
const OVER = ["done", "failed", "interrupted"];
const body = $("nodes").tBodies[0];
const rows = new Map();

function row(name) {
  const cells = Array.from({ length: 7 }, (_, place) => el("td", { class: [1, 2, 3, 4, 5].includes(place) ? "n" : "" }));
  const why = el("button", { type: "button", class: "why", "aria-haspopup": "dialog", "aria-label": `Why ${name} was paid` }, "why?");
  why.addEventListener("click", () => open(name));
  cells[6].append(why);
  for (const place of [4, 5, 6]) cells[place].classList.add("money");
  for (const place of [1, 3, 4]) cells[place].classList.add("spare");
  const made = el("tr", null, el("th", { scope: "row" }, name), ...cells);
  made.addEventListener("pointerenter", () => point(name));
  made.addEventListener("pointerleave", () => point(""));
  made.addEventListener("focusin", () => point(name));
  made.addEventListener("focusout", () => point(""));
  body.append(made);
  return { made, cells, why };
}

function paint() {
  const unit = state.about.plan?.unit;
  const explained = new Set(Object.keys(state.whys).map((key) => key.slice(key.indexOf(" ") + 1)));
  for (const pays of Object.values(state.pays)) {
    for (const name of [pays.learner, pays.neighbor, ...pays.judges.map((judge) => judge.node)]) explained.add(name);
  }
  const refusedBy = new Map();
  for (const name of nodeNames()) {
    for (const other of state.nodes[name].refuses) refusedBy.set(other, [...(refusedBy.get(other) ?? []), name]);
  }
  say($("nodes").tHead.rows[0].cells[2], state.about.plan?.meets ? "met" : "round");
  const over = OVER.includes(state.about.mesh?.status);
  for (const name of nodeNames()) {
    if (!rows.has(name)) rows.set(name, row(name));
    const node = state.nodes[name];
    const { made, cells, why } = rows.get(name);
    const stake = state.stakes[name];
    made.className = node.life;
    made.title = [node.address, node.account, node.peer].filter(Boolean).join("\n");
    const now = over && !GONE.includes(node.life) ? "stopped" : node.life; // in the midst of things when the mesh ended
    const life = node.error ? `${now}: ${node.error}` : now;
    const shunned = refusedBy.has(name) ? `, refused by ${refusedBy.get(name).join(", ")}` : "";
    say(cells[0], `${MARKS[now] ?? "?"} ${life}${stake?.suspended ? ", suspended" : ""}${shunned}`);
    say(cells[1], node.round ? String(node.round) : "–");
    say(cells[2], percent(node.together ?? node.accuracy));
    say(cells[3], node.links.length ? `${node.hears || "–"} of ${node.links.length}` : "–");
    say(cells[4], stake ? tokens(stake.locked, unit) : state.about.plan?.bond ? tokens(state.about.plan.bond, unit) : "–");
    say(cells[5], node.paid ? tokens(node.paid, unit) : "–");
    why.disabled = !explained.has(name);
  }
}

function open(name) {
  if (state.about.plan.meets) {
    explainNode(name);
    return;
  }
  const known = roundNumbers().filter((rnd) => state.whys[`${rnd} ${name}`]);
  askRound(known.map((rnd) => el("option", { value: rnd }, String(rnd + 1))), (rnd) => explain(name, rnd));
}

function explain(name, rnd) {
  const why = state.whys[`${rnd} ${name}`];
  const { unit } = state.about.plan;
  if (!why) return;
  const sums = why.parts.map(([label, said, agreed, worth]) => el("tr", null,
    el("th", { scope: "row" }, String(label)),
    ...[number(said), number(agreed), worth.toFixed(3), signed(agreed * worth / why.peers - said)].map((text) => el("td", { class: "n" }, text))));
  const head = ["label", "said", "peers who agreed", "worth of one", "brings"];
  const parts = [
    el("p", null, `Its ${count(why.samples, "label")} were compared with those of ${count(why.peers, "other worker")}. To agree is worth more where the label is rare among the others; each sample costs one, so that a label that everybody would give by chance brings nothing.`),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Label by label" }, el("table", null,
      el("thead", null, el("tr", null, ...head.map((text, place) => el("th", { scope: "col", class: place ? "n" : "" }, text)))), el("tbody", null, ...sums))),
    el("ol", { class: "sums" },
      el("li", null, `score ${why.score.toFixed(6)}: agreements × worth ÷ peers, less one for each sample`),
      el("li", null, `mean ${why.mean.toFixed(6)} a sample × ${tokens(why.rate, unit)} = ${tokens(why.due, unit)} due`),
      why.all_due > why.pot ? el("li", null, `all are due ${tokens(why.all_due, unit)}, the pot holds ${tokens(why.pot, unit)}: paid in proportion, ${tokens(why.paid, unit)}`) : null),
    el("p", { class: why.same ? "good" : "bad" }, why.same ? "✓ Recomputed from the labels on the chain: equal to the last unit." : "✕ The chain paid something else than its labels earn."),
  ];
  show(`${name} earned ${tokens(why.paid, unit)} in round ${rnd + 1}`, parts);
}

onChange(["nodes", "stakes", "whys", "pays", "about"], paint);
