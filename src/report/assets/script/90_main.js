// The page: its sections in order, each with a word on what it shows.
// [id, name in the menu, title, function that draws it, explanation].
"use strict";

const kSections = [
  ["decision", "Decision", "Decision", drawDecision, "narrow builds the model in several precisions, proves each against the FP32 original, times them, and recommends the one "
    + "that is best for the objective among those that pass every gate."],
  ["answers", "Answers", "Answers", drawPrecision, "What each build answers on the evaluation data. The small print is the 95% interval: where the figure would likely lie on "
    + "other samples of the same kind. A change is measured on the same samples for both, so its interval says whether the difference is more than chance: one "
    + "that contains 0 is not."],
  ["speed", "Speed", "Speed, size, memory", drawSpeed, "Builds take turns on the machine named below, so that a disturbance meets all of them. The chosen build is in colour."],
  ["tradeoff", "Trade-off", "Accuracy against latency", drawTradeoff, "Up is better, left is faster. The line is the Pareto front: no other build is both faster and better than one "
    + "on it. Vertical lines are 95% intervals."],
  ["layers", "Layers", "Error per layer", drawLayers, "SQNR compares a layer's result with the same layer in FP32: the power of the signal over the power of the error, in decibels. "
    + "Every 10 dB is ten times less error power; 40 dB is an error of about 1% of the amplitude, 0 dB an error as large as the signal. Isolated: the layer gets FP32 inputs, so the "
    + "error is its own. Accumulated: as deployed, with the error of all layers before it. A layer low in both is guilty; one low only in accumulated passes on what it got."],
  ["ranges", "Ranges", "Ranges of the worst layers", drawRanges, "Distribution of each layer's result on the calibration data (logarithmic count), for the layers with the lowest isolated SQNR. "
    + "The dashed lines are the clip points: 256 integer levels span what lies between, values beyond saturate. A wide range makes steps coarse, a narrow one clips; calibration weighs the two."],
  ["wide", "Wide layers", "Layers that stayed wide", drawWide, "Where a build computes in a wider format than its name says, and why."],
  ["fused", "Kernels", "Rewrites, fusion, kernels", drawFused, "What was rewritten before quantizing, and which kernel each step ran with. narrow explain also says why not another kernel."],
  ["roofline", "Roofline", "How near the machine's limits", drawRoofline, "Each point is a step of the chosen build that computes products, its area the share of the time. Right: more operations for every "
    + "byte that must be moved; up: faster. The lines are what this machine reached when the build was made: flat ones in arithmetic, slanted ones in moving bytes, from the caches for a step that fits there. "
    + "A step near its line gains by a narrower format or less work only; one far below both waits for something else: too little work to share out, odd shapes, functions such as exp. Winograd's "
    + "operations are counted as the plain algorithm's and may pass the line."],
  ["gates", "Gates", "Gates", drawGates, "A gate is a bound a build must hold. With --proof point the measured value decides; with --proof ci the whole 95% interval must hold, "
    + "and a bound inside the interval is inconclusive; with --proof sequential samples are taken in random order, and a build answers no more of them once its gates are decided."],
  ["findings", "Findings", "Findings", drawFindings, "What a reader must know before deploying."],
  ["provenance", "Origin", "Where this comes from", drawProvenance, "Everything but times and what follows from them is the same in every run with these inputs, options, version and machine."],
];

/** A section, or a sentence about why it cannot be drawn: a manifest may come from another version. */
function drawSection([id, , title, draw, about], report) {
  const section = el("section", { id }, el("h2", "", title), el("p", "about", about));
  try {
    section.append(...present(draw(report)));
  } catch (error) {
    section.append(el("p", "notice", `This part of the manifest cannot be shown: ${error.message}`));
  }
  return section;
}

function main() {
  const { manifest, distributions } = JSON.parse(document.getElementById("data").textContent);
  const builds = (Array.isArray(manifest.builds) ? manifest.builds : []).filter((b) => b && typeof b === "object")
    .map((b) => ({ ...b, speed: b.speed || {} }));
  const report = { manifest, distributions, builds };
  try {
    drawHeader(report);
  } catch (error) {
    document.getElementById("top").append(el("p", "notice", `The decision cannot be shown: ${error.message}`));
  }
  document.querySelector("main").append(...kSections.map((section) => drawSection(section, report)));
  document.querySelector("nav").append(...kSections.map(([id, name]) => el("a", { href: "#" + id }, name)));
  document.querySelector("footer").append(el("p", "", `${manifest.tool || "narrow"} · drawn from manifest.json and calibration.json, nothing is loaded from elsewhere · `
    + "charts by Chart.js (MIT licence, inside this file)"));
  drawCharts();
  followColours();
}

main();
