// The chain's blocks, the latest first, as far as they concern this task.

import { $, el, say } from "./format.js";
import { onChange, state } from "./store.js";

const list = $("blocks");
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
    say(item.children[1], lines.join(" · "));
    item.classList.toggle("settled", lines.some((line) => line.includes("is settled")));
  }
  while (list.children.length > SHOWN) {
    shown.delete(Number(list.lastChild.firstChild.textContent.slice(1)));
    list.lastChild.remove();
  }
  const note = state.about.chain_note;
  const chain = state.about.plan?.chain ?? "";
  say($("chain-text"), note ? `The chain does not answer this page: ${note}` : `${chain}: blocks in which something of this task happened, the latest first.`);
});
