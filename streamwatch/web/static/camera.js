// One camera: its day as strips, why it is as it is, and a look at it now.
import { get, post, query } from "./api.js";
import { el, setText, remake } from "./dom.js";
import { t, word, time, percent, duration } from "./words.js";
import { timelineBar, describe } from "./bars.js";
import { stateMark, faultChips, whyOf, blameOf, sinceOf, section, notice } from "./parts.js";
import { explained, finding } from "./explain.js";

const DAY_MS = 86_400_000;
const STRETCHES = 60; // of one dimension in the list; the strip shows all

export function camera(shell, id) {
  const path = `/cameras/${encodeURIComponent(id)}`;
  const back = el("a", { class: "back", href: "#/" }, "");
  const name = el("h1", {});
  const under = el("p", { class: "under" });
  const head = el("div", { class: "now" });
  const facts = el("dl", { class: "figures" });
  const strips = el("div", { class: "strips" });
  const stretches = el("div", {});
  const why = el("div", {});
  const button = el("button", { type: "button", onclick: look }, t("page.look_now"));
  const result = el("div", { class: "result", "aria-live": "polite" });
  let explainedAt;

  const root = el("div", { class: "view" }, back,
    el("section", { class: "panel" }, el("div", { class: "title-row" }, el("div", {}, name, under), button), head, facts, result),
    section(t("page.timeline"), t("page.last_24h"), strips,
      el("details", {}, el("summary", {}, t("page.segments")), stretches)),
    section(t("page.explain"), null, why));

  async function look() {
    button.disabled = true;
    setText(button, t("page.looking"));
    try {
      const found = await post(`${path}/probe`, {});
      result.replaceChildren(el("h3", {}, t("page.look_result")), ...finding(found));
    } catch (error) {
      const text = error.status === 409 ? t("page.look_running") : t("page.error", { detail: error.message });
      result.replaceChildren(el("p", { class: "problem", role: "alert" }, text));
    }
    button.disabled = false;
    setText(button, t("page.look_now"));
    explainedAt = undefined;
    shell.refresh();
  }

  async function refresh(now) {
    const window = { from: new Date(Date.parse(now.at) - DAY_MS).toISOString() };
    const [one, stream, picture, day] = await Promise.all([
      get(path),
      get(`${path}/timeline${query({ ...window, dimension: "stream" })}`),
      get(`${path}/timeline${query({ ...window, dimension: "picture" })}`),
      get(`${path}/uptime${query(window)}`),
    ]);
    const lines = [stream, picture];
    setText(name, one.name);
    setText(under, `${one.village_name} · ${one.id}`);
    setText(back, `← ${t("page.back_village", { name: one.village_name })}`);
    back.setAttribute("href", `#/villages/${encodeURIComponent(one.village)}`);
    remake(head, [one.state, one.picture, one.faults, whyOf(one), blameOf(one)], () => state(one));
    remake(facts, [one, day.uptime.value, day.uptime.coverage], () => [
      fact(t("page.since"), time(sinceOf(one))), fact(t("page.last_look"), time(one.last_look_at)), fact(t("page.last_up"), time(one.last_up_at)),
      fact(t("page.uptime_24h"), percent(day.uptime.value)), fact(t("page.coverage"), percent(day.uptime.coverage)),
      fact(t("page.address"), one.url, "wide")]);
    remake(strips, lines, () => lines.map((line) =>
      el("div", { class: "strip-row" }, el("h3", {}, word("dimension", line.dimension)), timelineBar(line))));
    remake(stretches, lines, () => lines.map((line) => stretchTable(line)));
    if (explainedAt !== one.last_look_at) {
      const answer = await get(`${path}/explain`).catch((error) => (error.status >= 500 || error.status === 404 ? null : Promise.reject(error)));
      why.replaceChildren(...(answer?.look ? explained(answer) : [notice(t("page.explain_none"))]));
      explainedAt = one.last_look_at;
    }
    shell.title(one.name);
    return { madeUp: lines.some((line) => line.items.some((item) => item.origin === "made_up")) };
  }
  return { root, title: id, refresh };
}

function state(one) {
  const parts = [stateMark("state", one.state)];
  if (one.picture && one.state === "up") parts.push(stateMark("picture", one.picture.state));
  parts.push(...faultChips(one.faults));
  const words = [whyOf(one), blameOf(one) ? `${t("page.blame")}: ${word("blame", blameOf(one))}` : ""].filter(Boolean).join(" · ");
  if (words) parts.push(el("span", { class: "why" }, words));
  return parts;
}

function fact(label, value, kind) {
  return el("div", { class: kind || null }, el("dt", {}, label), el("dd", {}, value));
}

function stretchTable(line) {
  const rows = line.items.slice(-STRETCHES).reverse().map((item) => el("tr", {},
    el("td", { class: "once" }, time(item.from)),
    el("td", { class: "once wide-only" }, item.to ? time(item.to) : t("page.to_now")),
    el("td", {}, [describe(line.dimension, item), word("blame", item.blame)].filter(Boolean).join(" · ")),
    el("td", { class: "number" }, duration((Date.parse(item.to ?? line.to) - Date.parse(item.from)) / 1000))));
  const heads = [["page.from", null], ["page.to", "wide-only"], ["page.state", null], ["page.length", "number"]];
  return el("table", { class: "small" }, el("caption", {}, word("dimension", line.dimension)),
    el("thead", {}, el("tr", {}, ...heads.map(([key, kind]) => el("th", { scope: "col", class: kind }, t(key))))), el("tbody", {}, ...rows));
}
