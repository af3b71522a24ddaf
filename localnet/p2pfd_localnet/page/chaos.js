// What can be done to the mesh from here: for whoever opened the page by the link with the token, and for nobody else.

import { $, el, percent, say } from "./format.js";
import { nodeNames, onChange, state } from "./store.js";

const KEY = "token";
const OVER = ["done", "failed", "interrupted"];
const list = $("chaos-nodes");
const rows = new Map();
let token = taken();
let refused = "";
let busy = 0;

/** The token in the link, which does not stay in the address: addresses are shown, kept and copied. */
function taken() {
  const given = new URLSearchParams(location.hash.slice(1)).get(KEY);
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return given ?? sessionStorage.getItem(KEY) ?? "";
}

addEventListener("hashchange", () => {
  token = taken();
  refused = "";
  paint();
});

async function act(table) {
  busy += 1;
  tell(`${table.do} …`, "");
  paint();
  try {
    const heads = { "content-type": "application/json", authorization: `Bearer ${token}` };
    const answer = await fetch("control", { method: "POST", headers: heads, body: JSON.stringify({ ...table, by: "page" }) });
    const told = await answer.json();
    if (answer.status === 401) {
      token = "";
      sessionStorage.removeItem(KEY);
      refused = "This page was opened by the link of another run.";
    }
    tell(told.done ?? `Not done: ${told.error.what}${told.error.fix ? ` — ${told.error.fix}` : ""}`, told.done ? "" : "bad");
  } catch {
    tell("Not done: the mesh does not answer.", "bad");
  } finally {
    busy -= 1;
    paint();
  }
}

function tell(text, look) {
  say($("chaos-said"), text);
  $("chaos-said").className = look;
}

// -- each node ---------------------------------------------------------------------------------------------------------

function row(name) {
  const life = button(() => (isGone(name) ? act({ do: "revive", nodes: name }) : confirmed(name)));
  const still = button(() => act({ do: isPaused(name) ? "resume" : "pause", nodes: name }));
  const ill = el("span", { class: "ill" });
  list.append(el("li", null, el("b", null, name), life, still, ill));
  return { life, still, ill };
}

const button = (done) => {
  const made = el("button", { type: "button", "aria-describedby": "chaos-text" });
  made.addEventListener("click", done);
  return made;
};

const wrong = () => state.about.chaos ?? {};
const isGone = (name) => (wrong().gone ?? []).includes(name) || ["lost", "failed"].includes(state.nodes[name]?.life);
const isPaused = (name) => (wrong().paused ?? []).includes(name);

function confirmed(name) {
  say($("kill-title"), `Kill ${name}?`);
  $("kill-yes").onclick = () => {
    $("kill").close();
    act({ do: "kill", nodes: name });
  };
  $("kill").showModal();
}

$("kill-no").addEventListener("click", () => $("kill").close());

function ailments(name) {
  const { groups = [], ills = {} } = wrong();
  const group = groups.findIndex((names) => names.includes(name));
  const found = ills[name] ?? {};
  return [
    isPaused(name) ? "stands still" : "",
    group < 0 ? "" : `side ${group + 1}`,
    found.lose ? `loses ${percent(found.lose)}` : "",
    found.late ? `${Math.round(1000 * found.late)} ms late` : "",
    found["slow-disk"] ? `disk +${Math.round(1000 * found["slow-disk"])} ms` : "",
  ].filter(Boolean).join(", ");
}

// -- all of them -------------------------------------------------------------------------------------------------------

const number = (id) => Math.max(0, Number($(id).value) || 0);

$("halves").addEventListener("click", () => {
  const names = nodeNames();
  const first = names.slice(0, Math.ceil(names.length / 2));
  act({ do: "partition", groups: `${first.join(",")}|rest` });
});
$("heal").addEventListener("click", () => act({ do: "heal" }));
$("chain-hold").addEventListener("click", () => act({ do: wrong().down ? "chain-up" : "chain-down" }));
$("join").addEventListener("click", () => act({ do: "add", count: 1 }));
$("loss-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act({ do: "loss", share: Math.min(100, number("loss-share")) / 100 });
});
$("delay-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act({ do: "delay", least: number("delay-ms") / 1000 });
});

function why() {
  const status = state.about.mesh?.status;
  if (OVER.includes(status)) return "The mesh is over: there is nothing left to break.";
  if (status !== "running") return "As soon as the mesh is ready, it can be broken from here.";
  if (refused) return `${refused} localnet link prints this one's.`;
  if (!token) return "This page only shows. To act from it, open it by the link that localnet link prints.";
  return "";
}

function set(target, text, off, label) {
  say(target, text);
  target.disabled = off;
  if (label) target.setAttribute("aria-label", label);
}

function paint() {
  const { groups = [], down = false, chain = false, free = 0 } = wrong();
  const reason = why();
  const off = Boolean(reason) || busy > 0;
  say($("chaos-text"), reason || (groups.length ? `The mesh is cut into ${groups.length}.` : "What is done here is done to real processes, and is an event."));
  for (const name of nodeNames()) {
    if (!rows.has(name)) rows.set(name, row(name));
    const { life, still, ill } = rows.get(name);
    const gone = isGone(name);
    const paused = isPaused(name);
    set(life, gone ? "revive" : "kill", off, `${gone ? "Revive" : "Kill"} ${name}`);
    set(still, paused ? "resume" : "pause", off || gone, `${paused ? "Resume" : "Pause"} ${name}`);
    say(ill, ailments(name));
  }
  $("halves").disabled = off || nodeNames().length < 2;
  $("heal").disabled = off || !groups.length;
  set($("chain-hold"), down ? "let the chain answer" : "silence the chain", off);
  $("chain-hold").hidden = !chain;
  $("join").disabled = off;
  $("join").hidden = !free;
  for (const id of ["loss-share", "loss-do", "delay-ms", "delay-do"]) $(id).disabled = off;
}

onChange(["about", "nodes"], paint);
