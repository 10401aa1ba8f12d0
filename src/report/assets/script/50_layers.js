// Layer by layer: how much each errs alone, and how much has gathered when it answers.
"use strict";

const kShown = 40;

const buildsWithLayers = (report) => report.builds.filter((b) => Array.isArray(b.layers) && b.layers.length > 0);
/** The build a reader most likely wants: the chosen one, else the last (the narrowest). */
function firstShown(report, builds) {
  const chosen = builds.find((b) => b.name === report.manifest.decision.chosen);
  return (chosen || builds.at(-1)).name;
}

function drawLayers(report) {
  const builds = buildsWithLayers(report);
  if (builds.length === 0) return [el("p", "notice", "No build was compared layer by layer.")];
  const place = el("div", "");
  const show = (name) => {
    const build = builds.find((b) => b.name === name);
    place.replaceChildren(...present(layersOf(build)));
    drawNewCharts();
  };
  return [choice("Build", builds.map((b) => [b.name, b.name]), firstShown(report, builds), show), place];
}

/** Layers with their place in the order of execution; those that answer exactly have nothing to show in a chart. */
function layersOf(build) {
  const layers = build.layers.map((layer, i) => ({ ...layer, order: i + 1, isolated: layer.isolated || {}, accumulated: layer.accumulated || {} }));
  const differing = layers.filter((l) => (l.isolated.sqnr_db ?? kExact) < kExact || (l.accumulated.sqnr_db ?? kExact) < kExact);
  const worst = [...differing].sort((a, b) => compare(a.isolated.sqnr_db, b.isolated.sqnr_db)).slice(0, kShown);
  const place = el("div", "");
  const show = (which) => {
    const shown = which === "worst" ? worst : differing;
    place.replaceChildren(layerChart(build, [...shown].sort((a, b) => a.order - b.order), which === "all"));
    drawNewCharts();
  };
  const exact = layers.length - differing.length;
  let which = null;
  if (differing.length > kShown)
    which = choice("Layers", [["worst", `${kShown} worst`], ["all", `all ${differing.length}`]], "worst", show);
  else show("all");
  return [
    el("div", "legend", el("span", "key bar", "isolated"), el("span", "key dot", "accumulated"),
      el("span", "", exact > 0 ? `${plural(exact, "layer")} without any error ${exact === 1 ? "is" : "are"} left out of the chart` : "")),
    which, place, layerTable(layers)];
}

/** `whole`: neighbours in the chart follow one another in the model, so a line may join them. */
function layerChart(build, layers, whole) {
  const clipped = (name) => name.length > 30 ? name.slice(0, 14) + "…" + name.slice(-15) : name;
  const height = Math.min(70 + 17 * layers.length, 9000);
  const floor = Math.min(0, ...layers.map((l) => Math.min(l.isolated.sqnr_db ?? 0, l.accumulated.sqnr_db ?? 0)));
  const within = (x) => typeof x !== "number" || x >= kExact ? null : x;
  const about = (layer) => [`${layer.op}, ${layer.format}`, `isolated: ${decibels(layer.isolated.sqnr_db)} dB`,
    `accumulated: ${decibels(layer.accumulated.sqnr_db)} dB`];
  return chart(`SQNR of the layers of ${build.name}`, height, () => ({
    data: { labels: layers.map((l) => l.node || l.value), datasets: [
      { type: "line", label: "accumulated", data: layers.map((l) => within(l.accumulated.sqnr_db)), borderColor: colour("accent"),
        backgroundColor: colour("accent"), borderWidth: 1.5, pointRadius: 3, showLine: whole, spanGaps: true },
      { type: "bar", label: "isolated", data: layers.map((l) => within(l.isolated.sqnr_db)), backgroundColor: colour("neutral"), barPercentage: 0.75, categoryPercentage: 0.9 },
    ] },
    options: {
      indexAxis: "y",
      interaction: { mode: "index", axis: "y", intersect: false },
      scales: { x: axis("SQNR (dB), more is better", { min: floor, position: "top" }),
        y: axis("", { grid: { display: false }, ticks: { autoSkip: layers.length > 500, font: { size: 11 }, color: colour("text"),
          callback(value) { return clipped(this.getLabelForValue(value)); } } }) },
      plugins: { tooltip: { callbacks: { label: () => null, afterBody: (items) => about(layers[items[0].dataIndex]) } } },
    },
  }));
}

function layerTable(layers) {
  const figure = (title, hint, get, text) => ({ title, hint, number: true, sort: get, text: (l) => text(get(l)) });
  return table([
    { title: "layer", text: (l) => l.node || l.value },
    { title: "#", hint: "order of execution", number: true, text: (l) => String(l.order), sort: (l) => l.order },
    { title: "op", text: (l) => l.op }, { title: "result", hint: "type its result is stored in", text: (l) => l.format },
    figure("isolated (dB)", "SQNR when its inputs are those of FP32", (l) => l.isolated.sqnr_db, decibels),
    figure("accumulated (dB)", "SQNR as deployed: with the error of all layers before it", (l) => l.accumulated.sqnr_db, decibels),
    figure("cosine", "of the result as deployed and that of FP32", (l) => l.accumulated.cosine, (x) => fixed(x, 5)),
    figure("largest error", "largest absolute difference, as deployed", (l) => l.accumulated.max_abs_error, (x) => typeof x !== "number" ? kDash : x.toPrecision(3)),
    figure("saturated", "share of values beyond what the stored integers can say", (l) => l.accumulated.saturated_share, percent),
    figure("dead", "channels that are constant here and vary in FP32", (l) => l.accumulated.dead_channels, count),
  ], layers);
}
