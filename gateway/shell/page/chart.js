// Forecast against measured, on one axis of time: left of now what was measured over what had been
// forecast for it before it began, right of now the present forecast. Where there is solar, what it gave and
// what is expected of it lie under that. The same again as text and table.

import { byId, clock, count, energyText, instant, isNumber, make, powerText, row, say, sayOrHide, span, weekday } from "./words.js";
import { draw, levelsOf } from "./drawing.js";

const HOUR_US = 3600e6;
const AGE_OF_A_DAY_US = 23 * HOUR_US;
const SIZE = { height: 240, left: 52, right: 10, top: 18, bottom: 24 };
const QUANTILES = ["p10", "p50", "p90"];
const BOTTOM = SIZE.height - SIZE.bottom;

export function showChart(status) {
  const all = slots(status);
  const box = byId("chart");
  sayOrHide("key-before", all.some(isPast) ? asForecast(status) : "");
  byId("key-median").hidden = !all.some(isAhead);
  byId("key-band").hidden = !hasBand(all, "past") && !hasBand(all, "ahead");
  byId("key-made").hidden = !all.some((slot) => isNumber(slot.made));
  byId("key-sun").hidden = !all.some((slot) => isNumber(slot.sun.p50));
  if (all.length < 2) {
    box.replaceChildren();
    say("chart-text", "Not enough measured yet.");
    byId("hours").replaceChildren();
    byId("key-mark").hidden = true;
    return;
  }
  box.replaceChildren(picture(all, status, Math.max(box.clientWidth, 200)));
  say("chart-text", summary(all, status));
  if (byId("table").open) showHours(all, status);
}

// --- what is known of each slot ------------------------------------------------------------------

// Slots {at, us, step, actual, past, ahead, made, sun}: `at` is the start of the slot, `us` its middle; `past` is
// what had been forecast for it before it began, `ahead` what is forecast now, each {p10, p50, p90}; `made` is what
// the panels gave, `sun` what is forecast of them now.
function slots(status) {
  const found = new Map();
  const each = (curve, values, put) =>
    (values ?? []).forEach((value, i) => {
      const step = curve.step_us;
      const at = curve.start_us + i * step;
      if (!found.has(at)) found.set(at, { at, us: at + step / 2, step, actual: null, past: {}, ahead: {}, made: null, sun: {} });
      if (isNumber(value)) put(found.get(at), value);
    });
  const { actual, forecast, forecast_before: before, production } = status;
  const now = forecast?.start_us ?? Infinity;
  each(actual, actual?.values_w, (slot, value) => (slot.actual = value));
  each(production?.actual, production?.actual?.values_w, (slot, value) => (slot.made = value));
  for (const name of QUANTILES) {
    each(before, before?.[name], (slot, value) => slot.at < now && (slot.past[name] = value));
    each(forecast, forecast?.[name], (slot, value) => (slot.ahead[name] = value));
    each(production?.forecast, production?.forecast?.[name], (slot, value) => (slot.sun[name] = value));
  }
  const sorted = [...found.values()].sort((a, b) => a.at - b.at);
  const first = sorted.findIndex((slot) => isNumber(slot.actual) || isNumber(slot.made) || isPast(slot) || isAhead(slot));
  return first < 0 ? [] : sorted.slice(first);
}

const isPast = (slot) => isNumber(slot.past.p50);
const isAhead = (slot) => isNumber(slot.ahead.p50);
const isJudged = (slot) => isPast(slot) && isNumber(slot.actual);
const offBy = (slot) => (isJudged(slot) ? Math.abs(slot.actual - slot.past.p50) : null);
const isInside = (slot) => slot.actual >= slot.past.p10 && slot.actual <= slot.past.p90;
// A gateway that is hours old does not know yet how far off it is: its forecast has no width.
const hasBand = (all, side) => all.some((slot) => slot[side].p10 < slot[side].p90);

function mean(values) {
  const known = values.filter(isNumber);
  return known.length ? known.reduce((a, b) => a + b) / known.length : null;
}

function asForecast({ now_us, forecast_before }) {
  const age_us = now_us - forecast_before.issued_us;
  return `as forecast ${age_us >= AGE_OF_A_DAY_US ? "a day" : span(age_us)} ago`;
}

