// Where the page begins: it listens to the server's news and hands them to those who draw.

import { $, say } from "./format.js";
import { apply, nodeNames, onChange, state } from "./store.js";
import "./round.js";
import "./graph.js";
import "./accuracy.js";
import "./bytes.js";
import "./nodes.js";
import "./met.js";
import "./chain.js";
import "./chaos.js";
import "./events.js";

const AGAIN_MS = 3000;
let run = "";
let last = "";
let ended = false;
let link = "connecting";

function listen() {
  const source = new EventSource("news");
  source.addEventListener("patch", (message) => {
    const [of] = message.lastEventId.split("-");
    if (run && of !== run) {
      location.reload(); // another mesh answers here now
      return;
    }
    run = of;
    last = message.lastEventId;
    link = "live";
    apply(JSON.parse(message.data));
    show();
  });
  source.addEventListener("end", () => {
    ended = true;
    source.close();
    show();
  });
  source.addEventListener("open", () => {
    link = "live";
    show();
  });
  source.addEventListener("error", () => {
    link = last ? "lost" : "refused";
    show();
    // A browser tries again by itself unless it was refused: then too many watch, or nobody is there yet.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

const WORDS = {
  starting: ["starting", "starting"],
  running: ["live", "live"],
  done: ["done", "✓ finished"],
  failed: ["failed", "✕ failed"],
  interrupted: ["stopped", "■ stopped"],
};

function show() {
  const mesh = state.about.mesh ?? {};
  const [look, words] = WORDS[mesh.status] ?? ["connecting", "connecting"];
  const pill = $("status");
  if (link === "lost" && !ended) {
    pill.dataset.state = "lost";
    say($("status-text"), "no connection");
  } else if (link === "refused") {
    pill.dataset.state = "lost";
    say($("status-text"), "not let in");
  } else {
    pill.dataset.state = look;
    say($("status-text"), words);
  }
  const notice = $("notice");
  const text = noticeOf(mesh);
  say(notice, text);
  notice.hidden = !text;
}

function noticeOf(mesh) {
  if (link === "refused") return "The server does not let this page in: too many pages watch already. It tries again every few seconds.";
  if (mesh.status === "failed") return `The mesh failed: ${mesh.error}${mesh.fix ? ` — ${mesh.fix}` : ""}`;
  if (link === "lost" && !ended) return "The mesh does not answer any more. What stands below is what was known last; when it comes back, this page goes on.";
  const gone = nodeNames().filter((name) => ["failed", "lost"].includes(state.nodes[name].life));
  if (!gone.length || mesh.status === "interrupted") return "";
  const first = state.nodes[gone[0]];
  const more = gone.length > 1 ? ` So ${gone.length === 2 ? "is" : "are"} ${gone.slice(1).join(", ")}.` : "";
  return `${gone[0]} is ${first.life}: ${first.error}${first.fix ? ` — ${first.fix}` : ""}.${more}`;
}

onChange(["about", "nodes"], ({ about }) => {
  const plan = about.plan ?? {};
  say($("title"), plan.name ?? "localnet");
  document.title = `${plan.name ?? "mesh"} · localnet`;
  const chain = plan.chain === "none" ? "no chain" : `${plan.chain} chain`;
  say($("plan"), `${plan.nodes} nodes · ${plan.meets ? `${plan.rounds} encounters each` : `${plan.rounds} rounds`} · ${plan.adapter} · ${chain} · seed ${plan.seed}`);
  document.body.classList.toggle("no-chain", plan.chain === "none");
  document.body.classList.toggle("meets", Boolean(plan.meets));
  const { viewers = 0, dropped = 0 } = about.watching ?? {};
  say($("watching"), `${viewers} watching${dropped ? `, ${dropped} too slow and hung up on` : ""}`);
  show();
});

listen();
