// The dialog that says why somebody was paid what.

import { $, say } from "./format.js";

const dialog = $("why");
const choice = $("why-round");

/** Show these parts under a title; what was focused before is so again when it is closed. */
export function ask(title, parts) {
  choice.parentElement.hidden = true;
  show(title, parts);
  dialog.showModal();
}

/** The same with a choice among rounds: `pick` shows the one that is chosen. */
export function askRound(options, pick) {
  choice.replaceChildren(...options);
  choice.value = options.at(-1)?.value ?? "";
  choice.parentElement.hidden = false;
  choice.onchange = () => pick(Number(choice.value));
  pick(Number(choice.value));
  dialog.showModal();
}

/** Put these parts under a title. */
export function show(title, parts) {
  say($("why-title"), title);
  $("why-body").replaceChildren(...parts.filter(Boolean));
}

$("why-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});
