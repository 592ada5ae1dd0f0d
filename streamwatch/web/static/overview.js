// The first view: headline counts, villages with their last day, and the cameras that need somebody.
import { list } from "./api.js";
import { el, setText, sync, remake, show } from "./dom.js";
import { t, percent } from "./words.js";
import { hourBar } from "./bars.js";
import { cameraTable, section, notice, toggle } from "./parts.js";

const WORST = 8; // at first, and with each "more"
const VILLAGES = 100; // at first, and with each "more"

const TILES = [
  ["page.villages", "plain", (now) => now.villages],
  ["state.up", "up", (now) => now.states.up],
  ["state.down", "down", (now) => now.states.down],
  ["state.unknown", "unknown", (now) => now.states.unknown],
  ["page.faults_now", "defective", (now) => now.faulty],
];

export function overview(shell) {
  let most = VILLAGES;
  let bad = WORST;
  const tiles = el("ul", { class: "tiles" });
  const values = TILES.map(([key, kind]) => {
    const value = el("strong", {}, "–");
    tiles.append(el("li", { class: `tile tile-${kind}` }, value,
      el("span", { class: `mark mark-${kind}` }, kind === "plain" ? null : el("span", { class: "shape", "aria-hidden": "true" }), el("span", {}, t(key)))));
    return value;
  });

  const search = el("input", { type: "search", "aria-label": t("page.search"), placeholder: t("page.search"), oninput: () => shell.refresh() });
  const villages = villageTable();
  const more = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => { most += VILLAGES; shell.refresh(); } }, t("page.more"));
  const none = notice(t("page.no_villages"));
  none.hidden = true;
  const worst = cameraTable(t("page.worst"), { village: true });
  const calm = notice(t("page.worst_none"));
  calm.hidden = true;
  const worse = el("button", { type: "button", class: "quiet", hidden: true, onclick: () => { bad += WORST * 4; shell.refresh(); } }, t("page.more"));

  const root = el("div", { class: "view" },
    el("h1", { class: "hidden-text" }, t("page.title")), tiles,
    section(t("page.worst"), t("page.worst_lead"), calm, worst.table, worse),
    section(t("page.villages"), t("page.hint_uptime"), el("div", { class: "tools" }, search), none, villages.table, more));

  async function refresh(now) {
    const [found, ill] = await Promise.all([
      list("/villages", { rates: "24h", text: search.value.trim() }, most),
      list("/cameras", { sort: "worst" }, bad),
    ]);
    TILES.forEach(([, , of], place) => setText(values[place], of(now).toLocaleString("en")));
    sync(villages.body, found.items, (village) => village.code, villages.make, villages.update);
    setText(none, search.value.trim() ? t("page.empty") : t("page.no_villages"));
    toggle(villages.table, none, found.items.length);
    show(more, found.more);
    sync(worst.body, ill.items, (camera) => camera.id, worst.make, worst.update);
    toggle(worst.table, calm, ill.items.length);
    show(worse, ill.more);
    return { madeUp: found.items.some((village) => village.last_24h?.made_up) };
  }
  return { root, title: t("page.title"), refresh };
}

const COLUMNS = ["page.village", "page.now", "page.faults", "page.uptime_24h", "page.coverage", "page.last_24h"];

function villageTable() {
  const body = el("tbody", {});
  const table = el("table", { class: "cards villages" }, el("caption", { class: "hidden-text" }, t("page.villages")),
    el("thead", {}, el("tr", {}, ...COLUMNS.map((key, place) => el("th", { scope: "col", class: place === 3 || place === 4 ? "number" : null }, t(key))))), body);
  const make = (village) => {
    const name = el("a", { href: `#/villages/${encodeURIComponent(village.code)}` });
    const under = el("span", { class: "under" });
    const cells = COLUMNS.slice(1).map((key, place) => el("td", { "data-label": t(key), class: place === 2 || place === 3 ? "number" : null }));
    const row = el("tr", {}, el("th", { scope: "row" }, name, under), ...cells);
    const [states, faults, uptime, coverage, bar] = cells;
    row.cells_ = { name, under, states, faults, uptime, coverage, bar };
    return row;
  };
  const update = (row, village) => {
    const to = row.cells_;
    setText(to.name, village.name);
    setText(to.under, `${village.region_name} · ${t("page.camera_count", { count: village.cameras })}`);
    remake(to.states, village.states, counts);
    remake(to.faults, village.faulty, (faulty) => (faulty ? el("span", { class: "chip chip-fault" }, String(faulty)) : el("span", { class: "muted" }, "0")));
    setText(to.uptime, percent(village.last_24h?.uptime.value));
    setText(to.coverage, percent(village.last_24h?.uptime.coverage));
    remake(to.bar, village.last_24h, hourBar);
  };
  return { table, body, make, update };
}

export function counts(states) {
  return el("span", { class: "counts" }, ...["up", "down", "unknown"].map((state) =>
    el("span", { class: `mark mark-${state}${states[state] ? "" : " mark-zero"}` },
      el("span", { class: "shape", "aria-hidden": "true" }), el("span", {}, `${t(`state.${state}`)} ${states[state]}`))));
}
