// Shows /status.json, asked each second: one function for each section of the page.

import { showChart } from "./chart.js";
import { showOutlook } from "./outlook.js";
import { byId, bytes, clock, count, day, facts, instant, isNumber, keepTimeOf, make, power, powerText, row, say, sayOrHide, span, whole } from "./words.js";

const POLL_MS = 1000;
const PATIENCE_MS = 5000;
// A sweep older than this is no longer the present.
const LATE_US = 120e6;
const RUNGS = {
  model: "The model speaks.",
  mix: "The model and a baseline speak together.",
  seasonal_naive: "The baseline speaks: the same time last week.",
  daily_naive: "The baseline speaks: the same time yesterday.",
  last_value: "The baseline speaks: the last value.",
};
const ORIGINS = { factory: "came with the gateway", installed: "published, verified and installed" };
// What the upload says, and what it means to the reader; what is not known here is shown as it is.
const UPLOAD_TROUBLES = [
  [/Cannot connect/, "the cloud cannot be reached"],
  [/^no answer/, "the cloud did not answer in time"],
  [/^the cloud answered 5/, "the cloud cannot take records at present"],
  [/^the cloud answered [34]/, "the cloud refuses what is sent"],
  [/acknowledgement|our cloud|^somebody answered/, "something else answered in place of the cloud, the login page of a network perhaps"],
];
const SHARES = {
  health: "the gateway's own state alone",
  aggregates: "readings summed up, forecasts, anomalies, recommendations and the gateway's own state",
  raw: "readings summed up and single ones that are kept, forecasts, anomalies, recommendations and the gateway's own state",
};
const CARDS = {
  full: "The card is full",
  read_only: "The card is read-only",
  failing: "The card fails",
};

let last = null;
let heardAt = null;
let timer = 0;

// --- the sections ------------------------------------------------------------------------------

function showNow(status) {
  const { consumption_w, grid_w, solar_w, at_us } = status.power ?? {};
  say("site", status.site ?? "SmartWatts Edge");
  say("verdict", status.sentence ?? "");
  const silent = [silence(status), keptHere(status)].filter(Boolean).join(" ");
  sayOrHide("silence", silent);
  const verdict = ["normal", "attention", "outage"].find((one) => one === status.verdict) ?? "";
  byId("verdict").className = `verdict ${silent && verdict === "normal" ? "attention" : verdict}`;
  const [number, unit] = power(consumption_w);
  say("consumption", unit ? number : "");
  say("consumption-unit", unit ? ` ${unit}` : "not known");
  say("grid-word", grid_w < 0 ? "Into the grid" : "From the grid");
  say("grid", powerText(isNumber(grid_w) ? Math.abs(grid_w) : null));
  // Passive sign convention: what produces is negative.
  say("solar", powerText(isNumber(solar_w) ? Math.max(0, -solar_w) : null));
  showAhead(status);
  byId("sun").hidden = (status.bus ?? []).every((one) => one.role !== "solar");
  say("measured", isNumber(at_us) ? measured([consumption_w, grid_w, solar_w].some(isNumber), at_us, status.now_us) : "not yet");
}

// The peak of the next hour: as likely above as below, and the most but one time of 20.
function showAhead({ next_hour, emissions }) {
  const [, middle, , high] = next_hour?.peak_w ?? [];
  byId("ahead").hidden = !isNumber(middle);
  say("peak", `${powerText(middle)}, 19 of 20 times below ${powerText(high)}`);
  byId("emitted").hidden = !emissions;
  if (!emissions) return;
  const next = isNumber(emissions.next_day_kg) ? `, ${emissions.next_day_kg.toFixed(1)} kg in the next day` : "";
  say("emissions", `${emissions.today_kg.toFixed(1)} kg${next} (${emissions.source})`);
}

function measured(isAny, at_us, now_us) {
  const age_us = now_us - at_us;
  return `${isAny ? "" : "nothing at "}${instant(at_us)}${age_us > LATE_US ? `, ${span(age_us)} ago` : ""}`;
}

function silence(status) {
  const silent = (status.bus ?? []).filter((one) => isNumber(one.silent_since_us)).map((one) => one.meter);
  if (!silent.length) return "";
  const names = new Intl.ListFormat("en").format(silent);
  return silent.length > 1 ? `No answer from the meters ${names}: what they measure is not known.` : `No answer from the meter ${names}: what it measures is not known.`;
}

// What somebody has to do before readings go home, or are safe, again.
function keptHere({ upload, queue }) {
  const away = CARDS[queue?.card];
  const here = upload?.is_revoked ? "The cloud turned this gateway away." : upload?.is_enrolled === false ? "This gateway is not enrolled." : "";
  return [away ? `${away}.` : "", here].filter(Boolean).join(" ");
}

function showAnomalies(status) {
  const all = status.anomalies ?? [];
  const active = all.filter((one) => one.active !== false);
  const ended = all.filter((one) => one.active === false);
  byId("anomalies").replaceChildren(...(active.length ? active.map(anomaly) : [make("li", "", "None at present.")]));
  byId("ended-title").hidden = !ended.length;
  byId("ended").replaceChildren(...ended.map(anomaly));
}

function anomaly(one) {
  const since = one.since_us ?? one.at_us;
  const found = one.at_us > since ? ` · found ${day(one.at_us) === day(since) ? clock(one.at_us) : instant(one.at_us)}` : "";
  return make("li", "", one.sentence, make("span", "small", `${one.kind} of ${one.series} · ${one.active === false ? "began" : "since"} ${instant(since)}${found}`));
}

function showMeters(status) {
  byId("meters").replaceChildren(...(status.bus ?? []).map((one) => meter(one, status.now_us)));
}

