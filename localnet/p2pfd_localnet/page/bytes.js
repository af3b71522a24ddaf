// What each node has sent, beside what federated averaging would have sent for its weights alone.

import { $, el, mean, say, size } from "./format.js";
import { nodeNames, onChange, state } from "./store.js";

const list = $("bytes");
const rows = new Map();

function row(name) {
  const made = el("div", { class: "bar", role: "listitem" },
    el("span", { class: "bar-name" }, name), el("span", { class: "track" }, el("span", { class: "fill" })), el("span", { class: "bar-figure" }));
  list.append(made);
  return made;
}

function set(name, value, most, kind) {
  if (!rows.has(name)) rows.set(name, row(name));
  const made = rows.get(name);
  made.className = `bar ${kind}`;
  made.children[1].firstChild.style.transform = `scaleX(${most ? value / most : 0})`;
  say(made.children[2], value ? size(value) : "–");
}

onChange(["nodes", "about"], () => {
  const names = nodeNames();
  const all = names.map((name) => state.nodes[name]);
  const fedavg = mean(all.filter((node) => node.fedavg).map((node) => node.fedavg)) ?? 0;
  const labels = mean(all.filter((node) => node.labels).map((node) => node.labels)) ?? 0;
  const most = Math.max(fedavg, ...all.map((node) => node.sent));
  for (const name of names) set(name, state.nodes[name].sent, most, "");
  const last = ["labels alone", "FedAvg’s weights"];
  if (labels) set(last[0], labels, most, "second");
  set(last[1], fedavg, most, "third");
  for (const name of last) if (rows.has(name) && list.lastChild !== rows.get(name)) list.append(rows.get(name));
  const compared = labels && fedavg ? ` The labels alone are ${size(labels)} a node: weights, sent once a round, would be ${Math.round(fedavg / labels)} times that.` : "";
  say($("bytes-text"), `Counted at the sockets, with all that connections, gossip and copies cost; FedAvg’s weights without any of that.${compared}`);
});
