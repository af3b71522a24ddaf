// The round that is under way, its phases as they pass, and the figures of the mesh.

import { $, count, el, mean, number, percent, say, seconds, size, tokens } from "./format.js";
import { tally } from "./met.js";
import { nodeNames, onChange, roundNumbers, state } from "./store.js";

let told = -1;

/** Whether the nodes offer contributions and merge them, instead of voting with labels. */
const exchanges = () => roundNumbers().some((rnd) => state.rounds[rnd].offered > 0);

function phasesOf(round, living) {
  const workers = round.workers || living;
  const learned = Object.keys(round.accuracy).length;
  const settles = state.about.plan.chain !== "none";
  if (exchanges()) {
    return [["offered", round.offered, workers], ["merged", learned, living]];
  }
  const phases = [["commit", round.committed, workers], ["reveal", round.revealed, workers], ["learn", learned, living]];
  if (settles) phases.push(["settled", round.settled ? 1 : 0, 1]);
  return phases;
}

function lasted({ times }) {
  const ends = Object.values(times);
  return times.opened && ends.length > 1 ? ` after ${seconds(Math.max(...ends) - times.opened)}` : "";
}

function paintRound() {
  const plan = state.about.plan;
  const numbers = roundNumbers();
  if (plan?.meets) {
    paintMeetings(plan);
    return;
  }
  if (!plan || !numbers.length) {
    say($("round-note"), "no round is open yet");
    return;
  }
  const rnd = numbers.at(-1);
  const round = state.rounds[rnd];
  const living = nodeNames().filter((name) => !["failed", "lost"].includes(state.nodes[name].life)).length;
  const phases = phasesOf(round, living);
  const mesh = state.about.mesh ?? {};
  say($("h-round"), `Round ${rnd + 1} of ${plan.rounds}`);
  const first = phases.findIndex(([, have, of]) => have < of);
  const over = mesh.status !== "running" && mesh.status !== "starting";
  const note = round.short ? "too few revealed: nothing is learned from this round"
    : first < 0 ? `complete${lasted(round)}` : "";
  const report = state.about.end?.report;
  say($("round-note"), [note, report ? `report: ${report}` : ""].filter(Boolean).join(" · "));
  bars(phases, over ? -1 : first);
}

// Encounters have no common phases: how many are over, and what became of them.
function paintMeetings(plan) {
  const { open, accepted, refused, without } = tally();
  const done = accepted + refused + without;
  say($("h-round"), `${done} of ${plan.wanted} encounters are over`);
  const report = state.about.end?.report;
  say($("round-note"), [open ? `${open} under way` : "", report ? `report: ${report}` : ""].filter(Boolean).join(" · "));
  const parts = [["accepted", accepted], ["refused", refused], ["without votes", without], ["under way", open]];
  bars(parts.map(([name, have]) => [name, have, plan.wanted]), -1, ["✓", "✕", "–", "▸"]);
}

function bars(phases, now, marks = null) {
  const list = $("phases");
  while (list.children.length > phases.length) list.lastChild.remove();
  phases.forEach(([name, have, of], place) => {
    const item = list.children[place] ?? list.appendChild(el("li", null,
      el("span", { class: "phase-mark", "aria-hidden": "true" }), el("span", { class: "phase-name" }),
      el("span", { class: "phase-count" }), el("span", { class: "track" }, el("span", { class: "fill" }))));
    const [mark, label, figure, track] = item.children;
    const done = have >= of;
    const current = place === now;
    say(mark, marks ? marks[place] : done ? "✓" : current ? "▸" : "·");
    say(label, name);
    say(figure, marks ? String(have) : of === 1 && name === "settled" ? (done ? "yes" : "not yet") : `${have}/${of}`);
    track.firstChild.style.transform = `scaleX(${of ? Math.min(1, have / of) : 0})`;
    item.className = done ? "done" : current ? "current" : "";
    if (current) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

function paintFigures() {
  const { about, nodes, rounds } = state;
  const plan = about.plan;
  if (!plan) return;
  const all = Object.values(nodes);
  const latest = roundNumbers().filter((rnd) => rounds[rnd].mean !== null).at(-1);
  const end = about.end;
  const sent = mean(all.filter((node) => node.sent).map((node) => node.sent));
  const labels = mean(all.filter((node) => node.labels).map((node) => node.labels));
  const fedavg = mean(all.filter((node) => node.fedavg).map((node) => node.fedavg));
  const paid = all.reduce((sum, node) => sum + node.paid, 0);
  const figures = [];
  if (end) {
    figures.push([percent(end.alone), "alone, test"], [percent(end.together), "together, test"]);
  } else {
    figures.push([latest === undefined ? "–" : percent(rounds[latest].mean), "mesh accuracy"]);
  }
  figures.push([sent === null ? "–" : size(sent), "sent per node"]);
  if (labels) figures.push([size(labels), "of it labels"]);
  figures.push([fedavg === null ? "–" : size(fedavg), "FedAvg’s weights"]);
  if (plan.chain !== "none" && !plan.meets) figures.push([tokens(paid, plan.unit), "tokens paid"]);
  if (end?.audit) {
    const { payments, problems } = end.audit;
    figures.push([problems.length ? `✕ ${number(problems.length)} wrong` : `✓ ${number(payments)}`, "payments recomputed"]);
  }
  if (end) figures.push([seconds(1000 * end.seconds), "from start to end"]);
  const list = $("figures");
  while (list.children.length > figures.length) list.lastChild.remove();
  figures.forEach(([value, what], place) => {
    const row = list.children[place] ?? list.appendChild(el("div", null, el("dt"), el("dd")));
    say(row.children[0], what);
    say(row.children[1], value);
  });
}

// What somebody who does not look at the page is told: a sentence for each round. Of nodes that go
// the notice tells.
function announce() {
  const sentences = [];
  if (state.about.plan?.meets) announceMeetings(sentences);
  for (const rnd of state.about.plan?.meets ? [] : roundNumbers()) {
    const round = state.rounds[rnd];
    const over = round.settled || (state.about.plan?.chain === "none" && round.mean !== null);
    if (rnd <= told || !over || round.mean === null) continue;
    told = rnd;
    const paid = round.settled?.counted ? `, ${tokens(round.settled.paid, state.about.plan.unit)} tokens paid` : "";
    sentences.splice(0, sentences.length, `Round ${rnd + 1}: accuracy ${percent(round.mean)}${paid}.`);
  }
  const mesh = state.about.mesh ?? {};
  if (mesh.status === "done" && state.about.end) {
    sentences.splice(0, sentences.length, `The mesh has finished after ${state.about.plan.meets ? count(told, "encounter") : count(roundNumbers().length, "round")}.`);
  }
  if (sentences.length) say($("announce"), sentences.join(" "));
}

// A sentence for each tenth of the encounters: they end more often than anybody wants to be told.
function announceMeetings(sentences) {
  const { accepted, refused, without } = tally();
  const done = accepted + refused + without;
  if (done < told + Math.max(1, state.about.plan.wanted / 10) && done < state.about.plan.wanted) return;
  if (done <= told) return;
  told = done;
  sentences.push(`${done} of ${state.about.plan.wanted} encounters are over: ${accepted} accepted, ${refused} refused.`);
}

onChange(["rounds", "nodes", "met", "about"], () => {
  paintRound();
  paintFigures();
  announce();
});
