// Accuracy over the rounds: a thin line for each node, a thick one for their mean.

import { $, el, percent, say, svg } from "./format.js";
import { nodeNames, onChange, roundNumbers, state } from "./store.js";

const WIDTH = 720;
const HEIGHT = 440;
const LEFT = 52;
const RIGHT = 18;
const TOP = 14;
const BOTTOM = 40;
const drawing = $("accuracy");
drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);

let drawn = "";

/** What accuracy is told after. */
const unit = () => (state.about.plan.meets ? "encounter of its own that was accepted" : "round");

function paint() {
  const rounds = roundNumbers().filter((rnd) => state.rounds[rnd].mean !== null);
  // A round's phases change often, its accuracies once for each node: only these are drawn.
  const known = rounds.reduce((sum, rnd) => sum + Object.keys(state.rounds[rnd].accuracy).length, 0);
  const now = [rounds[0], rounds.at(-1), known, state.about.end?.alone].join(" ");
  if (!rounds.length && state.about.plan?.meets) say($("accuracy-text"), "Once somebody has learned from somebody its accuracy stands here.");
  if (!rounds.length || now === drawn) return;
  drawn = now;
  const names = nodeNames();
  const end = state.about.end;
  const values = rounds.flatMap((rnd) => Object.values(state.rounds[rnd].accuracy));
  if (end?.alone) values.push(end.alone);
  const low = Math.max(0, Math.floor(10 * Math.min(...values) - 0.5) / 10);
  const high = Math.max(low + 0.1, Math.min(1, Math.ceil(10 * Math.max(...values) + 0.2) / 10));
  const steps = Math.round(10 * (high - low));
  const first = rounds[0];
  const span = Math.max(1, (state.about.plan.rounds <= 60 ? state.about.plan.rounds - 1 : rounds.at(-1)) - first);
  const x = (rnd) => LEFT + ((rnd - first) / span) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const parts = [];
  for (let step = 0; step <= steps; step += 1) {
    const value = low + step / 10;
    parts.push(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    parts.push(svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, `${(100 * value).toFixed(0)} %`));
  }
  const every = Math.ceil((span + 1) / 12);
  for (let rnd = first; rnd <= first + span; rnd += every) {
    parts.push(svg("text", { x: x(rnd), y: HEIGHT - BOTTOM + 20, "text-anchor": "middle" }, String(rnd + 1)));
  }
  parts.push(svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, unit()));
  const path = (value) => rounds.map((rnd) => [rnd, value(rnd)]).filter(([, found]) => found !== undefined)
    .map(([rnd, found]) => `${x(rnd).toFixed(1)},${y(found).toFixed(1)}`).join(" ");
  for (const name of names) {
    parts.push(svg("polyline", { class: names.length > 16 ? "line many" : "line", points: path((rnd) => state.rounds[rnd].accuracy[name]) }, svg("title", null, name)));
  }
  parts.push(svg("polyline", { class: "line mean", points: path((rnd) => state.rounds[rnd].mean) }, svg("title", null, "mean")));
  if (rounds.length <= 60) {
    for (const rnd of rounds) parts.push(svg("circle", { class: "point", cx: x(rnd), cy: y(state.rounds[rnd].mean), r: 3.6 }));
  }
  const last = rounds.at(-1);
  if (end?.alone) {
    parts.push(svg("line", { class: "alone", x1: LEFT, x2: WIDTH - RIGHT, y1: y(end.alone), y2: y(end.alone) }));
    parts.push(svg("text", { x: WIDTH - RIGHT, y: y(end.alone) - 7, "text-anchor": "end" }, `alone, on test samples: ${percent(end.alone)}`));
  }
  drawing.replaceChildren(...parts);
  say($("accuracy-text"), words(rounds, last));
  table(rounds);
}

function words(rounds, last) {
  const one = rounds.every((rnd) => new Set(Object.values(state.rounds[rnd].accuracy)).size <= 1);
  const lines = one && nodeNames().length > 1 ? "All nodes derived the same model: their lines are one." : "Thin lines are nodes, the thick one is their mean.";
  return `On the validation samples, ${percent(state.rounds[last].mean)} after ${state.about.plan.meets ? "encounter" : "round"} ${last + 1}. ${lines}`;
}

function table(rounds) {
  const body = $("accuracy-table").tBodies[0];
  say($("accuracy-table").tHead.rows[0].cells[0], state.about.plan.meets ? "encounter" : "round");
  body.replaceChildren(...rounds.map((rnd) => {
    const values = Object.values(state.rounds[rnd].accuracy);
    return el("tr", null, el("th", { scope: "row" }, String(rnd + 1)), ...[Math.min(...values), state.rounds[rnd].mean, Math.max(...values)]
      .map((value) => el("td", { class: "n" }, percent(value))));
  }));
}

onChange(["rounds", "about"], paint);