// --- the picture ---------------------------------------------------------------------------------

function picture(all, status, width) {
  const values = all.flatMap((slot) => [slot.actual, slot.made, ...QUANTILES.flatMap((name) => [slot.past[name], slot.ahead[name], slot.sun[name]])]).filter(isNumber);
  const levels = levelsOf(Math.min(0, ...values), Math.max(100, ...values));
  const from = all[0].at;
  const until = Math.max(all.at(-1).at + all.at(-1).step, status.now_us);
  const x = (us) => (SIZE.left + ((us - from) / (until - from)) * (width - SIZE.left - SIZE.right)).toFixed(1);
  const y = (watts) => (BOTTOM - ((watts - levels[0]) / (levels.at(-1) - levels[0])) * (BOTTOM - SIZE.top)).toFixed(1);

  const svg = draw(null, "svg", { viewBox: `0 0 ${width} ${SIZE.height}` });
  drawAxes(svg, { width, levels, from, until, x, y });
  for (const side of ["sun", "past", "ahead"]) drawForecast(svg, all, side, x, y);
  for (const run of runs(all, (slot) => slot.made)) draw(svg, "path", { class: "made", d: line(run, (slot) => slot.made, x, y) });
  for (const run of runs(all, (slot) => slot.actual)) draw(svg, "path", { class: "actual", d: line(run, (slot) => slot.actual, x, y) });
  const marks = (status.anomalies ?? []).map((one) => ({ at: one.since_us ?? one.at_us, ended: one.active === false }));
  const shown = marks.filter(({ at }) => at >= from && at <= until);
  for (const { at, ended } of shown) draw(svg, "circle", { class: ended ? "mark ended" : "mark", cx: x(at), cy: BOTTOM, r: 4 });
  byId("key-mark").hidden = !shown.length;
  if (status.now_us >= from && status.now_us <= until) {
    const at = x(status.now_us);
    draw(svg, "line", { class: "now-line", x1: at, x2: at, y1: SIZE.top - 4, y2: BOTTOM });
    draw(svg, "text", { class: "now-word", x: at, y: 11, "text-anchor": at > width - 30 ? "end" : "middle" }, "now");
  }
  return svg;
}

function drawForecast(svg, all, side, x, y) {
  for (const run of runs(all, (slot) => slot[side].p10)) {
    const back = [...run].reverse().map((slot) => `L${x(slot.us)} ${y(slot[side].p90)}`);
    draw(svg, "path", { class: `band ${side}`, d: `${line(run, (slot) => slot[side].p10, x, y)}${back.join("")}Z` });
  }
  for (const run of runs(all, (slot) => slot[side].p50)) draw(svg, "path", { class: `median ${side}`, d: line(run, (slot) => slot[side].p50, x, y) });
}

// Runs of slots without a gap: where a value is missing the line breaks.
function runs(all, value) {
  const found = [];
  let previous = null;
  for (const slot of all) {
    if (isNumber(value(slot))) {
      if (previous && slot.at - previous.at <= slot.step) found.at(-1).push(slot);
      else found.push([slot]);
      previous = slot;
    } else previous = null;
  }
  return found;
}

function line(run, value, x, y) {
  const points = run.map((slot, i) => `${i ? "L" : "M"}${x(slot.us)} ${y(value(slot))}`);
  return points.join("") + (run.length === 1 ? "h3" : ""); // a single slot is a dash
}

function drawAxes(svg, { width, levels, from, until, x, y }) {
  for (const level of levels) {
    draw(svg, "line", { class: level === 0 ? "zero" : "rule", x1: SIZE.left, x2: width - SIZE.right, y1: y(level), y2: y(level) });
    const word = Math.abs(levels.at(-1)) >= 1000 ? `${+(level / 1000).toFixed(2)} kW` : `${level} W`;
    draw(svg, "text", { x: SIZE.left - 6, y: Number(y(level)) + 4, "text-anchor": "end" }, word);
  }
  // Full hours of the site, as many as have room.
  const room = (width - SIZE.left - SIZE.right) / 62;
  const hours = [1, 2, 3, 6, 12].find((one) => (until - from) / (one * HOUR_US) <= room) ?? 24;
  const quarter = HOUR_US / 4; // zones differ from UTC by whole quarters
  for (let at = Math.ceil(from / quarter) * quarter; at <= until; at += quarter) {
    const [hour, minute] = clock(at).split(":").map(Number);
    if (minute || hour % hours) continue;
    draw(svg, "line", { class: "rule", x1: x(at), x2: x(at), y1: SIZE.top, y2: BOTTOM });
    if (x(at) < width - 22) draw(svg, "text", { x: x(at), y: BOTTOM + 17, "text-anchor": "middle" }, hour ? clock(at) : weekday(at));
  }
}

