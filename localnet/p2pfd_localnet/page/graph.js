// The mesh as a graph that moves: connected nodes attract each other, all push each other away, and a dot runs along a
// link when new messages came that way. Who would rather see nothing move gets the graph at rest.

import { $, count, say, svg } from "./format.js";
import { nodeNames, onChange, state } from "./store.js";

const NARROW = matchMedia("(max-width: 520px)").matches;
const WIDTH = NARROW ? 400 : 720;
const HEIGHT = NARROW ? 360 : 470;
const MARGIN = 34;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const DOTS = 120;

const drawing = $("graph");
drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
const edgeLayer = drawing.appendChild(svg("g"));
const dotLayer = drawing.appendChild(svg("g"));
const nodeLayer = drawing.appendChild(svg("g"));

const spots = new Map();
const edges = new Map();
const dots = [];
let heat = 0;
let moving = false;
let pointed = "";

function radius() {
  return spots.size > 30 ? 11 : spots.size > 16 ? 14 : NARROW ? 17 : 20;
}

function place(name, at, of) {
  const turn = (2 * Math.PI * at) / of - Math.PI / 2;
  const group = svg("g", { class: "node", "data-node": name },
    svg("circle", { class: "halo" }), svg("circle", { class: "body" }), svg("text", { class: "name" }), svg("text", { class: "badge" }));
  group.addEventListener("pointerenter", () => point(name));
  group.addEventListener("pointerleave", () => point(""));
  nodeLayer.append(group);
  group.children[2].textContent = name.replace(/^node-/, "");
  return { name, group, x: WIDTH / 2 + 0.28 * WIDTH * Math.cos(turn), y: HEIGHT / 2 + 0.33 * HEIGHT * Math.sin(turn), dx: 0, dy: 0, seen: {}, learned: -1 };
}

/** Show one node's links more clearly than the others; none with an empty name. */
export function point(name) {
  pointed = name;
  drawing.classList.toggle("pointed", Boolean(name));
  for (const [key, edge] of edges) edge.line.classList.toggle("of", key.split(" ").includes(name));
  for (const spot of spots.values()) spot.group.classList.toggle("of", spot.name === name);
}

function join(names) {
  const wanted = new Map();
  const want = (a, b, heard) => {
    if (!spots.has(a) || !spots.has(b) || a === b) return;
    const key = a < b ? `${a} ${b}` : `${b} ${a}`;
    wanted.set(key, (wanted.get(key) ?? 0) + heard);
  };
  for (const name of names) {
    const node = state.nodes[name];
    if (["failed", "lost"].includes(node.life)) continue;
    for (const other of node.links) {
      if (!["failed", "lost"].includes(state.nodes[other]?.life)) want(name, other, node.heard[other] ?? 0);
    }
  }
  for (const [key, edge] of edges) {
    if (!wanted.has(key)) {
      edge.line.remove();
      edges.delete(key);
      heat = Math.max(heat, 0.5);
    }
  }
  const most = Math.max(1, ...wanted.values());
  for (const [key, heard] of wanted) {
    let edge = edges.get(key);
    if (!edge) {
      const [a, b] = key.split(" ").map((name) => spots.get(name));
      edge = { a, b, line: edgeLayer.appendChild(svg("line", { class: "edge" })) };
      edges.set(key, edge);
      heat = 1;
    }
    edge.line.classList.toggle("heard", heard > 0);
    edge.line.style.strokeWidth = heard ? (names.length > 30 ? 0.7 + 1.1 * (heard / most) : 1.2 + 2.2 * (heard / most)).toFixed(2) : "";
  }
}

function dress(spot, node, blamed, shunned) {
  const trouble = ["failed", "lost"].includes(node.life);
  const big = radius();
  spot.group.setAttribute("class", `node ${node.life}${blamed ? " blamed" : ""}${pointed === spot.name ? " of" : ""}`);
  spot.group.children[0].setAttribute("r", big);
  spot.group.children[1].setAttribute("r", big);
  spot.group.children[2].setAttribute("font-size", big * 0.9);
  const badge = spot.group.children[3];
  badge.setAttribute("x", big * 1.0);
  badge.setAttribute("y", -big * 0.85);
  say(badge, trouble ? "✕" : shunned ? "⊘" : blamed ? "!" : node.life === "finished" ? "✓" : "");
  for (const [other, total] of Object.entries(node.heard)) {
    const before = spot.seen[other] ?? 0;
    if (total > before && before) run(other, spot.name, Math.min(3, total - before));
    spot.seen[other] = total;
  }
  if (node.round !== spot.learned && node.accuracy !== null) {
    spot.learned = node.round;
    pulse(spot);
  }
}

