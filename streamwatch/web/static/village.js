// One village: its last day, and every camera with state, faults and last look.
import { get, list } from "./api.js";
import { el, setText, sync, remake, show } from "./dom.js";
import { t, percent } from "./words.js";
import { hourBar } from "./bars.js";
import { counts } from "./overview.js";
import { cameraTable, section, notice, toggle } from "./parts.js";

const CAMERAS = 200; // at first, and with each "more"

export function village(shell, code) {
  let most = CAMERAS;
  const name = el("h1", {});
  const under = el("p", { class: "under" });
  const states = el("div", {});
  const figures = el("dl", { class: "figures" });
  const bar = el("div", { class: "wide-bar" });
  const search = el("input", { type: "search", "aria-label": t("page.search_camera"), placeholder: t("page.search_camera"), oninput: () => shell.refresh() });
  const choice = el("select", { "aria-label": t("page.state"), onchange: () => shell.refresh() },
    el("option", { value: "" }, t("page.all_states")),
    ...["up", "down", "unknown"].map((state) => el("option", { value: state }, t(`state.${state}`))));
  const cameras = cameraTable(t("page.cameras"), { village: false });
  const none = notice(t("page.empty"));
  none.hidden = true;
  const more = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => { most += CAMERAS; shell.refresh(); } }, t("page.more"));

  const root = el("div", { class: "view" },
    el("a", { class: "back", href: "#/" }, `← ${t("page.back")}`),
    el("section", { class: "panel" }, el("div", { class: "title-row" }, el("div", {}, name, under), states), figures, bar),
    section(t("page.cameras"), null, el("div", { class: "tools" }, search, choice), none, cameras.table, more));

  async function refresh() {
    const [one, found] = await Promise.all([
      get(`/villages/${encodeURIComponent(code)}?rates=24h`),
      list("/cameras", { village: code, text: search.value.trim(), state: choice.value }, most),
    ]);
    setText(name, one.name);
    setText(under, `${one.region_name} · ${one.code} · ${t("page.camera_count", { count: one.cameras })}`);
    remake(states, one.states, counts);
    const rate = one.last_24h?.uptime;
    remake(figures, [percent(rate?.value), percent(rate?.coverage), one.faulty], ([uptime, coverage, faulty]) => [
      figure(t("page.uptime_24h"), uptime), figure(t("page.coverage"), coverage), figure(t("page.faults_now"), String(faulty))]);
    remake(bar, one.last_24h, hourBar);
    sync(cameras.body, found.items, (camera) => camera.id, cameras.make, cameras.update);
    toggle(cameras.table, none, found.items.length);
    show(more, found.more);
    shell.title(one.name);
    return { madeUp: Boolean(one.last_24h?.made_up) };
  }
  return { root, title: code, refresh };
}

export function figure(label, value) {
  return el("div", {}, el("dt", {}, label), el("dd", {}, value));
}
