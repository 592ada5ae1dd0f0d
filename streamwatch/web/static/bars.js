// Bars of time. Position and pattern say what colour says: up grows from the bottom, down hangs from the top, unknown is
// hatched, maintenance is dotted.
import { svg, el } from "./dom.js";
import { t, word, reasonWord, percent, clockTime, time, duration } from "./words.js";

const HOUR = 10;
const HEIGHT = 28;
const LEAST = 3; // px: a short outage must still be seen

export function hourBar(day) {
  if (!day) return el("span", { class: "muted" }, t("page.no_data"));
  const hours = day.hours;
  const worst = hours.filter((hour) => hour.value !== null && hour.value < 1);
  const text = worst.length
    ? worst.map((hour) => `${clockTime(hour.from)} ${percent(hour.value)}`).join(", ")
    : percent(day.uptime.value);
  const bar = svg("svg", {
    class: "bar hours", viewBox: `0 0 ${hours.length * HOUR} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": t("page.bar_label", { hours: hours.length, text }),
  });
  hours.forEach((hour, place) => bar.append(column(hour, place * HOUR)));
  return bar;
}

function column(hour, x) {
  const seen = hour.coverage ?? 0;
  const down = hour.value === null ? 0 : height(seen * (1 - hour.value));
  const up = hour.value === null ? 0 : Math.min(HEIGHT - down, HEIGHT * seen * hour.value);
  const label = `${clockTime(hour.from)}–${clockTime(hour.to)}  ${percent(hour.value)}  ${t("page.coverage")} ${percent(hour.coverage)}`;
  return svg("g", {},
    svg("title", {}, label),
    svg("rect", { x: x + 0.5, y: 0, width: HOUR - 1, height: HEIGHT, class: "t-unknown" }),
    up > 0 ? svg("rect", { x: x + 0.5, y: HEIGHT - up, width: HOUR - 1, height: up, class: "t-up" }) : null,
    down > 0 ? svg("rect", { x: x + 0.5, y: 0, width: HOUR - 1, height: down, class: "t-down" }) : null,
  );
}

const height = (share) => (share > 0 ? Math.max(LEAST, HEIGHT * share) : 0);

export const stateWord = (dimension, state) => word(dimension === "picture" ? "picture" : "state", state);

export function describe(dimension, item) {
  const what = item.excluded ? t("page.excluded") : stateWord(dimension, item.state);
  return [what, reasonWord(item.reason)].filter(Boolean).join(" · ");
}

// One dimension over [from, to) as a strip with a scale of hours.
export function timelineBar(timeline) {
  const from = Date.parse(timeline.from);
  const span = Math.max(1, Date.parse(timeline.to) - from);
  const width = 1000;
  const bar = svg("svg", {
    class: "bar strip", viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": t("page.timeline_label", { dimension: word("dimension", timeline.dimension), text: summary(timeline) }),
  });
  bar.append(svg("rect", { x: 0, y: 0, width, height: HEIGHT, class: "t-none" }));
  for (const item of timeline.items) {
    const start = Date.parse(item.from);
    const end = item.to ? Date.parse(item.to) : from + span;
    const x = ((start - from) / span) * width;
    const wide = Math.max(2, ((end - start) / span) * width);
    const kind = item.excluded ? "excluded" : item.state;
    const low = kind === "down" ? 0 : kind === "up" ? 6 : 3;
    bar.append(svg("rect", { x: Math.min(x, width - wide), y: low, width: wide, height: HEIGHT - low, class: `t-${kind}` },
      svg("title", {}, `${time(item.from)} – ${item.to ? time(item.to) : t("page.to_now")}  ${describe(timeline.dimension, item)}`)));
  }
  return el("div", { class: "strip-box" }, bar, scale(from, span));
}

function summary(timeline) {
  const sums = new Map();
  for (const item of timeline.items) {
    const end = item.to ?? timeline.to;
    const name = item.excluded ? t("page.excluded") : stateWord(timeline.dimension, item.state);
    sums.set(name, (sums.get(name) ?? 0) + (Date.parse(end) - Date.parse(item.from)) / 1000);
  }
  return [...sums].map(([name, seconds]) => `${name} ${duration(seconds)}`).join(", ") || t("page.no_data");
}

function scale(from, span) {
  const row = el("div", { class: "scale", "aria-hidden": "true" });
  const steps = 4;
  for (let step = 0; step <= steps; step += 1) row.append(el("span", {}, clockTime(from + (span * step) / steps)));
  return row;
}
