"use strict";

const PURPOSE = { "Doorstep-Purpose": "audit" };
const PAGE = "50";
const seen = { newest: null, witnessed: null, promises: null, conduct: null, entries: null };
let language = localStorage.getItem("language") === "en" ? 1 : 0;
let noticed = null;

const byId = (id) => document.getElementById(id);
const text = (name) => texts[name][language];
const word = (table, code) => (code === null || code === undefined || code === "" ? "" : (table[code] || [code, code])[language]);
const locale = () => (language ? "en-GB" : "zh-CN");
const moment = (at, seconds = true) => (at ? new Intl.DateTimeFormat(locale(), { timeZone: "Asia/Shanghai", year: "numeric", month: "2-digit",
  day: "2-digit", hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), hourCycle: "h23" }).format(new Date(at)) : "–");
const count = (number) => new Intl.NumberFormat(locale()).format(number);

function ago(at) {
  const seconds = Math.min(0, Math.round((new Date(at) - Date.now()) / 1000));
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => -seconds >= size) || [1, "second"];
  return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

function element(name, content, className) {
  const made = document.createElement(name);
  if (content !== undefined && content !== null) made.textContent = content;
  if (className) made.className = className;
  return made;
}

function state(words, kind) {
  return element("p", words, `state ${kind}`);
}

function table(heads, rows) {
  const made = element("table", null, "stack");
  const head = element("tr");
  head.append(...heads.map((one) => { const cell = element("th", one); cell.scope = "col"; return cell; }));
  const top = element("thead");
  top.append(head);
  const body = element("tbody");
  body.append(...rows.map((cells) => {
    const line = element("tr");
    line.append(...cells.map((one, at) => {
      const cell = element("td");
      cell.dataset.label = heads[at];
      cell.append(one instanceof Node ? one : element("span", one));
      return cell;
    }));
    return line;
  }));
  made.append(top, body);
  const scroll = element("div", null, "scroll");
  scroll.append(made);
  return scroll;
}

async function ask(path, headers = {}) {
  try {
    const answer = await fetch(`/api/log/${path}`, { headers: { "Accept-Language": language ? "en" : "zh", ...headers } });
    const json = (answer.headers.get("content-type") || "").includes("json");
    return { status: answer.status, signed: answer.headers.get("last-modified"), body: json ? await answer.json() : await answer.text() };
  } catch {
    return { status: 0, body: null };
  }
}

function failed(answer) {
  if (answer === null) return state(text("loading"), "loading");
  if (answer.status === 200) return null;
  if (answer.status === 0) return state(text("lost"), "bad");
  if (answer.status === 401) return state(text("signInFirst"), "");
  if (answer.status === 403) return state(text("notShown"), "");
  return state((answer.body && answer.body.detail) || text("away"), "bad");
}

function parsed(note) {
  const [origin, size, root, , ...lines] = note.split("\n");
  const cosignatures = lines.filter((line) => line.startsWith("— ")).map((line) => {
    const [, name, value] = line.split(" ");
    const bytes = Uint8Array.from(atob(value), (sign) => sign.charCodeAt(0));
    return { name, at: bytes.length > 68 ? Number(new DataView(bytes.buffer).getBigUint64(4)) * 1000 : null };
  }).filter((one) => one.at !== null);
  return { origin, size: Number(size), root, cosignatures };
}

function drawCheckpoint(id, absent) {
  const answer = seen[id], place = byId(id);
  if (answer !== null && absent[answer.status]) { place.replaceChildren(state(text(absent[answer.status]), "ask")); return; }
  const problem = failed(answer);
  if (problem) { place.replaceChildren(problem); return; }
  const { size, root, cosignatures } = parsed(answer.body);
  const number = element("div", count(size), "number");
  number.append(element("small", text("entries")));
  const parts = [number];
  const at = cosignatures.length ? Math.max(...cosignatures.map((one) => one.at)) : null;
  if (id === "newest" && answer.signed) parts.push(state(`${text("signed")} ${ago(answer.signed)} · ${moment(answer.signed)}`, "well"));
  if (id === "witnessed" && at) parts.push(state(`${text("cosigned")} ${ago(at)} · ${text("by")} ${cosignatures.map((one) => one.name).join(language ? ", " : "、")}`, "well"));
  parts.push(element("div", `${text("root")} ${root}`, "root"));
  place.replaceChildren(...parts);
}

