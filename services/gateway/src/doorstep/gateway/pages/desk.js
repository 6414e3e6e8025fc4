"use strict";

const PAGES_AT_ONCE = 20;
const FILTERS = {
  all: () => true, late: (row) => isLate(row), soon: (row) => row.late === "officer", ours: (row) => !row.department || row.state === "rejected",
  resident: (row) => row.next === "wait-for-resident",
};
const withdrawn = new Set(["draft", "requested", "accepted", "in-progress", "on-hold"]);
const { element } = asking;

let language = localStorage.getItem("language") === "en" ? 1 : 0;
let reader = null, rows = [], next = null, looks = [], climbed = [], disputed = [], nextDisputed = null, readAt = null, pressed = "all";
let shown = new Map();

const byId = (id) => document.getElementById(id);
const word = (code) => (words[code] || [code, code])[language];
const named = (department) => (department ? (departments[department] || [department, department])[language] : texts.stationHasIt[language]);
const needed = (code) => (Object.values(needs).find((one) => one[code]) || { [code]: [code, code] })[code][language];
const text = (name, ...filled) => filled.reduce((sentence, one) => sentence.replace("{}", one), texts[name][language]);
const waitsForArbiter = (row) => row.for_arbiter && (row.state !== "requested" || new Date(row.until) < new Date());
const isLate = (row) => row.late === "head-of-office" || row.late === "supervisor";
const short = (id) => id.slice(0, 8);
const date = (at, style) => new Intl.DateTimeFormat(language ? "en-GB" : "zh-CN", { timeZone: "Asia/Shanghai", hourCycle: "h23", ...style }).format(new Date(at));
const day = (at) => date(at, { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
const span = (one) => `${day(one.starts_at)} – ${date(one.ends_at, { hour: "2-digit", minute: "2-digit" })}`;

function button(name, act, className) {
  const made = element("button", text(name), className);
  made.type = "button";
  made.addEventListener("click", () => act(made));
  return made;
}

function send(method, path, { body, version, reason } = {}) {
  const headers = { "Accept-Language": language ? "en" : "zh", "Doorstep-Purpose": "follow-up" };
  if (reason) headers["Doorstep-Case"] = reason;
  if (version) headers["If-Match"] = `"${version}"`;
  if (body) headers["Content-Type"] = "application/json";
  if (method !== "GET" && signedIn.token()) headers["Doorstep-Request-Token"] = signedIn.token();
  return fetch(`/api/requests${path}`, { method, headers, body: body && JSON.stringify(body) }).catch(() => null);
}

async function ask(path, reason) {
  const answer = await send("GET", path, { reason });
  const found = answer && await answer.json().catch(() => null);
  if (answer && answer.ok) return found;
  const signedOut = Boolean(answer) && answer.status === 401;
  notice(signedOut ? text("signIn") : (found && asking.problem(found)) || text("lost"), signedOut);
  return null;
}

function notice(sentence, link) {
  const place = byId("notice");
  place.hidden = !sentence;
  place.replaceChildren(sentence || "");
  if (link && signedIn.offered()) place.append(" ", signedIn.link(language));
}

function before(title, says, more) {
  asking.before({ language, title, says, again: load, done: async () => load(), ...more });
}

async function finished(sentence) {
  await load();
  notice([sentence, byId("notice").hidden ? "" : byId("notice").textContent].join(" ").trim());
}

async function readPages(path, after) {
  let found = [], place = after;
  for (let page = 0; page < PAGES_AT_ONCE; page += 1) {
    const one = await ask(`${path}${place ? `?after=${place}` : ""}`);
    if (one === null) return null;
    found = [...found, ...one.requests];
    place = one.next;
    if (!place) break;
  }
  return { found, place };
}

async function load() {
  notice("");
  const owed = await ask("/looks");
  if (owed !== null) looks = owed.looks;
  if (reader.role === "reviewer") {
    const read = await readPages("/open");
    if (read !== null) { rows = read.found; next = read.place; readAt = new Date(); }
    const ids = [...shown.keys()].filter((id) => rows.some((row) => row.request_id === id));
    const anew = await Promise.all(ids.map(async (id) => [id, await details(rows.find((row) => row.request_id === id))]));
    shown = new Map(anew.filter((one) => one[1] !== null));
  } else {
    const late = await ask("/late");
    if (late !== null) { climbed = late.requests; readAt = new Date(); }
    const read = await readPages("/disputed");
    if (read !== null) { disputed = read.found; nextDisputed = read.place; readAt = new Date(); }
  }
  draw();
}

async function details(row) {
  const found = await ask(`?record_id=${row.record_id}`, row.record_id);
  const one = found && found.requests.find((request) => request.request_id === row.request_id);
  if (!one) { if (found) notice(text("gone")); return null; }
  if (one.parts === 1) return { request: one, conferences: [] };
  const held = await ask(`/${row.request_id}/conferences`, row.request_id);
  return held && { request: one, conferences: held.conferences };
}

async function toggle(row) {
  if (shown.delete(row.request_id)) { draw(); return; }
  const found = await details(row);
  if (found === null) return;
  shown.set(row.request_id, found);
  draw();
}

const live = (request) => [...new Map(request.tasks.map((one) => [one.part, one])).values()];

function length(milliseconds) {
  const minutes = Math.max(1, Math.round(Math.abs(milliseconds) / 60000)), hours = Math.round(minutes / 60);
  if (hours >= 48) return text("days", Math.round(hours / 24));
  return minutes >= 120 ? text("hours", hours) : text("minutes", minutes);
}

function labelled(cells, heads) {
  cells.forEach((cell, at) => { cell.dataset.label = heads[at] || ""; });
  return cells;
}

function drawRow(row) {
  const line = element("tr"), request = element("td"), has = element("td"), step = element("td", undefined, "next");
  const until = element("td", undefined, `due${isLate(row) ? " overdue" : row.late === "officer" ? " soon" : ""}`), acts = element("td", undefined, "acts");
  const name = element("span"), holder = element("span"), waits = element("span"), by = element("span");
  name.append(element("span", short(row.request_id), "code"));
  if (row.confidential) name.append(" ", element("strong", text("confidential"), "state"));
  if (row.parts > 1) name.append(element("span", text("part", row.part, row.parts), "part"));
  holder.append(named(row.state === "rejected" ? null : row.department));
  if (row.office) holder.append(element("span", row.office, "quiet"));
  waits.append(waitsForArbiter(row) ? text("arbiterAssigns") : word(row.next));
  if (row.missing_papers.length) waits.append(element("span", `${text("papers")}: ${row.missing_papers.map((one) => (paperWords[one] || [one, one])[language]).join(language ? ", " : "、")}`, "quiet"));
  if (row.promised_until) waits.append(element("span", text("promisedUntil", row.promised_until), "quiet"));
  if (row.reminded_on) waits.append(element("span", text("reminded", row.reminded_on), "quiet"));
  const left = new Date(row.until) - readAt;
  by.append(day(row.until), element("span", row.paused_until ? text("pausedUntil", day(row.paused_until)) : text(left < 0 ? "overdueBy" : "left", length(left)), row.paused_until ? "quiet" : "part"));
  request.append(name); has.append(holder); step.append(waits); until.append(by);
  drawActs(row, acts);
  line.append(...labelled([request, has, element("td", day(row.since)), step, until, acts], [...document.querySelectorAll("#open-part thead th")].map((one) => one.textContent)));
  return line;
}

function drawActs(row, acts) {
  const first = rows.find((one) => one.request_id === row.request_id) === row;
  if (first) {
    const opens = button(shown.has(row.request_id) ? "close" : "open", () => toggle(row));
    opens.setAttribute("aria-expanded", String(shown.has(row.request_id)));
    acts.append(opens);
  }
  if (row.department && withdrawn.has(row.state)) acts.append(button("remind", () => remind(row)));
  if (!row.for_arbiter && (row.next === "route" || row.next === "hand-on")) acts.append(button("handOn", () => handOn(row)));
  if (!row.for_arbiter && row.state === "requested" && new Date(row.until) < new Date()) acts.append(button("reroute", () => handOn(row)));
  if (first && rows.some((one) => one.request_id === row.request_id && withdrawn.has(one.state))) acts.append(button("withdraw", () => withdraw(row)));
}

function drawDetails(id) {
  const { request, conferences: held } = shown.get(id), line = element("tr", undefined, "details"), cell = element("td", undefined, "inner");
  const table = element("table", undefined, "stack"), body = element("tbody"), head = element("tr"), acts = element("p");
  const heads = [text("need"), text("department"), text("state"), text("respondBy"), text("completeBy")];
  cell.colSpan = 6;
  head.append(...heads.map((one) => element("th", one)));
  for (const one of live(request)) {
    const part = element("tr"), standing = element("td");
    standing.append(element("span", word(one.state), `state ${one.state}`));
    const has = [named(one.department), request.parts > 1 && one.part === 1 ? `(${text("leads")})` : ""].filter(Boolean).join(" ");
    part.append(...labelled([element("td", needed(one.need_type)), element("td", has), standing, element("td", day(one.respond_by)), element("td", day(one.complete_by))], heads));
    body.append(part);
  }
  const top = element("thead");
  top.append(head);
  table.append(top, body);
  acts.append(button("addPart", () => addPart(request)));
  if (request.parts > 1) acts.append(" ", button("confer", () => confer(request)));
  cell.append(element("h3", text("parts")), table, acts);
  if (request.parts > 1) cell.append(conferences.draw(language, held, {
    window: span, day, names: named, station: true, again: load, done: finished,
    send: (conference, body) => send("POST", `/${id}/conferences/${conference}/minutes`, { body }),
  }));
  cell.append(element("p", `${text("number")}: ${id}`, "number"));
  line.append(cell);
  return line;
}

function drawCalls() {
  const calling = rows.filter((row) => row.calls && !row.calls.acknowledged_at);
  byId("calls").replaceChildren(...[...new Map(calling.map((row) => [row.request_id, row])).values()].map((row) => {
    const line = element("li", undefined, "call");
    line.append(element("span", short(row.request_id), "code"), element("strong", named(row.department)), element("span", text("answerBy", day(row.until)), isLate(row) ? "state failed" : ""),
      element("span", text("calls", row.calls.attempts), "quiet"), button("know", () => know(row.request_id), "main"));
    return line;
  }));
  byId("no-calls").hidden = reader.role !== "reviewer" || (calling.length > 0 && !next);
  byId("no-calls").textContent = next ? text("moreCalls") : byId("no-calls").dataset[language ? "en" : "zh"];
}

function drawWaiting() {
  byId("looks").replaceChildren(...looks.map((look) => {
    const line = element("li"), due = element("span", text("due", day(look.due_by)), look.overdue ? "state failed" : "");
    line.append(element("span", short(look.request_id), "code"), element("span", text("askedAt", day(look.asked_at)), "quiet"), due);
    if (look.overdue) line.append(element("strong", text("overdue"), "state failed"));
    line.append(button("answer", () => answerLook(look)));
    return line;
  }));
  byId("no-looks").hidden = looks.length > 0;
  byId("late").replaceChildren(...climbed.map((one) => {
    const line = element("li");
    line.append(element("span", one.request_id, "code"), element("strong", named(one.department)), element("span", word(one.deadline)), element("span", text("due", day(one.due_by)), "state failed"));
    return line;
  }));
  byId("no-late").hidden = climbed.length > 0;
}

function drawOpen() {
  byId("counts").replaceChildren(...Object.keys(FILTERS).map((name) => {
    const made = button(name, () => { pressed = name; draw(); }, name);
    made.setAttribute("aria-pressed", String(pressed === name));
    made.append(element("strong", `${rows.filter(FILTERS[name]).length}${next ? "+" : ""}`));
    return made;
  }));
  const found = rows.filter(FILTERS[pressed]);
  byId("requests").replaceChildren(...found.flatMap((row, at) => {
    const last = !found[at + 1] || found[at + 1].request_id !== row.request_id;
    return last && shown.has(row.request_id) ? [drawRow(row), drawDetails(row.request_id)] : [drawRow(row)];
  }));
  byId("empty").hidden = found.length > 0;
  byId("more").hidden = !next;
}

function draw() {
  document.documentElement.lang = language ? "en" : "zh-CN";
  byId("language").textContent = language ? "中文" : "English";
  byId("language").lang = language ? "zh-CN" : "en";
  for (const one of document.querySelectorAll("[data-zh]")) one.textContent = one.dataset[language ? "en" : "zh"];
  signedIn.draw(language);
  if (readAt === null) return;
  byId("main").hidden = false;
  byId("open-part").hidden = reader.role !== "reviewer";
  byId("late-part").hidden = reader.role !== "supervisor";
  byId("arbiter-part").hidden = reader.role !== "supervisor";
  byId("read").textContent = `${text("read")} ${date(readAt, { hour: "2-digit", minute: "2-digit" })}`;
  drawCalls();
  drawWaiting();
  drawDisputed();
  if (reader.role === "reviewer") drawOpen();
}

function drawDisputed() {
  byId("disputed").replaceChildren(...disputed.map((one) => {
    const line = element("li"), rejections = element("span");
    line.append(element("span", short(one.request_id), "code"));
    if (one.parts > 1) line.append(element("span", text("part", one.part, one.parts), "quiet"));
    line.append(one.need_type ? element("strong", needed(one.need_type)) : element("strong", text("needNotTold"), "state"));
    for (const said of one.rejections) rejections.append(element("span", text("rejectedIt", named(said.department), said.reason ? word(said.reason) : "", day(said.at)), "part"));
    line.append(rejections, element("span", text(one.department ? "silentSince" : "waitsSince", day(one.since), named(one.department)), "quiet"));
    line.append(button("assign", () => assign(one), "main"));
    return line;
  }));
  byId("no-disputed").hidden = disputed.length > 0;
  byId("more-disputed").hidden = !nextDisputed;
}

async function begin() {
  await signedIn.look();
  draw();
  reader = signedIn.reader();
  if (reader === null) { notice(text("signIn"), true); return; }
  if (!["reviewer", "supervisor"].includes(reader.role)) { notice(text("refused"), true); return; }
  await load();
}

byId("language").addEventListener("click", () => {
  language = 1 - language;
  localStorage.setItem("language", language ? "en" : "zh");
  if (readAt !== null) notice("");
  draw();
});
byId("again").addEventListener("click", () => load());
byId("more").addEventListener("click", async () => {
  const read = await readPages("/open", next);
  if (read !== null) { rows = [...rows, ...read.found]; next = read.place; }
  draw();
});
byId("more-disputed").addEventListener("click", async () => {
  const read = await readPages("/disputed", nextDisputed);
  if (read !== null) { disputed = [...disputed, ...read.found]; nextDisputed = read.place; }
  draw();
});
byId("known").addEventListener("submit", (event) => {
  event.preventDefault();
  know(byId("called").value.trim());
  event.target.reset();
});
begin();