// --- the same in words and numbers -----------------------------------------------------------------

function summary(all, status) {
  const known = all.filter((slot) => isNumber(slot.actual));
  const gaps = all.filter((slot) => slot.actual === null && slot.at + slot.step <= status.now_us).length;
  const judged = all.filter(isJudged);
  const ahead = all.filter(isAhead);
  const sentences = [];
  if (known.length) sentences.push(`Measured last: ${powerText(known.at(-1).actual)} on average from ${instant(known.at(-1).at)}.`);
  if (gaps) sentences.push(`${count(gaps, "step")} without a measurement.`);
  if (judged.length) {
    const who = { model: "the model", mix: "the model with a baseline" }[status.forecast_before.rung] ?? "the baseline";
    const inside = hasBand(judged, "past") ? `; ${judged.filter(isInside).length} of them lay within its band` : "";
    sentences.push(`What ${who} forecast on ${instant(status.forecast_before.issued_us)} was off by ${powerText(mean(judged.map(offBy)))} on average over ${count(judged.length, "measured step")}${inside}.`);
  }
  if (ahead.length) {
    const peak = ahead.reduce((a, b) => (b.ahead.p50 > a.ahead.p50 ? b : a));
    const band = hasBand(ahead, "ahead") ? `, 8 of 10 times between ${powerText(peak.ahead.p10)} and ${powerText(peak.ahead.p90)}` : "";
    sentences.push(`The forecast of ${clock(status.forecast.issued_us)} expects the most at ${clock(peak.at)}: ${powerText(peak.ahead.p50)}${band}.`);
  } else sentences.push("No forecast yet.");
  const sun = all.filter((slot) => isNumber(slot.sun.p50));
  if (sun.length) {
    const energy_wh = sun.reduce((sum, slot) => sum + (slot.sun.p50 * slot.step) / HOUR_US, 0);
    sentences.push(`From the sun about ${energyText(energy_wh)} are expected over the next day.`);
  }
  return sentences.join(" ");
}

function showHours(all, status) {
  const past = all.filter((slot) => !isAhead(slot));
  const ahead = all.filter(isAhead);
  const rows = [];
  if (past.length) rows.push(group(past.some(isPast) ? `Measured, and ${asForecast(status)}` : "Measured"), ...hourRows(past, "past"));
  if (past.some(isJudged)) rows.push(row("All steps", "", "", powerText(mean(past.map(offBy))), ""));
  if (ahead.length) rows.push(group(`As forecast on ${instant(status.forecast.issued_us)}`), ...hourRows(ahead, "ahead"));
  byId("hours").replaceChildren(...rows);
}

function group(text) {
  const head = make("th", "", text);
  head.colSpan = 5;
  head.scope = "rowgroup";
  return make("tr", "group", head);
}

function hourRows(part, side) {
  const hours = new Map();
  for (const slot of part) {
    const at = Math.floor(slot.at / HOUR_US) * HOUR_US;
    hours.set(at, [...(hours.get(at) ?? []), slot]);
  }
  return [...hours].map(([at, slotsOfHour]) => {
    const of = (value) => mean(slotsOfHour.map(value));
    const [low, median, high] = QUANTILES.map((name) => of((slot) => slot[side][name]));
    const band = isNumber(low) ? `${powerText(low)} to ${powerText(high)}` : "–";
    return row(`${weekday(at)} ${clock(at)}`, powerText(of((slot) => slot.actual)), powerText(median), powerText(of(offBy)), band);
  });
}
