// Shows /status.json, asked each second. Every text from outside goes through textContent or append(),
// so a meter's name or a server's error is never markup.

const POLL_MS = 1000;
const PATIENCE_MS = 5000;
const HOUR_US = 3600e6;
const CHART = { height: 240, left: 52, right: 10, top: 18, bottom: 24 };
const RUNGS = {
  model: "The model speaks.",
  seasonal_naive: "The model is silent: the forecast is the same time last week.",
  daily_naive: "The model is silent: the forecast is the same time yesterday.",
  last_value: "The model is silent: the forecast is the last value.",
};

const byId = (id) => document.getElementById(id);
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
let last = null;
let heardAt = null;
let timer = 0;

// --- words for numbers -------------------------------------------------------------------------

function power(watts) {
  if (!isNumber(watts)) return ["–", ""];
  const kilo = Math.abs(watts) >= 999.5;
  const digits = kilo ? (Math.abs(watts) < 9995 ? 2 : 1) : 0;
  return [(kilo ? watts / 1000 : watts).toFixed(digits).replace(/^-0$/, "0"), kilo ? "kW" : "W"];
}
const powerText = (watts) => power(watts).join(" ").trim();
const count = (number, noun) => `${isNumber(number) ? number.toLocaleString("en") : "–"} ${noun}${number === 1 ? "" : "s"}`;
const instant = (us) => (isNumber(us) ? `${day(us)}, ${clock(us)}` : "never");

// Times are the site's own, wherever the reader sits; without its zone, the reader's.
let clock, day;
function keepTimeOf(timeZone) {
  const zone = { timeZone: timeZone ?? undefined };
  const hours = new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const days = new Intl.DateTimeFormat("en-GB", { ...zone, weekday: "short", day: "numeric", month: "short" });
  clock = (us) => hours.format(us / 1000);
  day = (us) => days.format(us / 1000);
}
keepTimeOf();

