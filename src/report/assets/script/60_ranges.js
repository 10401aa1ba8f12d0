// Distributions of the worst layers on calibration data, with the range their integers span.
"use strict";

const kRanges = 6;

function drawRanges(report) {
  const builds = buildsWithLayers(report).filter((b) => Object.keys((b.recipe || {}).activations || {}).length > 0);
  if (builds.length === 0) return [el("p", "notice", "No build stores activations as integers: there is no range to choose.")];
  const place = el("div", "");
  const show = (name) => {
    place.replaceChildren(...present(rangesOf(builds.find((b) => b.name === name), report.distributions)));
    drawNewCharts();
  };
  return [builds.length > 1 ? choice("Build", builds.map((b) => [b.name, b.name]), firstShown(report, builds), show)
    : (show(builds[0].name), null), place];
}

function rangesOf(build, distributions) {
  const { activations } = build.recipe;
  const layers = build.layers.filter((l) => distributions[l.value] && activations[l.value])
    .sort((a, b) => compare((a.isolated || {}).sqnr_db, (b.isolated || {}).sqnr_db));
  const seen = new Set();
  const worst = layers.filter((l) => !seen.has(l.value) && seen.add(l.value));
  if (worst.length === 0) return [el("p", "notice", "The calibration holds no distribution of these layers.")];
  const draw = (list) => el("div", "pairs", list.map((layer) => rangeFigure(layer, distributions[layer.value], activations[layer.value])));
  const more = worst.length > kRanges ? el("button", { type: "button", class: "more" }, `Show ${worst.length - kRanges} more`) : null;
  const rest = el("div", "");
  if (more) more.addEventListener("click", () => { rest.append(draw(worst.slice(kRanges))); more.remove(); drawNewCharts(); });
  return [draw(worst.slice(0, kRanges)), rest, more];
}

/** u8: real = (q − zero_point) · scale, q from 0 to 255. */
const clipOf = ({ scale, zero_point: zero }) => ({ low: (0 - zero) * scale, high: (255 - zero) * scale });

function rangeFigure(layer, bars, quantization) {
  const clip = clipOf(quantization);
  const centers = bars.counts.map((n, i) => ({ x: bars.low + (i + 0.5) * bars.width, y: n > 0 ? n : null }));
  const low = Math.min(bars.low, clip.low), high = Math.max(bars.low + bars.width * bars.counts.length, clip.high);
  const margin = 0.02 * (high - low);
  const outside = (x) => x < clip.low - bars.width / 2 || x > clip.high + bars.width / 2;
  const share = (layer.accumulated || {}).saturated_share;
  const drawn = chart(`Distribution of ${layer.value}`, 190, () => ({
    type: "bar",
    data: { datasets: [{ data: centers, barPercentage: 1, categoryPercentage: 1, grouped: false,
      backgroundColor: centers.map((c) => colour(outside(c.x) ? "bad" : "neutral")) }] },
    options: {
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: axis("value", { type: "linear", min: low - margin, max: high + margin, offset: false, grid: { display: false }, ticks: { maxTicksLimit: 7, includeBounds: false, callback: short } }),
        y: axis("count", { type: "logarithmic", min: 0.8, ticks: { maxTicksLimit: 5, callback: (n) => Number.isInteger(Math.log10(n)) ? powerOfTen(n) : null } }) },
      plugins: { marks: { at: [{ x: clip.low }, { x: clip.high }] },
        tooltip: { callbacks: { title: (items) => `${short(items[0].raw.x - bars.width / 2)} … ${short(items[0].raw.x + bars.width / 2)}`,
          label: (item) => `${count(item.raw.y ?? 0)} of ${count(bars.count)} values` } } },
    },
    plugins: [marks],
  }));
  return el("figure", "", el("figcaption", "", layer.node || layer.value, el("small", "", `${decibels((layer.isolated || {}).sqnr_db)} dB isolated`)), drawn,
    el("p", "small", `range ${short(clip.low)} … ${short(clip.high)}, step ${short(quantization.scale)}; seen ${short(bars.min)} … ${short(bars.max)}`
      + (typeof share === "number" ? `; ${percent(share)} of the compared values saturate` : "")));
}