function run(from, to, times) {
  const a = spots.get(from);
  const b = spots.get(to);
  if (STILL.matches || document.hidden || !a || !b) return;
  for (let turn = 0; turn < times && dots.length < DOTS; turn += 1) {
    dots.push({ a, b, at: -0.18 * turn - 0.15 * Math.random(), mark: dotLayer.appendChild(svg("circle", { class: "dot", r: 3.2, visibility: "hidden" })) });
  }
}

function pulse(spot) {
  if (STILL.matches || document.hidden) return;
  spot.group.children[0].animate(
    [{ transform: "scale(1)", opacity: 0.55 }, { transform: "scale(2.1)", opacity: 0 }], { duration: 900, easing: "ease-out" });
}

function push() {
  const all = [...spots.values()];
  const room = Math.sqrt((WIDTH * HEIGHT) / Math.max(4, all.length)) * 1.25;
  for (let i = 0; i < all.length; i += 1) {
    for (let j = i + 1; j < all.length; j += 1) {
      const dx = all[j].x - all[i].x || 0.1;
      const dy = all[j].y - all[i].y || 0.1;
      const far = Math.hypot(dx, dy);
      const force = (room * room) / (far * far * far) * 0.55;
      all[i].dx -= dx * force; all[i].dy -= dy * force;
      all[j].dx += dx * force; all[j].dy += dy * force;
    }
  }
  for (const { a, b } of edges.values()) {
    const dx = b.x - a.x;
    const dy = b.y - a.y;
    const pull = 0.010 * Math.min(1, 3.2 * all.length / Math.max(1, 2 * edges.size));
    a.dx += dx * pull; a.dy += dy * pull;
    b.dx -= dx * pull; b.dy -= dy * pull;
  }
  for (const spot of all) {
    spot.dx += (WIDTH / 2 - spot.x) * 0.005;
    spot.dy += (HEIGHT / 2 - spot.y) * 0.011;
    const step = Math.hypot(spot.dx, spot.dy);
    const most = 14 * heat + 0.2;
    const scale = step > most ? most / step : 1;
    spot.x = Math.min(WIDTH - MARGIN, Math.max(MARGIN, spot.x + spot.dx * scale));
    spot.y = Math.min(HEIGHT - MARGIN, Math.max(MARGIN, spot.y + spot.dy * scale));
    spot.dx *= 0.55; spot.dy *= 0.55;
  }
  heat *= 0.985;
}

function draw() {
  for (const { group, x, y } of spots.values()) group.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  for (const { a, b, line } of edges.values()) {
    line.setAttribute("x1", a.x.toFixed(1)); line.setAttribute("y1", a.y.toFixed(1));
    line.setAttribute("x2", b.x.toFixed(1)); line.setAttribute("y2", b.y.toFixed(1));
  }
}

let before = 0;
function frame(now) {
  const passed = Math.min(50, now - before) / 1000;
  before = now;
  if (heat > 0.02) {
    for (let step = 0; step < passed / 0.018; step += 1) push(); // as many as time has passed for, however few frames
    draw();
  }
  for (let place = dots.length - 1; place >= 0; place -= 1) {
    const dot = dots[place];
    dot.at += passed / 0.9;
    if (dot.at >= 1) {
      dot.mark.remove();
      dots.splice(place, 1);
    } else if (dot.at >= 0) {
      dot.mark.setAttribute("cx", (dot.a.x + (dot.b.x - dot.a.x) * dot.at).toFixed(1));
      dot.mark.setAttribute("cy", (dot.a.y + (dot.b.y - dot.a.y) * dot.at).toFixed(1));
      dot.mark.removeAttribute("visibility");
    }
  }
  if (heat > 0.02 || dots.length) requestAnimationFrame(frame);
  else moving = false;
}

function move() {
  if (STILL.matches) {
    for (let step = 0; step < 300 && heat > 0.02; step += 1) push();
    heat = 0;
    draw();
  } else if (!moving) {
    moving = true;
    before = performance.now();
    requestAnimationFrame(frame);
  }
}

onChange(["nodes"], () => {
  const names = nodeNames();
  names.forEach((name, at) => {
    if (!spots.has(name)) {
      spots.set(name, place(name, at, names.length));
      heat = 1;
    }
  });
  join(names);
  const blamed = new Set(names.flatMap((name) => Object.keys(state.nodes[name].offences)));
  const shunned = new Set(names.flatMap((name) => state.nodes[name].refuses));
  for (const name of names) dress(spots.get(name), state.nodes[name], blamed.has(name) || shunned.has(name), shunned.has(name));
  const heard = [...edges.values()].filter(({ line }) => line.classList.contains("heard")).length;
  const gone = names.filter((name) => ["failed", "lost"].includes(state.nodes[name].life));
  const lost = gone.length ? `; gone: ${gone.join(", ")}` : "";
  say($("graph-text"), `${count(names.length, "node")}, ${count(edges.size, "connection")}; by ${heard} of them came messages that were new${lost}.`);
  move();
});
