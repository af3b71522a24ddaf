// What the nodes report, the latest first. What all report alike stands here once.

import { $, clock, el, percent, say, size, tokens } from "./format.js";
import { nodeNames, onChange, state, touch } from "./store.js";

const SHOWN = 250;
const list = $("events");
const KINDS = {
  round: (name) => name.startsWith("round.") && name !== "round.paid",
  paid: (name) => name === "round.paid" || name.startsWith("task.") || /\.(balance|over|settled)$/.test(name),
  met: (name) => /^(learner|neighbor|validator|member)\./.test(name),
  network: (name) => ["network", "listening", "started", "ready"].includes(name) || name.startsWith("peer."),
  trouble: (name) => /^(failed|exited|peer\.|chain\.|control\.|round\.(late|short|outrun))/.test(name),
};

const nth = (fields) => Number(fields.round) + 1;
const money = (units) => tokens(Number(units), state.about.plan?.unit);
const who = (account) => nodeNames().find((name) => state.nodes[name].account === account) ?? `${String(account).slice(0, 8)}…`;
const over = (f) => `its part is over: ${f.end}${f.got === null || f.got === undefined ? "" : `, ${money(f.got)} credited`}`;
const SENTENCES = {
  started: (f) => `is process ${f.pid}`,
  listening: (f) => `can be dialled at ${f.addresses}`,
  ready: (f) => `is ready, with ${f.peers} peers`,
  network: (f) => `has sent ${size(Number(f.bytes_sent))}, received ${size(Number(f.bytes_received))}`,
  "task.enrolled": (f) => `saw a worker take seat ${f.seats_taken}`,
  "round.opened": (f) => `round ${nth(f)} opens for ${f.workers}`,
  "round.committed": (f) => `round ${nth(f)}: ${f.have} of ${f.of} are bound`,
  "round.revealed": (f) => `round ${nth(f)}: ${f.have} of ${f.of} have shown their labels`,
  "round.offered": (f) => `round ${nth(f)}: ${f.have} of ${f.of} can be fetched`,
  "round.absorbed": (f) => `learned from round ${nth(f)}: accuracy ${percent(Number(f.accuracy))}`,
  "round.paid": (f) => `earned ${tokens(Number(f.amount), state.about.plan?.unit)} in round ${nth(f)}`,
  "round.settled": (f) => `round ${nth(f)} is settled`,
  "round.short": (f) => `round ${nth(f)}: too few revealed`,
  "round.late": (f) => `was too late for round ${nth(f)}`,
  "member.balance": (f) => `has ${money(f.free)} free, ${money(f.seats)} in its seat, ${money(f.wallet)} in its wallet`,
  "learner.opened": (f) => `asks ${who(f.neighbor)} for help, and puts ${money(f.prepayment)} aside`,
  "neighbor.opened": (f) => `serves ${who(f.learner)}, and puts ${money(f.prepayment)} aside`,
  "validator.drawn": (f) => `is to judge what ${who(f.neighbor)} gives ${who(f.learner)}`,
  "validator.judged": (f) => `finds ${percent(f.after / 1e6)} after ${percent(f.before / 1e6)}: ${f.good ? "✓ no worse" : "✕ worse"}`,
  "learner.settled": (f) => `${f.accepted ? "✓ may go on from" : "✕ does not take"} what ${who(f.neighbor)} gave`,
  "learner.learnt": (f) => `goes on from it: accuracy ${percent(Number(f.accuracy))}`,
  "learner.alone": (f) => `finds nobody to learn from, of ${f.asked}`,
  "learner.over": over, "neighbor.over": over, "validator.over": over,
  finished: (f) => `has finished: ${percent(Number(f.accuracy_alone))} alone, ${percent(Number(f.accuracy_together))} together`,
  stopped: () => "has stopped",
  failed: (f) => `cannot go on: ${f.error}${f.fix ? ` — ${f.fix}` : ""}`,
  exited: (f) => (Number(f.signal) ? `its process was ended by signal ${f.signal}` : `its process ended with code ${f.code}`),
};

const plain = (fields) => Object.entries(fields).map(([key, value]) => `${key}=${value}`).join(" ");

function text(entry) {
  const sentence = SENTENCES[entry.event];
  return sentence ? sentence(entry.fields) : plain(entry.fields);
}

function matcher() {
  const word = $("find").value.trim().toLowerCase();
  const node = $("by-node").value;
  const kind = KINDS[$("by-kind").value];
  return (entry) => (!node || entry.node === node) && (!kind || kind(entry.event))
    && (!word || `${entry.node} ${entry.event} ${text(entry)}`.toLowerCase().includes(word));
}

function line(entry) {
  const bad = KINDS.trouble(entry.event);
  return el("li", { class: bad ? "bad" : "" },
    el("time", null, clock(entry.t)), el("b", null, entry.node), el("code", null, entry.event), el("span", null, `${bad ? "⚠ " : ""}${text(entry)}`));
}

let newest = 0;
let found = 0;

function more() {
  if ($("pause").checked) return;
  const fits = matcher();
  const fresh = [];
  for (let place = state.log.length - 1; place >= 0 && state.log[place].n > newest; place -= 1) {
    if (fits(state.log[place])) fresh.push(state.log[place]);
  }
  newest = state.log.at(-1)?.n ?? 0;
  found += fresh.length;
  list.prepend(...fresh.slice(0, SHOWN).map(line));
  while (list.children.length > SHOWN) list.lastChild.remove();
  count();
}

function count() {
  const shown = list.children.length;
  say($("events-text"), found > shown ? `The latest ${shown} of ${found}; localnet logs has all that every node wrote.` : `${found} shown; localnet logs has all that every node wrote.`);
}

function again() {
  newest = 0;
  found = 0;
  list.replaceChildren();
  touch("log");
}

onChange(["log"], more);
onChange(["nodes"], () => {
  const select = $("by-node");
  const names = nodeNames();
  if (select.options.length !== names.length + 1) {
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, "all"), ...names.map((name) => el("option", { value: name }, name)));
    select.value = chosen;
  }
});
$("filter").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["find", "by-node", "by-kind"]) $(id).addEventListener("input", again);
$("pause").addEventListener("input", () => touch("log"));
