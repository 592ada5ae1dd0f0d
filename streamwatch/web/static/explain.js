// The last look explained: what was asked and answered, how long it took, what was measured, against which thresholds.
import { el } from "./dom.js";
import { t, word, reasonWord, fullTime } from "./words.js";
import { stateMark, faultChips } from "./parts.js";

// The object of `probe --json`, in words.
export function finding(look) {
  const line = el("p", { class: "now" }, stateMark("state", look.state), ...faultChips(look.faults));
  const why = [reasonWord(look.reason), look.step ? word("step", look.step) : "", word("blame", look.blame)].filter(Boolean).join(" · ");
  if (why) line.append(el("span", { class: "why" }, why));
  for (const remark of look.remarks || []) line.append(el("span", { class: "why" }, reasonWord(remark)));
  const what = [look.codec, look.width ? `${look.width} × ${look.height}` : null, look.transport, look.server].filter(Boolean).join(" · ");
  return [line, what ? el("p", { class: "muted break" }, what) : null, look.detail ? el("p", { class: "muted break" }, look.detail) : null].filter(Boolean);
}

export function explained(answer) {
  const look = answer.look;
  return [
    look.started_at ? el("p", { class: "muted" }, fullTime(look.started_at)) : null,
    ...finding(look),
    el("div", { class: "columns" }, timings(look.timings_ms), measures(look.measures), thresholds(answer.thresholds)),
    transcript(answer.transcript),
  ].filter(Boolean);
}

function timings(steps) {
  const rows = Object.entries(steps || {}).map(([step, ms]) =>
    el("tr", {}, el("th", { scope: "row" }, word("step", step)), el("td", { class: "number" }, `${ms.toFixed(1)} ms`)));
  return rows.length ? table(t("page.timings"), [], rows) : null;
}

function measures(found) {
  const rows = Object.entries(found || {}).map(([name, measure]) =>
    el("tr", {}, el("th", { scope: "row", title: name }, word("measure", name)),
      el("td", { class: "number" }, measure.valid ? number(measure.value) : t("page.not_judged")),
      el("td", { class: "muted" }, measure.valid ? "" : word("why", measure.why))));
  return rows.length ? table(t("page.measures"), [t("page.measure"), t("page.value"), ""], rows) : null;
}

function thresholds(found) {
  const rows = Object.entries(found || {}).map(([name, value]) =>
    el("tr", {}, el("th", { scope: "row", title: name }, word("threshold", name)), el("td", { class: "number" }, typeof value === "number" ? number(value) : String(value))));
  return rows.length ? table(t("page.thresholds"), [], rows) : null;
}

function transcript(lines) {
  if (!Array.isArray(lines) || !lines.length) return null;
  const text = lines.map((line) => (typeof line === "string" ? line : `${line.t_ms ?? ""} ${line.dir === "out" ? ">" : "<"} ${line.data ?? ""}`)).join("\n");
  return el("details", {}, el("summary", {}, t("page.transcript")), el("pre", { tabindex: "0" }, text));
}

function table(caption, heads, rows) {
  return el("div", { class: "scroll" }, el("table", { class: "small plain" }, el("caption", {}, caption),
    heads.length ? el("thead", {}, el("tr", {}, ...heads.map((head, place) => el("th", { scope: "col", class: place === 1 ? "number" : null }, head)))) : null,
    el("tbody", {}, ...rows)));
}

const number = (value) => (Number.isInteger(value) ? String(value) : Number(value).toPrecision(4));
