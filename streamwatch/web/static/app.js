// The page: who is signed in, which view the address names, and a fresh look every few seconds.
import { get, post, setToken } from "./api.js";
import { el, remake, setText } from "./dom.js";
import { t, time } from "./words.js";
import { overview } from "./overview.js";
import { village } from "./village.js";
import { camera } from "./camera.js";
import { login } from "./login.js";

const EVERY_MS = 5000;
const main = document.getElementById("main");
const person = document.getElementById("person");
const banners = document.getElementById("banners");
const updated = document.getElementById("updated");

let view = null;
let timer = null;
let running = false;
let again = false;
let lastGood = null;
const banner = { demo: null, service: null, offline: null };

const ROUTES = [
  [/^#\/villages\/([^/]+)$/, (match) => village(shell, decodeURIComponent(match[1]))],
  [/^#\/cameras\/([^/]+)$/, (match) => camera(shell, decodeURIComponent(match[1]))],
  [/^(#\/?)?$/, () => overview(shell)],
];

const shell = {
  refresh: () => (running ? (again = true) : refresh()),
  title: (text) => { document.title = `${text} · ${t("page.title")}`; },
};

function open() {
  if (location.hash === "#main") return; // the skip link
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(location.hash);
    if (!match) continue;
    mount(make(match));
    refresh();
    return;
  }
  location.hash = "#/";
}

function mount(next) {
  view = next;
  main.replaceChildren(next.root);
  document.title = next.title === t("page.title") ? next.title : `${next.title} · ${t("page.title")}`;
  window.scrollTo(0, 0);
}

async function refresh() {
  clearTimeout(timer);
  if (running || !view?.refresh) return;
  running = true;
  again = false;
  const shown = view;
  try {
    const now = await get("/overview"); // also tells the time: a browser's clock may be wrong
    const found = await shown.refresh(now);
    if (shown === view) {
      banner.demo = found?.madeUp ? t("page.demo") : null;
      banner.service = serviceText(now);
      banner.offline = null;
      lastGood = new Date();
    }
  } catch (error) {
    if (shown === view) failed(error);
  }
  running = false;
  setText(updated, lastGood ? t("page.updated", { at: time(lastGood) }) : "");
  tell();
  if (shown !== view || again) refresh();
  else if (view?.refresh && !document.hidden) timer = setTimeout(refresh, EVERY_MS);
}

function serviceText(now) {
  if (!now.connected) return t("page.not_connected");
  if (now.ready && now.parts.every((part) => part.ready)) return null; // a thinned patrol is told, and is ready
  return t("page.not_ready", { parts: now.parts.filter((part) => !part.ready).map((part) => part.detail || part.name).join("; ") });
}

function failed(error) {
  if (error.status === 401) {
    signIn();
  } else if (error.status === 404) {
    view = { root: el("div", { class: "view" }, el("a", { class: "back", href: "#/" }, `← ${t("page.back")}`), el("p", { class: "notice" }, t("page.not_found"))), title: t("page.title") };
    main.replaceChildren(view.root);
  } else if (error.status === 0 && lastGood) {
    banner.offline = t("page.offline", { at: time(lastGood) });
  } else {
    banner.offline = t("page.error", { detail: error.message });
  }
}

function tell() {
  remake(banners, banner, (found) =>
    Object.entries(found).filter(([, text]) => text).map(([kind, text]) => el("p", { class: `banner banner-${kind}` }, text)));
}

function signIn() {
  setToken(null);
  person.hidden = true;
  person.replaceChildren();
  lastGood = null;
  Object.keys(banner).forEach((key) => { banner[key] = null; });
  const form = login((session) => { welcome(session); open(); });
  mount(form);
  tell();
  form.focus();
}

function welcome(session) {
  setToken(session.csrf);
  person.replaceChildren(el("span", { class: "person-name" }, session.name),
    el("button", { type: "button", class: "quiet", onclick: signOut }, t("page.logout")));
  person.hidden = false;
}

async function signOut() {
  await post("/logout").catch(() => null);
  signIn();
}

// A change of language keeps the place.
for (const link of document.querySelectorAll(".languages a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    location.assign(`${link.getAttribute("href")}${location.hash}`);
  });
}
window.addEventListener("hashchange", () => { if (!person.hidden) open(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

try {
  welcome(await get("/session"));
  open();
} catch (error) {
  if (error.status === 401) signIn();
  else main.replaceChildren(el("p", { class: "notice" }, t("page.error", { detail: error.message })));
}
