// Small pieces that several views share: a state with its mark, a camera's row, a list's frame.
import { el, setText, setAttr, show, remake } from "./dom.js";
import { t, word, reasonWord, time, fullTime, duration } from "./words.js";

// The state as mark (shape and colour) and word; `kind` is the catalogue's list: state or picture.
export function stateMark(kind, state) {
  return el("span", { class: `mark mark-${kind === "picture" && state === "down" ? "defective" : state}` },
    el("span", { class: "shape", "aria-hidden": "true" }), el("span", {}, word(kind, state)));
}

export function faultChips(faults) {
  return faults.map((fault) => el("span", { class: "chip chip-fault" }, word("fault", fault)));
}

// Why a camera is listed, in words: a reason, its blame, what is not yet sure.
export function whyOf(camera) {
  const words = [];
  if (camera.state !== "up" && camera.reason) words.push(reasonWord(camera.reason));
  if (camera.void) words.push(reasonWord(camera.void));
  if (camera.state === "up" && camera.picture && camera.picture.state !== "up" && camera.picture.reason) {
    if (!camera.faults.includes(camera.picture.reason)) words.push(reasonWord(camera.picture.reason));
  }
  if (camera.pending) words.push(t("page.checking"));
  if (camera.maintenance) words.push(t("page.maintenance"));
  return words.join(" · ");
}

// Whose it is: the stream's, or that of a picture with something wrong.
export const blameOf = (camera) => camera.blame || (camera.state === "up" && camera.picture?.state === "down" ? camera.picture.blame : null);

// Since when it is as bad as it is now.
export function sinceOf(camera) {
  if (camera.state !== "up") return camera.state_since;
  return camera.picture && camera.picture.state !== "up" ? camera.picture.since : camera.state_since;
}

export function when(element, instant) {
  setText(element, time(instant));
  setAttr(element, "datetime", instant || null);
  setAttr(element, "title", instant ? `${fullTime(instant)} · ${duration((Date.now() - Date.parse(instant)) / 1000)}` : null);
}

const COLUMNS = ["page.camera", "page.state", "page.why", "page.blame", "page.since", "page.last_look"];

// A table of cameras: at the worst list with the village, in a village without it.
export function cameraTable(caption, { village }) {
  const body = el("tbody", {});
  const heads = COLUMNS.map((key) => el("th", { scope: "col" }, t(key)));
  const table = el("table", { class: "cards" }, el("caption", { class: "hidden-text" }, caption),
    el("thead", {}, el("tr", {}, ...heads)), body);
  const make = (camera) => {
    const cells = COLUMNS.map((key, place) =>
      el(place ? "td" : "th", place ? { "data-label": t(key) } : { scope: "row" }));
    const name = el("a", { href: `#/cameras/${encodeURIComponent(camera.id)}` });
    const under = el("span", { class: "under" });
    cells[0].append(name, under);
    const row = el("tr", {}, ...cells);
    row.cells_ = { name, under, state: cells[1], why: cells[2], blame: cells[3] };
    row.cells_.since = cells[4].appendChild(el("time", {}));
    row.cells_.look = cells[5].appendChild(el("time", {}));
    return row;
  };
  const update = (row, camera) => {
    const to = row.cells_;
    setText(to.name, camera.name);
    setText(to.under, village ? `${camera.village_name} · ${camera.id}` : camera.id);
    remake(to.state, camera.state, (state) => stateMark("state", state));
    const why = whyOf(camera);
    remake(to.why, [camera.faults, why], () => [...faultChips(camera.faults), why || (camera.faults.length ? null : "–")]);
    const blame = word("blame", blameOf(camera));
    setText(to.blame, blame || "–");
    to.why.classList.toggle("empty", !why && !camera.faults.length);
    to.blame.classList.toggle("empty", !blame);
    when(to.since, sinceOf(camera));
    when(to.look, camera.last_look_at);
  };
  return { table, body, make, update };
}

export function section(title, lead, ...children) {
  return el("section", { class: "panel" },
    el("div", { class: "panel-head" }, el("h2", {}, title), lead ? el("p", { class: "lead" }, lead) : null), ...children);
}

export function notice(text) {
  return el("p", { class: "notice" }, text);
}

export function toggle(list, empty, count) {
  show(list, count > 0);
  show(empty, count === 0);
}
