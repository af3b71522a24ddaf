// The chain's blocks, the latest first, as far as they concern this task.

import { $, el, say } from "./format.js";
import { onChange, state } from "./store.js";

const list = $("blocks");

// A block that settles a round pays everybody: each payment stands in the table of nodes, here only how many there were.
function brief(lines) {
  const paid = lines.filter((line) => line.includes(" is paid "));
  return paid.length < 4 ? lines : [`${paid.length} nodes are paid`, ...lines.filter((line) => !paid.includes(line))];
}

const SHOWN = 60;
const shown = new Map();

onChange(["blocks", "about"], () => {
  const numbers = Object.keys(state.blocks).map(Number);
  for (const number of numbers.slice(-SHOWN)) {
    const lines = state.blocks[number];
    let item = shown.get(number);
    if (!item) {
      item = el("li", null, el("b", { class: "block" }, `#${number}`), el("span"));
      shown.set(number, item);
      list.prepend(item);
    }
    say(item.children[1], brief(lines).join(" · "));
    item.classList.toggle("settled", lines.some((line) => / is settled| settle: /.test(line)));
  }
  while (list.children.length > SHOWN) {
    shown.delete(Number(list.lastChild.firstChild.textContent.slice(1)));
    list.lastChild.remove();
  }
  const note = state.about.chain_note;
  const chain = state.about.plan?.chain ?? "";
  say($("chain-text"), note ? `The chain does not answer this page: ${note}` : `Blocks of the chain (${chain}) in which something of this task happened, the latest first.`);
});