function drawPromises() {
  const answer = seen.promises, problem = failed(answer), place = byId("promises");
  if (problem) { place.replaceChildren(problem); return; }
  const open = answer.body.gaps.filter((gap) => gap.closed_at === null);
  const parts = [open.length ? state(`${count(open.length)} ${text("gapsOpen")}`, "bad") : state(text("noGaps"), "well")];
  if (open.length) {
    parts.push(table([text("service"), text("kind"), text("since"), text("held"), text("noticed")], open.map((gap) => [
      word(services, gap.service), word(others, gap.kind), moment(gap.begins, false), gap.promised === null ? "–" : `${gap.stored || 0} / ${gap.promised}`, ago(gap.opened_at)])));
  }
  parts.push(table([text("service"), text("manifest"), text("until"), text("waiting"), text("gaps")], answer.body.services.map((one) => [
    word(services, one.service), one.last_number === null ? "–" : `№ ${one.last_number}`, moment(one.promised_until, false), count(one.waiting), count(one.gaps)])));
  place.replaceChildren(...parts);
}

function entryName(entry) {
  return entry.index === null ? text("waits") : text("place").replace("{}", entry.index);
}

function span(first, last) {
  const [from, to] = [moment(first), moment(last)];
  const day = from.length - 8;
  return from === to ? from : `${from} – ${from.slice(0, day) === to.slice(0, day) ? to.slice(day) : to}`;
}

function drawFinding(finding) {
  const made = element("details"), line = element("summary");
  const who = [word(roles, finding.role), word(agencies, finding.agency), finding.station].filter(Boolean).join(" · ");
  const many = `${count(finding.count)} ${text("entries")}${finding.reached === null ? "" : ` · ${text("upTo")} ${count(finding.reached)}`}`;
  line.append(element("time", span(finding.first, finding.last)), element("span", who),
    element("span", finding.actor, "code"), element("span", many, "many"));
  const cited = element("ul", null, "cited");
  cited.append(...finding.entries.map((entry) => {
    const item = element("li", `${entryName(entry)} `);
    item.append(element("span", entry.entry_id, "code"));
    return item;
  }));
  made.append(line, cited);
  return made;
}

function drawConduct() {
  const answer = seen.conduct, problem = failed(answer), place = byId("conduct");
  if (problem) { place.replaceChildren(problem); return; }
  const { rules, pack, until } = answer.body;
  const words = (one) => (language ? one.en : one.zh);
  const total = rules.reduce((sum, rule) => sum + rule.findings.length, 0);
  const parts = [total ? state(`${count(total)} ${text("findings")}`, "ask") : state(text("nothingFound"), "well")];
  for (const rule of rules.filter((one) => one.findings.length)) {
    const made = element("div", null, "rule");
    made.append(element("h3", words(rule.title)), element("p", words(rule.looks_at)), ...rule.findings.map(drawFinding));
    parts.push(made);
  }
  const quiet = rules.filter((one) => !one.findings.length);
  const rest = element("details", null, "quiet-rules"), list = element("ul");
  rest.append(element("summary", `${text("quietRules")} · ${count(quiet.length)}`), list);
  list.append(...quiet.map((rule) => { const item = element("li", words(rule.looks_at)); item.prepend(element("strong", `${words(rule.title)} `)); return item; }));
  if (quiet.length) parts.push(rest);
  const again = element("button", text("again"), "more-button");
  again.type = "button";
  again.addEventListener("click", look);
  parts.push(element("p", `${text("rulesName")} ${pack.slice(0, pack.indexOf("@") + 13)} · ${text("lookedAt")} ${moment(until)}`, "root"), again);
  place.replaceChildren(...parts);
}

function entryLine(entry) {
  const refused = entry.outcome.startsWith("refused:");
  const outcome = refused ? `${text("refusedTry")} · ${entry.outcome.slice(8)}` : word(others, entry.outcome);
  const who = entry.actor ? [word(roles, entry.role), word(agencies, entry.agency), entry.station].filter(Boolean).join(" · ") : `${text("hidden")} ${word(services, entry.service)}`;
  const actor = element("span", who);
  if (entry.actor) actor.append(element("br"), element("span", entry.actor, "code"));
  const named = element("span", entryName(entry));
  named.append(element("br"), element("span", entry.entry_id, "code"));
  return [moment(entry.at), word(actions, entry.action), actor, element("span", outcome, refused ? "state rejected" : ""), word(purposes, entry.purpose), named];
}