function meter(one, now_us) {
  const silent = isNumber(one.silent_since_us);
  const state = make("td", silent ? "trouble" : "", silent ? `silent for ${span(now_us - one.silent_since_us)}` : "answers");
  if (silent) state.append(make("span", "small", `since ${instant(one.silent_since_us)}`));
  if (one.last_error) state.append(make("span", "small", `${silent ? "" : "last error: "}${one.last_error}`));
  const failed = make("td", "", whole(one.errors ?? 0));
  if (one.errors) failed.append(make("span", "small", share(one.errors, one.errors + one.reads)));
  return row([one.meter, make("span", "small", [one.role, one.profile?.replaceAll("_", " ")].filter(Boolean).join(", "))], state, whole(one.reads ?? 0), failed);
}

function share(part, all) {
  const percent = (100 * part) / all;
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

function showQueue(status) {
  const queue = status.queue ?? {};
  const upload = status.upload;
  say("queue", waiting(queue, upload, status.now_us));
  sayOrHide("upload-trouble", uploadState(upload));
  facts("queue-facts", [
    ["Leaves the site", upload ? SHARES[upload.share] : "nothing"],
    ["Sent today", upload && isNumber(upload.bytes_today) ? bytes(upload.bytes_today) : null],
    ["Last upload", upload ? (isNumber(upload.last_success_us) ? instant(upload.last_success_us) : "none since the start") : null],
    ["Next upload", upload && isNumber(upload.next_attempt_us) ? instant(upload.next_attempt_us) : null],
    ["Safe in the cloud", queue.acknowledged ? `up to record ${whole(queue.acknowledged)}` : "nothing yet"],
    ["On this card", isNumber(queue.file_bytes) && queue.file_bytes ? bytes(queue.file_bytes) : null],
    ["Put aside", queue.quarantined ? `${count(queue.quarantined, "record")} that the cloud refused` : null],
    ["Dropped", queue.dropped_records ? `${count(queue.dropped_records, "record")} for want of room` : null],
    ["Lost", queue.ring_lost ? `${count(queue.ring_lost, "record")}: the card was away too long` : null],
    ["Error", upload?.last_error],
  ]);
  const away = CARDS[queue.card];
  sayOrHide("card", away ? `${away}: ${count(queue.ring_records ?? 0, "record")} in memory, written as soon as it takes them. A power cut takes them.` : "");
  sayOrHide("loss", !away && isNumber(status.loss_window_s) ? `A power cut can take at most the last ${span(status.loss_window_s * 1e6)}; all before is on disk.` : "");
}

function waiting(queue, upload, now_us) {
  if (!queue.records) return upload ? "Everything is in the cloud." : "Nothing is kept yet.";
  const age = isNumber(queue.oldest_us) ? `, the oldest for ${span(now_us - queue.oldest_us)}` : "";
  const wait = `${count(queue.records, "record")} ${queue.records === 1 ? "waits" : "wait"} on the gateway${age}.`;
  return upload ? `${wait} They are kept until the cloud has them.` : `${wait} No cloud is configured, so they stay here.`;
}

function uploadState(upload) {
  if (!upload) return "";
  if (upload.is_revoked) return "The cloud does not take anything from this gateway any more. Everything is kept here; enrol it anew with a claim code.";
  if (upload.is_enrolled === false) return "This gateway is not enrolled: everything is kept here until `smartwatts-gateway enroll` is done with a claim code.";
  return upload.last_error ? `The last upload failed: ${uploadTrouble(upload.last_error)}. Nothing is lost; it is tried again.` : "";
}

const uploadTrouble = (error) => UPLOAD_TROUBLES.find(([pattern]) => pattern.test(error))?.[1] ?? error;

function showModel(status) {
  const model = status.model ?? {};
  say("model", RUNGS[model.rung] ?? "No forecast yet: the gateway gets to know the site first.");
  const standings = status.standings ?? [];
  byId("standings").replaceChildren(...standings.map((one) => make("li", "", one.sentence)));
  facts("model-facts", [
    ["Release", model.release ?? "no model"],
    ["Origin", ORIGINS[model.origin] ?? model.origin],
    ["Digest", model.bundle ? `${String(model.bundle).slice(0, 12)}…` : null],
    ["Last event", model.last_report ? [model.last_report, model.last_report_us && instant(model.last_report_us)].filter(Boolean).join(" · ") : null],
  ]);
}

function showFooter(status) {
  const tick = status.tick ?? {};
  const parts = [status.software, `sweep ${whole(tick.count)}`, isNumber(tick.late_ms_max) ? `late by ${Math.round(tick.late_ms_max)} ms at most` : null];
  if (status.time_zone) parts.push(`times of ${status.time_zone}`);
  if (status.clock_is_trusted === false) parts.push("the time of day is not known to be right: what is recorded now is stamped anew later");
  if (isNumber(status.rate) && status.rate !== 1) parts.push(`simulated time, ${whole(Math.round(status.rate))} times as fast`);
  say("footer", parts.filter(Boolean).join(" · "));
}

// --- asking --------------------------------------------------------------------------------------

function show(status) {
  if (status.time_zone !== last?.time_zone) keepTimeOf(status.time_zone);
  last = status;
  heardAt = new Date();
  byId("lost").hidden = true;
  for (const part of [showNow, showChart, showOutlook, showAnomalies, showMeters, showQueue, showModel, showFooter]) part(status);
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
addEventListener("resize", () => last && [showChart, showOutlook].forEach((part) => part(last)));
byId("table").addEventListener("toggle", () => last && showChart(last));
poll();