function span(us) {
  const seconds = Math.max(0, Math.round(us / 1e6));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// --- elements ----------------------------------------------------------------------------------

function say(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text; // a screen reader hears changes alone
}

function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function draw(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function facts(id, pairs) {
  byId(id).replaceChildren(
    ...pairs.filter(([, value]) => value != null && value !== "").flatMap(([word, value]) => [make("dt", "", word), make("dd", "", String(value))]),
  );
}

// --- the sections ------------------------------------------------------------------------------

function showNow(status) {
  const { consumption_w, grid_w, solar_w, at_us } = status.power ?? {};
  say("site", status.site ?? "SmartWatts Edge");
  say("verdict", status.sentence ?? "");
  byId("verdict").className = `verdict ${["normal", "attention", "outage"].find((one) => one === status.verdict) ?? ""}`;
  const [number, unit] = power(consumption_w);
  say("consumption", number);
  say("consumption-unit", ` ${unit || "not known"}`);
  say("grid-word", grid_w < 0 ? "Into the grid" : "From the grid");
  say("grid", powerText(isNumber(grid_w) ? Math.abs(grid_w) : null));
  // Passive sign convention: what produces is negative.
  say("solar", powerText(isNumber(solar_w) ? Math.max(0, -solar_w) : null));
  const age_us = status.now_us - at_us;
  say("measured", isNumber(at_us) ? `${instant(at_us)}${age_us > 120e6 ? `, ${span(age_us)} ago` : ""}` : "not yet");
}

function showAnomalies(status) {
  const items = (status.anomalies ?? []).map((one) =>
    make("li", "", one.sentence, make("span", "small", `${instant(one.at_us)} · ${one.kind} · ${one.series}`)),
  );
  byId("anomalies").replaceChildren(...(items.length ? items : [make("li", "", "None at present.")]));
}

function showMeters(status) {
  const rows = (status.bus ?? []).map((one) => {
    const silent = isNumber(one.silent_since_us);
    const state = make("td", silent ? "trouble" : "", silent ? `silent for ${span(status.now_us - one.silent_since_us)}` : "answers");
    if (one.last_error) state.append(make("span", "small", one.last_error));
    const name = make("th", "", one.meter, make("span", "small", one.profile ?? ""));
    name.scope = "row";
    return make("tr", "", name, state, make("td", "", (one.reads ?? 0).toLocaleString("en")), make("td", "", (one.errors ?? 0).toLocaleString("en")));
  });
  byId("meters").replaceChildren(...rows);
}

function showQueue(status) {
  const queue = status.queue ?? {};
  const wait = isNumber(queue.oldest_us) ? `, the oldest for ${span(status.now_us - queue.oldest_us)}` : "";
  say("queue", queue.records ? `${count(queue.records, "record")} ${queue.records === 1 ? "waits" : "wait"} on the gateway${wait}. They are kept until they are home.` : "Everything is home.");
  facts("queue-facts", [
    ["Last upload", isNumber(queue.last_success_us) ? instant(queue.last_success_us) : "none yet"],
    ["Safe up to record", queue.acknowledged],
    ["Last trouble", queue.last_error],
    ["A power cut takes", isNumber(status.loss_window_s) ? `the last ${span(status.loss_window_s * 1e6)} at most` : null],
  ]);
}

function showModel(status) {
  const model = status.model ?? {};
  say("model", RUNGS[model.rung] ?? "No forecast yet: the gateway gets to know the site first.");
  facts("model-facts", [
    ["Release", model.release],
    ["Bundle", model.bundle ? String(model.bundle).slice(0, 12) : null],
    ["From", model.origin],
    ["Last report", model.last_report],
  ]);
}

function showFooter(status) {
  const tick = status.tick ?? {};
  const parts = [status.software, `tick ${tick.count ?? "–"}`, isNumber(tick.late_ms_max) ? `late by ${Math.round(tick.late_ms_max)} ms at most` : null];
  if (isNumber(status.rate) && status.rate !== 1) parts.push(`simulated time, ${Math.round(status.rate)} times as fast`);
  say("footer", parts.filter(Boolean).join(" · "));
}

// --- forecast against measured -------------------------------------------------------------------

// One list of slots {at, us, actual, p10, p50, p90}: `at` is the start of the slot, `us` its middle.
function slots(status) {
  const found = new Map();
  const add = (curve, name, values) =>
    (values ?? []).forEach((value, i) => {
      const at = curve.start_us + i * curve.step_us;
      if (!found.has(at)) found.set(at, { at, us: at + curve.step_us / 2 });
      found.get(at)[name] = isNumber(value) ? value : null;
    });
  if (status.actual) add(status.actual, "actual", status.actual.values_w);
  if (status.forecast) for (const name of ["p10", "p50", "p90"]) add(status.forecast, name, status.forecast[name]);
  return [...found.values()].sort((a, b) => a.at - b.at);
}

// Runs of slots without a gap: where a value is missing the line breaks.
function runs(all, name) {
  const step = Math.min(...all.slice(1).map((slot, i) => slot.at - all[i].at));
  const found = [];
  let previous = null;
  for (const slot of all) {
    if (isNumber(slot[name])) {
      if (previous && slot.at - previous.at <= step) found.at(-1).push(slot);
      else found.push([slot]);
      previous = slot;
    } else previous = null;
  }
  return found;
}

function ticks(low, high) {
  const rough = Math.max(high - low, 1) / 4;
  const power10 = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power10).find((one) => one >= rough);
  const found = [];
  for (let at = Math.floor(low / step) * step; at <= high + step * 0.999; at += step) found.push(at);
  return found;
}

function showChart(status) {
  const all = slots(status);
  const box = byId("chart");
  if (all.length < 2) {
    box.replaceChildren();
    say("chart-text", "Not enough measured yet.");
    return;
  }
  const width = Math.max(box.clientWidth, 200);
  const values = all.flatMap((slot) => [slot.actual, slot.p10, slot.p50, slot.p90]).filter(isNumber);
  const levels = ticks(Math.min(0, ...values), Math.max(100, ...values));
  const from = all[0].us;
  const until = Math.max(all.at(-1).us, status.now_us);
  const x = (us) => (CHART.left + ((us - from) / (until - from)) * (width - CHART.left - CHART.right)).toFixed(1);
  const y = (watts) => (CHART.height - CHART.bottom - ((watts - levels[0]) / (levels.at(-1) - levels[0])) * (CHART.height - CHART.top - CHART.bottom)).toFixed(1);
  const line = (run, name) => run.map((slot, i) => `${i ? "L" : "M"}${x(slot.us)} ${y(slot[name])}`).join("") + (run.length === 1 ? "h.1" : "");

  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${CHART.height}`);
  drawAxes(svg, { width, levels, from, until, x, y });
  for (const run of runs(all, "p10")) {
    const back = [...run].reverse().map((slot) => `L${x(slot.us)} ${y(slot.p90)}`);
    draw(svg, "path", { class: "band", d: `${line(run, "p10")}${back.join("")}Z` });
  }
  for (const run of runs(all, "p50")) draw(svg, "path", { class: "median", d: line(run, "p50") });
  for (const run of runs(all, "actual")) draw(svg, "path", { class: "actual", d: line(run, "actual") });
  for (const one of status.anomalies ?? [])
    if (one.at_us >= from && one.at_us <= until) draw(svg, "circle", { class: "mark", cx: x(one.at_us), cy: CHART.height - CHART.bottom, r: 4 });
  if (status.now_us >= from && status.now_us <= until) {
    const at = x(status.now_us);
    draw(svg, "line", { class: "now-line", x1: at, x2: at, y1: CHART.top - 4, y2: CHART.height - CHART.bottom });
    draw(svg, "text", { class: "now-word", x: at, y: 11, "text-anchor": at > width - 30 ? "end" : "middle" }, "now");
  }
  box.replaceChildren(svg);
  say("chart-text", summary(all, status));
  if (byId("table").open) showHours(all);
}

function drawAxes(svg, { width, levels, from, until, x, y }) {
  const bottom = CHART.height - CHART.bottom;
  for (const level of levels) {
    draw(svg, "line", { class: level === 0 ? "zero" : "rule", x1: CHART.left, x2: width - CHART.right, y1: y(level), y2: y(level) });
    draw(svg, "text", { x: CHART.left - 6, y: Number(y(level)) + 4, "text-anchor": "end" }, Math.abs(levels.at(-1)) >= 1000 ? `${+(level / 1000).toFixed(2)} kW` : `${level} W`);
  }
  // Full hours of the site, as many as have room.
  const room = (width - CHART.left - CHART.right) / 62;
  const hours = [1, 2, 3, 6, 12].find((one) => (until - from) / (one * HOUR_US) <= room) ?? 24;
  const quarter = HOUR_US / 4; // zones differ from UTC by whole quarters
  for (let at = Math.ceil(from / quarter) * quarter; at <= until; at += quarter) {
    const [hour, minute] = clock(at).split(":").map(Number);
    if (minute || hour % hours) continue;
    draw(svg, "line", { class: "rule", x1: x(at), x2: x(at), y1: CHART.top, y2: bottom });
    if (x(at) < width - 22) draw(svg, "text", { x: x(at), y: bottom + 17, "text-anchor": "middle" }, hour ? clock(at) : day(at).split(/[ ,]/)[0]);
  }
}

function summary(all, status) {
  const forecast = all.filter((slot) => isNumber(slot.p50));
  const known = all.filter((slot) => isNumber(slot.actual));
  const gaps = all.filter((slot) => slot.actual === null).length;
  const sentences = [];
  if (known.length) sentences.push(`Measured last: ${powerText(known.at(-1).actual)} on average from ${clock(known.at(-1).at)}.`);
  if (gaps) sentences.push(`${count(gaps, "slot")} without a measurement.`);
  if (forecast.length) {
    const peak = forecast.reduce((a, b) => (b.p50 > a.p50 ? b : a));
    sentences.push(`The forecast of ${clock(status.forecast.issued_us)} expects its peak at ${clock(peak.at)}: ${powerText(peak.p50)}, 8 of 10 times between ${powerText(peak.p10)} and ${powerText(peak.p90)}.`);
  } else sentences.push("No forecast yet.");
  return sentences.join(" ");
}

function showHours(all) {
  const hours = new Map();
  for (const slot of all) {
    const at = Math.floor(slot.at / HOUR_US) * HOUR_US;
    if (!hours.has(at)) hours.set(at, []);
    hours.get(at).push(slot);
  }
  const mean = (group, name) => {
    const known = group.map((slot) => slot[name]).filter(isNumber);
    return known.length ? known.reduce((a, b) => a + b) / known.length : null;
  };
  const rows = [...hours].map(([at, group]) => {
    const range = [mean(group, "p10"), mean(group, "p90")];
    const name = make("th", "", instant(at));
    name.scope = "row";
    const cells = [powerText(mean(group, "actual")), powerText(mean(group, "p50")), isNumber(range[0]) ? range.map(powerText).join(" to ") : "–"];
    return make("tr", "", name, ...cells.map((cell) => make("td", "", cell)));
  });
  byId("hours").replaceChildren(...rows);
}

// --- asking --------------------------------------------------------------------------------------

function show(status) {
  if (status.time_zone !== last?.time_zone) keepTimeOf(status.time_zone);
  last = status;
  heardAt = new Date();
  byId("lost").hidden = true;
  for (const part of [showNow, showChart, showAnomalies, showMeters, showQueue, showModel, showFooter]) part(status);
}

function showLost() {
  say("lost", heardAt ? `The gateway has not answered since ${heardAt.toLocaleTimeString()}. What you see is from then; asking again …` : "The gateway does not answer; asking again …");
  byId("lost").hidden = false;
}

async function ask() {
  const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

async function poll() {
  const status = await ask().catch(() => null);
  if (status) show(status);
  else showLost();
  clearTimeout(timer); // another round may have begun while this one waited for its answer
  if (!document.hidden) timer = setTimeout(poll, POLL_MS);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, 0);
});
addEventListener("resize", () => last && showChart(last));
byId("table").addEventListener("toggle", () => last && showChart(last));
poll();