function drawEntries() {
  const found = seen.entries, place = byId("entries");
  if (found === null) { place.replaceChildren(); return; }
  const { answer, rows } = found;
  const parts = [];
  if (rows.length) parts.push(table([text("at"), text("action"), text("actor"), text("outcome"), text("purpose"), text("index")], rows.map(entryLine)));
  if (answer !== null && answer.status === 422) parts.push(state(text("wrong") + faults(answer.body), "bad"));
  else {
    const problem = failed(answer);
    const through = problem === null && answer.body.gone_through !== undefined ? ` · ${text("goneThrough")} ${count(answer.body.gone_through)}` : "";
    parts.push(problem || state((rows.length ? `${count(rows.length)} ${text("someEntries")}` : text("noEntries")) + through, rows.length ? "well" : ""));
    if (problem === null && answer.body.cursor) {
      const more = element("button", text("more"), "more-button");
      more.type = "button";
      more.addEventListener("click", () => search(answer.body.cursor));
      parts.push(more);
    }
  }
  place.replaceChildren(...parts);
}

function faults(problem) {
  const named = (problem.errors || []).map((one) => `${one.pointer.split("/").pop()} ${one.detail}`);
  return named.length ? named.join(language ? "; " : "；") : problem.detail;
}

function notice() {
  const place = byId("notice");
  place.hidden = !noticed;
  place.replaceChildren();
  if (!noticed) return;
  place.append(text(noticed));
  if (signedIn.offered()) place.append(" ", signedIn.link(language));
}

function drawChoices() {
  for (const list of document.querySelectorAll("select[data-choices]")) {
    const chosen = list.value;
    const option = (value, label) => { const made = element("option", label); made.value = value; return made; };
    list.replaceChildren(option("", text("all")), ...Object.entries(choices[list.dataset.choices]).map(([code, words]) => option(code, words[language])));
    list.value = chosen;
  }
}

function draw() {
  document.documentElement.lang = language ? "en" : "zh-CN";
  byId("language").textContent = language ? "中文" : "English";
  byId("language").lang = language ? "zh-CN" : "en";
  for (const labelled of document.querySelectorAll("[data-zh]")) labelled.textContent = labelled.dataset[language ? "en" : "zh"];
  notice();
  signedIn.draw(language);
  drawChoices();
  drawCheckpoint("newest", { 503: "notBegun" });
  drawCheckpoint("witnessed", { 404: "notWitnessed" });
  drawPromises();
  drawConduct();
  drawEntries();
}

function told(answer) {
  if (answer.status === 401) noticed = "signIn";
  if (answer.status === 403) noticed = "refused";
  if (answer.status === 200) noticed = null;
  return answer;
}

async function watch() {
  [seen.newest, seen.witnessed] = await Promise.all([ask("checkpoint"), ask("witnessed-checkpoint")]);
  drawCheckpoint("newest", { 503: "notBegun" });
  drawCheckpoint("witnessed", { 404: "notWitnessed" });
  setTimeout(watch, 15000);
}

async function look() {
  seen.promises = seen.conduct = null;
  drawPromises();
  drawConduct();
  await signedIn.look();
  signedIn.draw(language);
  seen.promises = told(await ask("manifests?limit=1000"));
  if (seen.promises.status === 401) { seen.conduct = seen.promises; draw(); return; }
  drawPromises();
  seen.conduct = told(await ask("conduct", PURPOSE));
  notice();
  drawConduct();
}

async function search(cursor) {
  const query = new URLSearchParams({ limit: PAGE });
  for (const [name, value] of new FormData(byId("search"))) {
    const given = value.trim();
    if (given) query.set(name, name === "since" || name === "until" ? `${given}+08:00` : given);
  }
  if (cursor) query.set("cursor", cursor);
  seen.entries = { answer: null, rows: cursor ? seen.entries.rows : [] };
  drawEntries();
  const answer = told(await ask(`entries?${query}`, PURPOSE));
  seen.entries = { answer, rows: seen.entries.rows.concat(answer.status === 200 ? answer.body.entries : []) };
  notice();
  drawEntries();
}

byId("search").addEventListener("submit", (event) => { event.preventDefault(); search(null); });
byId("language").addEventListener("click", () => {
  language = 1 - language;
  localStorage.setItem("language", language ? "en" : "zh");
  draw();
});
draw();
watch();
look();
