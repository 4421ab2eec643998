// Words for numbers and instants, and the few ways a text gets into the page. Every text goes through
// textContent or append(), so a meter's name or a server's error is never markup.

export const byId = (id) => document.getElementById(id);
export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function power(watts) {
  if (!isNumber(watts)) return ["–", ""];
  const kilo = Math.abs(watts) >= 999.5;
  const digits = kilo ? (Math.abs(watts) < 9995 ? 2 : 1) : 0;
  return [(kilo ? watts / 1000 : watts).toFixed(digits).replace(/^-0$/, "0"), kilo ? "kW" : "W"];
}
export const powerText = (watts) => power(watts).join(" ").trim();
export const energyText = (wattHours) => (isNumber(wattHours) ? `${(wattHours / 1000).toFixed(wattHours < 99.95e3 ? 1 : 0)} kWh` : "–");
export const whole = (number) => (isNumber(number) ? number.toLocaleString("en") : "–");
export const count = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;
export function bytes(number) {
  const [unit, one] = number >= 999.5e6 ? ["GB", 1e9] : number >= 999.5e3 ? ["MB", 1e6] : ["kB", 1e3];
  const value = number / one;
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${unit}`;
}
export const instant = (us) => (isNumber(us) ? `${day(us)}, ${clock(us)}` : "never");

// Times are the site's own, wherever the reader sits; without its zone, the reader's.
export let clock, day, weekday;
export function keepTimeOf(timeZone) {
  const zone = { timeZone: timeZone ?? undefined };
  const hours = new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const days = new Intl.DateTimeFormat("en-GB", { ...zone, weekday: "short", day: "numeric", month: "short" });
  clock = (us) => hours.format(us / 1000);
  day = (us) => days.format(us / 1000);
  weekday = (us) => day(us).split(/[ ,]/)[0];
}
keepTimeOf();

export function span(us) {
  const seconds = Math.max(0, Math.round(us / 1e6));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// A screen reader hears changes alone.
export function say(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

// Says `text` in an element that is there only while there is something to say.
export function sayOrHide(id, text) {
  say(id, text ?? "");
  byId(id).hidden = !text;
}

export function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

export function row(head, ...cells) {
  const name = make("th", "", ...[head].flat());
  name.scope = "row";
  return make("tr", "", name, ...cells.map((cell) => (cell instanceof Node ? cell : make("td", "", cell))));
}

export function facts(id, pairs) {
  const known = pairs.filter(([, value]) => value != null && value !== "");
  byId(id).replaceChildren(...known.flatMap(([word, value]) => [make("dt", "", word), make("dd", "", String(value))]));
}
