// What is known of the mesh: patches folded into one state, and whoever draws it told once for each frame.

export const state = {
  about: {}, nodes: {}, rounds: {}, stakes: {}, blocks: {}, whys: {}, met: {}, pays: {}, log: [],
};

const painters = [];
let fresh = new Set();
let due = false;

/** Call `paint(state, changed)` in the frame after something of these sections changed. */
export function onChange(sections, paint) {
  painters.push({ sections, paint });
}

/** Fold in what the server says is new. */
export function apply(patch) {
  for (const [section, values] of Object.entries(patch)) {
    if (section === "log") {
      state.log.push(...values);
    } else if (section in state) {
      Object.assign(state[section], values);
    } else {
      continue;
    }
    fresh.add(section);
  }
  const keep = state.about.keep ?? {};
  if (state.log.length > keep.log) state.log.splice(0, state.log.length - keep.log);
  trim(state.rounds, keep.rounds);
  trim(state.blocks, keep.blocks);
  trim(state.whys, keep.whys);
  trim(state.met, keep.met);
  trim(state.pays, keep.met);
  schedule();
}

/** Have these sections drawn again, though nothing of them changed. */
export function touch(...sections) {
  sections.forEach((section) => fresh.add(section));
  schedule();
}

function schedule() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    const changed = fresh;
    fresh = new Set();
    for (const { sections, paint } of painters) {
      if (sections.some((section) => changed.has(section))) paint(state, changed);
    }
    if (!performance.getEntriesByName("painted").length) performance.mark("painted");
  });
}

// Whole numbers stand in their order in an object, other names in that in which they came.
function trim(values, most) {
  const names = Object.keys(values);
  for (let place = 0; place < names.length - most; place += 1) delete values[names[place]];
}

/** The numbers of the rounds that are known, in order. */
export const roundNumbers = () => Object.keys(state.rounds).map(Number);

/** The names of the nodes: node-2 before node-10. */
export const nodeNames = () => Object.keys(state.nodes).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
