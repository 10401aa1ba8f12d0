// The top of the page: what was chosen, why, what comes next, why not the others.
"use strict";

function drawHeader(report) {
  const { model = {}, decision = {} } = report.manifest;
  const chosen = decision.chosen || "";
  document.title = `${model.file || "model"}: narrow report`;
  const facts = [[model.layers, "layers with weights or products"], [model.parameters, "parameters"], [model.macs, "MACs per sample"]];
  document.getElementById("top").append(
    el("p", "brand", "narrow", el("span", "", "build report")),
    el("h1", "", model.file || "model"),
    el("p", "facts", facts.filter(([n]) => typeof n === "number").map(([n, what]) => el("span", "", `${amount(n)} ${what}`))),
    el("p", "verdict", chosen ? [el("strong", "", chosen), " is the build to deploy."] : "No build is recommended."),
    el("p", "lead", decision.explanation || ""),
    tiles(report, chosen));
}

/** The chosen build against FP32 in four numbers. */
function tiles(report, chosen) {
  const build = report.builds.find((b) => b.name === chosen);
  const fp32 = report.builds.find((b) => b.name === "fp32");
  if (!build || !fp32 || build === fp32) return null;
  const list = [
    [`${(fp32.speed.median_ms / build.speed.median_ms).toFixed(1)}×`, "faster than fp32",
      `${milliseconds(build.speed.median_ms)} ms instead of ${milliseconds(fp32.speed.median_ms)} ms (median)`],
    [`${(fp32.bytes / build.bytes).toFixed(1)}×`, "smaller than fp32", `${bytes(build.bytes)} instead of ${bytes(fp32.bytes)}`],
  ];
  const name = headline(report.builds);
  const figure = name && build.figures[name];
  if (figure && typeof figure.change === "number") {
    const share = kFigures[name].unit === "%";
    list.push([signed(figure.change, share ? 2 : 4) + (share ? " pp" : ""), `${kFigures[name].title} against fp32`,
      `95% interval ${figure.change_interval.map((x) => signed(x, share ? 2 : 4)).join(" … ")}`]);
  } else if (figure) {
    list.push([figureText(name, figure.value) + kFigures[name].unit, kFigures[name].title, kFigures[name].about]);
  }
  if (build.figures && build.figures.sqnr)
    list.push([decibels(build.figures.sqnr.value) + " dB", "SQNR of the answers",
      "signal over the noise that low precision adds; 20 dB is a tenth of the amplitude"]);
  return el("dl", "tiles", list.map(([value, what, detail]) =>
    el("div", "", el("dt", "", what), el("dd", "", value), el("dd", "detail", detail))));
}

function drawDecision(report) {
  const { decision = {}, skipped = [] } = report.manifest;
  const verdicts = decision.verdicts || {};
  const state = (build) => build.name === decision.chosen ? "chosen" : !verdicts[build.name] ? kDash
    : verdicts[build.name].passes ? (build.name === "fp32" ? "reference" : "within the gates") : "rejected";
  const fallback = decision.fallback || [];
  return [
    fallback.length === 0 ? null : el("p", "", "Fallback order: if the chosen build cannot be used, take the next one. "),
    fallback.length === 0 ? null : el("ol", "fallback", fallback.map((name) => el("li", name === decision.chosen ? "chosen" : "", name))),
    table([
      { title: "build", text: (b) => b.name },
      { title: "verdict", text: state, style: (b) => state(b) === "rejected" ? "bad" : b.name === decision.chosen ? "accent" : "" },
      { title: "reason", text: (b) => (verdicts[b.name] || {}).text || "" },
    ], report.builds, { rowClass: (b) => b.name === decision.chosen ? "chosen" : "" }),
    skipped.length === 0 ? null : el("p", "", "Not built:"),
    skipped.length === 0 ? null : el("ul", "", skipped.map((text) => el("li", "", text))),
  ];
}
