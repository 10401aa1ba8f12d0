// Charts in the page's own colours, redrawn when those change (dark mode, printing).
"use strict";

const charts = [];
let pageReady = false;

/** A colour of style.css as it is now. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

/**
 * A canvas with a chart. make() returns a Chart.js configuration; it is asked again whenever colours change.
 * `height` in CSS pixels; `label` is what a screen reader says.
 */
function chart(label, height, make) {
  const canvas = el("canvas", { role: "img", "aria-label": label });
  const box = el("div", { class: "chart" }, canvas);
  box.style.height = height + "px";
  charts.push({ canvas, make, drawn: null });
  return box;
}

function drawCharts() {
  Chart.defaults.animation = false;
  Chart.defaults.maintainAspectRatio = false;
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;
  Chart.defaults.color = colour("muted");
  Chart.defaults.borderColor = colour("grid");
  Chart.defaults.plugins.legend.display = false;
  Object.assign(Chart.defaults.plugins.tooltip, { backgroundColor: colour("text"), titleColor: colour("page"),
    bodyColor: colour("page"), displayColors: false, padding: 10, cornerRadius: 4 });
  for (const entry of charts) drawChart(entry);
  pageReady = true;
}

function drawChart(entry) {
  if (entry.drawn) entry.drawn.destroy();
  entry.drawn = entry.canvas.isConnected ? new Chart(entry.canvas, entry.make()) : null;
}

/** Draws the charts of a part of the page that has just been filled; forgets those that left the page. */
function drawNewCharts() {
  if (!pageReady) return;  // the page is still being put together
  for (let i = charts.length - 1; i >= 0; --i) {
    if (charts[i].canvas.isConnected) continue;
    if (charts[i].drawn) charts[i].drawn.destroy();
    charts.splice(i, 1);
  }
  for (const entry of charts) if (!entry.drawn) drawChart(entry);
}

function followColours() {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
  // Paper is white: the light colours while printing, and the charts as wide as the page then is.
  addEventListener("beforeprint", () => { document.documentElement.classList.add("printing"); drawCharts(); });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("printing"); drawCharts(); });
}

const axis = (title, more = {}) => ({ title: { display: title !== "", text: title }, grid: { drawBorder: false }, ...more });

/** Vertical lines with a name: options.plugins.marks = {at: [{x, text, align}]}. */
const marks = {
  id: "marks",
  afterDatasetsDraw(drawn, _, options) {
    const { ctx, chartArea: area, scales: { x } } = drawn;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("accent");
    ctx.lineWidth = 1.5;
    ctx.setLineDash([4, 3]);
    for (const mark of options.at || []) {
      const at = x.getPixelForValue(mark.x);
      if (at < area.left - 1 || at > area.right + 1) continue;
      ctx.beginPath();
      ctx.moveTo(at, area.top);
      ctx.lineTo(at, area.bottom);
      ctx.stroke();
    }
    ctx.restore();
  },
};

/** 95% intervals: a vertical line through every point that has `low` and `high`. */
const whiskers = {
  id: "whiskers",
  beforeDatasetsDraw(drawn) {
    const { ctx, scales: { y } } = drawn;
    ctx.save();
    ctx.strokeStyle = colour("neutral");
    ctx.lineWidth = 1.5;
    drawn.data.datasets.forEach((set, i) => set.data.forEach((point, k) => {
      if (typeof point.low !== "number" || set.type === "line") return;
      const at = drawn.getDatasetMeta(i).data[k].x;
      ctx.beginPath();
      ctx.moveTo(at, y.getPixelForValue(point.low));
      ctx.lineTo(at, y.getPixelForValue(point.high));
      ctx.stroke();
    }));
    ctx.restore();
  },
};

/** The name of a point beside it. */
const names = {
  id: "names",
  afterDatasetsDraw(drawn) {
    const { ctx, chartArea: area } = drawn;
    ctx.save();
    ctx.fillStyle = colour("text");
    ctx.font = `600 12px ${Chart.defaults.font.family}`;
    drawn.data.datasets.forEach((set, i) => set.data.forEach((point, k) => {
      if (!point.name || set.type === "line") return;
      const { x, y } = drawn.getDatasetMeta(i).data[k];
      const left = x + 14 + ctx.measureText(point.name).width > area.right;
      ctx.textAlign = left ? "right" : "left";
      ctx.fillText(point.name, x + (left ? -9 : 9), y - 6);
    }));
    ctx.restore();
  },
};

/** Horizontal bars, one per build; `values` or several stacked parts [{label, values, colour}]. */
function barsByBuild(label, builds, chosen, parts, unit, format) {
  const tone = (part) => builds.map((b) => parts.length > 1 ? colour(part.tone) : colour(b.name === chosen ? "accent" : "neutral"));
  return chart(label, 56 + 30 * builds.length + (parts.length > 1 ? 24 : 0), () => ({
    type: "bar",
    data: { labels: builds.map((b) => b.name),
      datasets: parts.map((part) => ({ label: part.label, data: part.values, backgroundColor: tone(part), barThickness: 16 })) },
    options: {
      indexAxis: "y",
      interaction: { mode: "index", axis: "y", intersect: false },
      scales: { x: axis(unit, { stacked: parts.length > 1, beginAtZero: true, ticks: { maxTicksLimit: 6 } }),
        y: axis("", { stacked: parts.length > 1, grid: { display: false }, ticks: { color: colour("text") } }) },
      plugins: { legend: { display: parts.length > 1, align: "start", labels: { boxWidth: 10, boxHeight: 10 } },
        tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${format(item.raw)}` } } },
    },
  }));
}
