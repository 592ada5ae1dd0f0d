// Words, times and numbers as a person reads them. Texts come from the one catalogue, embedded in the page.
const TEXTS = JSON.parse(document.getElementById("texts").textContent);
export const LANG = document.documentElement.lang;
const ZONE = "Asia/Shanghai";

export function t(key, params = {}) {
  const text = TEXTS[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? String(params[name]) : whole));
}

// A code of a later version stays its code.
export const word = (kind, code) => (code ? TEXTS[`${kind}.${code}`] || code : "");
export const reasonWord = (code) => (code ? TEXTS[`reason.${code}`] || TEXTS[`fault.${code}`] || code : "");

const parts = new Intl.DateTimeFormat("en-CA", {
  timeZone: ZONE, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});

function fields(instant) {
  const found = {};
  for (const { type, value } of parts.formatToParts(new Date(instant))) found[type] = value;
  return found;
}

// 14:05:09 today, 11-23 14:05 this year, 2025-11-23 14:05 else; always Beijing time.
export function time(instant, { seconds = true } = {}) {
  if (!instant) return t("page.never");
  const at = fields(instant);
  const now = fields(Date.now());
  const day = `${at.month}-${at.day}`;
  if (at.year !== now.year) return `${at.year}-${day} ${at.hour}:${at.minute}`;
  if (day !== `${now.month}-${now.day}`) return `${day} ${at.hour}:${at.minute}`;
  return `${at.hour}:${at.minute}` + (seconds ? `:${at.second}` : "");
}

export function clockTime(instant) {
  const at = fields(instant);
  return `${at.hour}:${at.minute}`;
}

export function fullTime(instant) {
  const at = fields(instant);
  return `${at.year}-${at.month}-${at.day} ${at.hour}:${at.minute}:${at.second}`;
}

// Cut, never rounded up: 100 % is only what was whole.
export function percent(value, digits = 2) {
  if (value === null || value === undefined) return t("page.no_data");
  if (value === 1) return "100 %";
  const scale = 10 ** digits;
  return (Math.floor(value * 100 * scale + 1e-7) / scale).toFixed(digits) + " %";
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const units = LANG === "en" ? ["d", "h", "min", "s"] : ["天", "小时", "分", "秒"];
  const space = LANG === "en" ? " " : "";
  const values = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const first = values.findIndex((value) => value > 0);
  if (first < 0) return `0${space}${units[3]}`;
  return values
    .map((value, place) => ({ value, place }))
    .filter(({ value, place }) => place >= first && place <= first + 1 && value > 0)
    .map(({ value, place }) => `${value}${space}${units[place]}`)
    .join(space);
}
