// The energy of the next thirty days: a bar for each, with the band it lies in 8 of 10 times, and as text.

import { draw, levelsOf } from "./drawing.js";
import { byId, day, energyText, isNumber, say } from "./words.js";

const SIZE = { height: 150, left: 62, right: 10, top: 8, bottom: 24 };
const BOTTOM = SIZE.height - SIZE.bottom;
const NOON_US = 12 * 3600e6; // the middle of a day is that day in every zone

export function showOutlook(status) {
  const days = status.outlook?.days ?? [];
  const box = byId("outlook");
  byId("outlook-section").hidden = !days.length;
  if (!days.length) return box.replaceChildren();
  box.replaceChildren(picture(days, Math.max(box.clientWidth, 200)));
  say("outlook-text", summary(days));
}

function picture(days, width) {
  const levels = levelsOf(0, Math.max(1000, ...days.map((bar) => bar.p90_wh)));
  const svg = draw(null, "svg", { viewBox: `0 0 ${width} ${SIZE.height}` });
  const y = (wattHours) => (BOTTOM - (wattHours / levels.at(-1)) * (BOTTOM - SIZE.top)).toFixed(1);
  for (const level of levels) {
    draw(svg, "line", { class: level ? "rule" : "zero", x1: SIZE.left, x2: width - SIZE.right, y1: y(level), y2: y(level) });
    draw(svg, "text", { x: SIZE.left - 6, y: Number(y(level)) + 4, "text-anchor": "end" }, `${+(level / 1000).toFixed(1)} kWh`);
  }
  const pitch = (width - SIZE.left - SIZE.right) / days.length;
  days.forEach((bar, i) => {
    const x = SIZE.left + i * pitch;
    const middle = (x + pitch / 2).toFixed(1);
    draw(svg, "rect", { class: "bar", x: (x + pitch * 0.15).toFixed(1), width: (pitch * 0.7).toFixed(1), y: y(bar.p50_wh), height: (BOTTOM - y(bar.p50_wh)).toFixed(1) });
    draw(svg, "line", { class: "whisker", x1: middle, x2: middle, y1: y(bar.p10_wh), y2: y(bar.p90_wh) });
    if (i % 7 === 0) draw(svg, "text", { x: middle, y: BOTTOM + 17, "text-anchor": "middle" }, dayOf(bar).replace(/^\w+,? /, ""));
  });
  return svg;
}

const dayOf = (bar) => day(bar.start_us + NOON_US);

function summary(days) {
  const of = (name) => days.reduce((sum, bar) => sum + (isNumber(bar[name]) ? bar[name] : 0), 0);
  const most = days.reduce((a, b) => (b.p50_wh > a.p50_wh ? b : a));
  return `About ${energyText(of("p50_wh"))} from ${dayOf(days[0])} to ${dayOf(days.at(-1))}; the most on ${dayOf(most)}: ${energyText(most.p50_wh)}, 8 of 10 times between ${energyText(most.p10_wh)} and ${energyText(most.p90_wh)}.`;
}
