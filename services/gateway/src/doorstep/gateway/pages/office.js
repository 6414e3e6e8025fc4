"use strict";

const words = {
  "requested": ["待受理", "requested"], "accepted": ["已受理", "accepted"], "rejected": ["不予受理", "rejected"],
  "in-progress": ["办理中", "in progress"], "on-hold": ["暂停", "on hold"], "completed": ["已办结", "completed"],
  "failed": ["未能办成", "failed"], "cancelled": ["已取消", "cancelled"], "entered-in-error": ["误录", "entered in error"],
  "appointment-scheduled": ["已约定时间", "appointment scheduled"], "attended": ["已到场", "attended"], "not-attended": ["未到场", "not attended"],
  "waiting-for-resident": ["等待居民", "waiting for the resident"], "could-not-reach-resident": ["联系不上居民", "could not reach the resident"],
  "no-capacity": ["暂无能力", "no capacity"], "resident-no-longer-wants": ["居民不再需要", "resident no longer wants it"], "reopened": ["重新提出", "reopened"],
  "mediation": ["调解", "mediation"], "joint-conference": ["联合会商", "joint conference"], "home-visit": ["上门", "home visit"],
  "version-stale": ["已有新版本", "changed meanwhile"], "request-unknown": ["没有这个请求", "no such request"], "handled-by-another": ["已由他人经办", "another officer has it"],
  "transition-not-allowed": ["此状态不能受理", "cannot be accepted in this state"],
  "granted": ["已批准", "granted"], "refused-after-check": ["核查后不予批准", "refused after a check"], "service-provided": ["已提供服务", "service provided"],
  "hazard-removed": ["隐患已排除", "hazard removed"], "advice-given": ["已提供咨询", "advice given"], "agreement-reached": ["达成协议", "agreement reached"],
  "referred-on": ["已转介", "referred on"],
  "approval-letter": ["批准文书", "Letter of approval"], "refusal-letter": ["不予批准文书", "Letter of refusal"], "assessment-report": ["评估报告", "Report of an assessment"],
  "inspection-report": ["检查记录", "Report of an inspection"], "work-report": ["施工或维修单", "Report of work that was done"], "settlement-agreement": ["调解协议书", "Agreement that was reached"],
  "certificate": ["证明", "Certificate"], "receipt": ["回执", "Receipt"],
};
const texts = {
  signIn: ["请先登录。", "Please sign in."], refused: ["此页面供部门经办人使用。", "This page is for officers of a department."],
  lost: ["没有回应，请稍后再试。", "No answer; try again in a moment."], any: ["全部", "all"],
  open: ["全部在办", "All open"], mine: ["我经办", "Mine"], nobody: ["无人经办", "Nobody's"], late: ["已逾期", "Late"], standing: ["我代办", "I stand in"],
  take: ["接手", "Take"], back: ["退回", "Give back"], me: ["我", "me"], end: ["结束", "End"], chosen: ["已选", "chosen"], nobodyAgain: ["无人", "nobody"],
  name: ["姓名", "Name"], phone: ["电话", "Phone"], address: ["住址", "Address"], place: ["地点", "Place"], document_number: ["证件号码", "Document number"],
  safe: ["只能以此方式联系", "To be reached by this alone"], barred: ["不得", "Not to be done"], note: ["备注", "Note"],
  confer: ["查看会商", "See conferences"],
  nobodysOffice: ["未分派", "none"], done: ["已受理", "accepted"], notDone: ["未受理", "not accepted"],
  papers: ["文书", "Documents"], noPapers: ["没有文书。", "There is no document."], attach: ["附上文书", "Attach"], save: ["下载", "Download"], wrong: ["误附", "Attached in error"],
  kind: ["文书类别", "What it is"], file: ["文件（PDF、PNG、JPEG，不超过 5 MiB）", "File (PDF, PNG, JPEG, at most 5 MiB)"], tooLarge: ["文件超过 5 MiB。", "The file is over 5 MiB."],
  complete: ["办结", "Complete"], outcome: ["结果", "Outcome"], template: ["办结用语", "Template"], noTemplate: ["不用", "none"], said: ["办结说明", "What was said"],
  hour: ["一小时内响应", "within the hour"],
};
const OUTCOMES = ["granted", "refused-after-check", "service-provided", "hazard-removed", "advice-given", "agreement-reached", "referred-on"];
const KINDS = ["approval-letter", "refusal-letter", "assessment-report", "inspection-report", "work-report", "settlement-agreement", "certificate", "receipt"];
const WORKING = ["accepted", "in-progress"], ATTACHED = ["accepted", "in-progress", "on-hold", "completed", "failed", "rejected"];
const MOST_BYTES = 5 * 1024 * 1024;
const STATES = ["requested", "accepted", "in-progress", "on-hold", "completed", "rejected", "failed", "cancelled"];
const STATUSES = ["waiting-for-resident", "appointment-scheduled", "could-not-reach-resident", "attended", "not-attended", "no-capacity", "reopened"];
const BUTTONS = [["open", { open: "true" }], ["mine", { handler: "me" }], ["nobody", { handler: "nobody" }], ["late", { late: "true" }], ["standing", { handler: "standing-in" }]];

let language = localStorage.getItem("language") === "en" ? 1 : 0;
let shown = new Map(), held = new Map(), papers = new Map();
let department = "", page = null, rows = [], chosen = new Set(), pressed = "open", deputies = [], said = new Map(), templates = [];

const { element, newId } = asking;
const byId = (id) => document.getElementById(id);
const text = (name) => texts[name][language];
const word = (code) => (words[code] || [code, code])[language];
const day = (at) => new Intl.DateTimeFormat(language ? "en-GB" : "zh-CN",
  { timeZone: "Asia/Shanghai", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));

function button(name, act) {
  const made = element("button", text(name));
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

function send(method, path, body, { reason, version } = {}) {
  const headers = { "Accept-Language": language ? "en" : "zh", "Doorstep-Purpose": "service" };
  const whole = body instanceof Blob;
  if (reason) headers["Doorstep-Case"] = reason;
  if (body) headers["Content-Type"] = whole ? body.type : "application/json";
  if (version) headers["If-Match"] = `"${version}"`;
  if (method !== "GET" && signedIn.token()) headers["Doorstep-Request-Token"] = signedIn.token();
  const sent = { method, headers, body: whole ? body : body && JSON.stringify(body) };
  return fetch(`/api/departments/${department}${path}`, sent).catch(() => null);
}

async function ask(method, path, body, { reason, version, save } = {}) {
  const answer = await send(method, path, body, { reason, version });
  if (answer === null) { notice(text("lost")); return null; }
  const found = save && answer.ok ? await answer.blob() : await answer.json().catch(() => ({}));
  if (!answer.ok) { notice(answer.status === 401 ? text("signIn") : found.detail || text("lost"), answer.status === 401); return null; }
  return found;
}

function notice(sentence, link) {
  const place = byId("notice");
  place.hidden = !sentence;
  place.replaceChildren(sentence || "");
  if (link && signedIn.offered()) place.append(" ", signedIn.link(language));
}

function query(after) {
  const asked = new URLSearchParams(BUTTONS.find((one) => one[0] === pressed)[1]);
  if (byId("state").value) asked.delete("open");
  for (const [name, id] of [["state", "state"], ["business_status", "status"], ["office", "office"]]) if (byId(id).value) asked.set(name, byId(id).value);
  if (byId("before").value) asked.set("due_before", `${byId("before").value}T00:00:00+08:00`);
  if (after) asked.set("after", after);
  return `?${asked}`;
}

async function load(after) {
  const found = await ask("GET", `/inbox${query(after)}`);
  if (found === null) return;
  page = found;
  rows = after ? [...rows, ...found.requests] : found.requests;
  chosen = new Set([...chosen].filter((ref) => rows.some((row) => row.ref === ref)));
  draw();
}

async function loadDeputies() {
  const found = await ask("GET", "/deputies");
  if (found !== null) deputies = found.deputies;
  drawDeputies();
}

async function give(row, handler) {
  if (await ask("POST", `/requests/${row.ref}/handler`, { id: newId(), handler }) !== null) { notice(""); await load(); }
}

async function accept() {
  const requests = rows.filter((row) => chosen.has(row.ref)).slice(0, 50).map((row) => ({ ref: row.ref, version: row.version }));
  const found = await ask("POST", "/acceptances", { id: newId(), requests });
  if (found === null) return;
  said = new Map(found.requests.filter((one) => one.refused).map((one) => [one.ref, one.refused]));
  const bad = said.size;
  notice([`${found.requests.length - bad} ${text("done")}`, bad ? `${bad} ${text("notDone")}` : ""].filter(Boolean).join(" · "));
  chosen = new Set(said.keys());
  await load();
}

async function giveChosen() {
  for (const row of rows.filter((one) => chosen.has(one.ref)))
    if (await ask("POST", `/requests/${row.ref}/handler`, { id: newId(), handler: byId("to").value || null }) === null) break;
  chosen.clear();
  await load();
}

function drawCounts() {
  const open = Object.values(page.counts.states).reduce((sum, one) => sum + one, 0);
  const numbers = { open, mine: page.counts.mine, nobody: page.counts.nobodys, late: page.counts.late };
  byId("counts").replaceChildren(...BUTTONS.filter((one) => one[0] !== "standing" || page.standing_in.length).map(([name]) => {
    const made = button(name, () => { pressed = name; load(); });
    made.className = name;
    made.setAttribute("aria-pressed", String(pressed === name));
    if (numbers[name] !== undefined) made.append(element("strong", String(numbers[name])));
    return made;
  }));
}

function options(id, list) {
  const place = byId(id), before = place.value;
  place.replaceChildren(...[["", text("any")], ...list].map(([value, content]) => {
    const made = element("option", content);
    made.value = value;
    return made;
  }));
  place.value = list.some((one) => one[0] === before) ? before : "";
}

function drawRow(row) {
  const line = element("tr");
  const box = element("input");
  box.type = "checkbox";
  box.checked = chosen.has(row.ref);
  box.setAttribute("aria-label", language ? row.en : row.zh);
  box.addEventListener("change", () => { if (box.checked) chosen.add(row.ref); else chosen.delete(row.ref); drawTogether(); });
  const state = element("td"), need = element("td"), named = element("span"), first = element("td");
  const opens = element("button", language ? row.en : row.zh, "opens");
  opens.type = "button";
  opens.setAttribute("aria-expanded", String(shown.has(row.ref)));
  opens.addEventListener("click", () => open(row));
  named.append(opens);
  need.append(named);
  first.append(box);
  if (row.urgency === "one-hour") named.append(" ", element("strong", text("hour"), "state"));
  const standing = element("span");
  standing.append(element("span", word(row.state), `state ${row.state}`));
  if (row.business_status) standing.append(" ", element("span", word(row.business_status), "more"));
  if (said.has(row.ref)) standing.append(element("span", word(said.get(row.ref)), "answer"));
  state.append(standing);
  const due = element("td", row.due ? day(row.due) : "", `due${row.overdue ? " overdue" : row.late !== "nobody" ? " soon" : ""}`);
  const office = page.offices.find((one) => one.id === row.office);
  const acts = element("td"), unfinished = row.due !== undefined;
  if (unfinished && !row.handler) acts.append(button("take", () => give(row, page.me)));
  if (unfinished && row.handler === page.me) acts.append(button("back", () => give(row, null)));
  const cells = [first, need, state, due, element("td", office ? office.name : text("nobodysOffice")),
    element("td", row.handler === page.me ? text("me") : row.handler || "—"), acts];
  const heads = document.querySelectorAll("thead th");
  cells.forEach((cell, at) => { cell.dataset.label = heads[at].textContent; });
  line.append(...cells);
  return line;
}

async function open(row) {
  if (shown.delete(row.ref)) { held.delete(row.ref); papers.delete(row.ref); }
  else {
    const found = await ask("GET", `/requests/${row.ref}`, null, { reason: row.ref });
    if (found === null) return;
    shown.set(row.ref, found);
  }
  draw();
}

async function confer(ref) {
  const found = await ask("GET", `/requests/${ref}/conferences`, null, { reason: ref });
  if (found !== null) held.set(ref, found.conferences);
  draw();
}

function drawConferences(ref) {
  return conferences.draw(language, held.get(ref), {
    window: (one) => `${day(one.starts_at)} – ${day(one.ends_at).slice(-5)}`, day, names: (code) => signedIn.agency(code, language), again: () => confer(ref),
    send: (conference, body) => send("POST", `/requests/${ref}/conferences/${conference}/minutes`, body),
    done: async (sentence) => { notice(sentence); await confer(ref); },
  });
}

async function loadPapers(ref) {
  const found = await ask("GET", `/requests/${ref}/documents`, null, { reason: ref });
  if (found !== null) papers.set(ref, found.documents);
  draw();
}

async function save(ref, paper) {
  const file = await ask("GET", `/requests/${ref}/documents/${paper.document_id}`, null, { reason: ref, save: true });
  if (file === null) return;
  asking.download(file, `${paper.document_id}.${{ "application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg" }[paper.media_type]}`);
}

function labelled(name, field) {
  const made = element("label");
  made.append(element("span", text(name)), field);
  return made;
}

function select(codes, first) {
  const made = element("select");
  for (const [value, content] of [...(first ? [["", first]] : []), ...codes]) {
    const option = element("option", content);
    option.value = value;
    made.append(option);
  }
  return made;
}

function attaching(ref) {
  const made = element("form", undefined, "attach"), file = element("input"), send = element("button", text("attach"));
  const kind = select(KINDS.map((one) => [one, word(one)]));
  file.type = "file";
  file.accept = "application/pdf,image/png,image/jpeg";
  file.required = true;
  let id = newId();  // the same for the same file: what got no answer may have arrived
  file.addEventListener("change", () => { id = newId(); });
  kind.addEventListener("change", () => { id = newId(); });
  made.append(labelled("kind", kind), labelled("file", file), send);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    const one = file.files[0];
    if (one.size > MOST_BYTES) { notice(text("tooLarge")); return; }
    send.disabled = true;
    const done = await ask("PUT", `/requests/${ref}/documents/${id}?kind=${kind.value}`, one);
    send.disabled = false;
    if (done !== null) { notice(""); await loadPapers(ref); }
  });
  return made;
}

function documents(ref, state) {
  const place = element("div", undefined, "papers"), listed = papers.get(ref);
  if (listed === undefined) { place.append(button("papers", () => loadPapers(ref))); return place; }
  place.append(element("h3", text("papers")));
  if (!listed.length) place.append(element("p", text("noPapers"), "quiet"));
  const list = element("ul");
  for (const one of listed) {
    const line = element("li");
    line.append(element("span", language ? one.en : one.zh), element("span", `${day(one.attached_at)} · ${Math.ceil(one.bytes / 1024)} KiB`, "quiet"),
      button("save", () => save(ref, one)),
      button("wrong", async () => {
        if (await ask("POST", `/requests/${ref}/documents/${one.document_id}/entered-in-error`, { id: newId() }) !== null) await loadPapers(ref);
      }));
    list.append(line);
  }
  place.append(list);
  if (ATTACHED.includes(state)) place.append(attaching(ref));
  return place;
}

function completing(ref, found) {
  const made = element("form", undefined, "complete"), note = element("input"), words = element("p", "", "quiet");
  const own = templates.filter((one) => one.need_type === found.offer.need_type && one.outcome);
  const outcome = select(OUTCOMES.map((one) => [one, word(one)]));
  const template = select(own.map((one) => [one.template, `${language ? one.en : one.zh}`]), text("noTemplate"));
  const choose = () => {
    const one = own.find((each) => each.template === template.value);
    if (one) outcome.value = one.outcome;
    outcome.disabled = Boolean(one);
    words.textContent = one ? (language ? one.en : one.zh) : "";
  };
  template.addEventListener("change", choose);
  note.maxLength = 2000;
  made.append(labelled("template", template), labelled("outcome", outcome), labelled("note", note), element("button", text("complete"), "main"), words);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { id: newId(), to: "completed", outcome: outcome.value };
    if (template.value) body.template = template.value;
    if (note.value) body.note = note.value;
    if (await ask("POST", `/requests/${ref}/transitions`, body, { version: found.version }) === null) return;
    notice("");
    shown.delete(ref);
    await load();
  });
  return made;
}

function details(ref, found) {
  const line = element("tr", undefined, "details"), cell = element("td"), list = element("dl"), safe = found.offer.safe_contact;
  cell.colSpan = 7;
  const told = ["name", "phone", "address", "place", "document_number"].map((name) => [text(name), found.offer[name]]);
  if (safe) told.push([text("safe"), [safe.channel, safe.number, `${safe.hours_from}-${safe.hours_to}`, safe.cover].filter(Boolean).join(" · ")]);
  for (const barred of found.offer.barred || []) told.push([text("barred"), word(barred)]);
  for (const step of found.history) {
    if (step.wording) told.push([text("said"), step.wording[language ? "en" : "zh"]]);
    if (step.note) told.push([text("note"), step.note]);
  }
  for (const [label, value] of told) if (value) list.append(element("dt", label), element("dd", value));
  const done = async () => { notice(""); shown.delete(ref); await load(); };
  cell.append(list, acts.draw(language, ref, found, { send, done }), held.has(ref) ? drawConferences(ref) : button("confer", () => confer(ref)), documents(ref, found.state));
  if (WORKING.includes(found.state)) cell.append(completing(ref, found));
  line.append(cell);
  return line;
}

function drawTogether() {
  byId("together").hidden = !chosen.size;
  byId("chosen").textContent = `${text("chosen")} ${chosen.size}`;
  byId("giving").hidden = byId("hand-over").hidden = !page.heads;
  byId("all").checked = rows.length > 0 && rows.every((row) => chosen.has(row.ref));
}

function drawDeputies() {
  byId("deputies").replaceChildren(...deputies.map((one) => {
    const line = element("li");
    line.append(`${one.officer} → ${one.deputy}`, element("span", `${day(one.since)} – ${day(one.until)}`, "quiet"));
    if (page && (page.heads || one.officer === page.me)) line.append(button("end", async () => {
      if (await ask("POST", `/deputies/${one.deputy_id}/end`, { id: newId() }) !== null) await loadDeputies();
    }));
    return line;
  }));
}

function draw() {
  document.documentElement.lang = language ? "en" : "zh-CN";
  byId("language").textContent = language ? "中文" : "English";
  byId("language").lang = language ? "zh-CN" : "en";
  for (const labelled of document.querySelectorAll("[data-zh]")) labelled.textContent = labelled.dataset[language ? "en" : "zh"];
  signedIn.draw(language);
  options("state", STATES.map((one) => [one, word(one)]));
  options("status", STATUSES.map((one) => [one, word(one)]));
  if (page === null) return;
  options("office", page.offices.map((one) => [one.id, one.name]));
  options("to", page.officers.map((one) => [one.officer, one.officer === page.me ? text("me") : one.officer]));
  byId("to").options[0].textContent = text("nobodyAgain");
  drawCounts();
  byId("requests").replaceChildren(...rows.flatMap((row) => (shown.has(row.ref) ? [drawRow(row), details(row.ref, shown.get(row.ref))] : [drawRow(row)])));
  byId("empty").hidden = rows.length > 0;
  byId("more").hidden = !page.next;
  drawTogether();
  drawDeputies();
}

async function begin() {
  await signedIn.look();
  draw();
  const reader = signedIn.reader();
  if (reader === null) { notice(text("signIn"), true); return; }
  if (reader.role !== "officer") { notice(text("refused"), true); return; }
  department = encodeURIComponent(reader.agency);
  const offered = await ask("GET", "/templates");
  if (offered !== null) templates = offered.templates;
  await load();
  await loadDeputies();
}

byId("language").addEventListener("click", () => {
  language = 1 - language;
  localStorage.setItem("language", language ? "en" : "zh");
  draw();
});
for (const id of ["state", "status", "office", "before"]) byId(id).addEventListener("change", () => load());
byId("all").addEventListener("change", () => { chosen = new Set(byId("all").checked ? rows.map((row) => row.ref) : []); draw(); });
byId("accept").addEventListener("click", accept);
byId("give").addEventListener("click", giveChosen);
byId("hand-over").addEventListener("click", () => acts.handOver(language, page.officers, { send, done: load }));
byId("more").addEventListener("click", () => load(page.next));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("deputy").addEventListener("submit", async (event) => {
  event.preventDefault();
  const until = new Date(`${byId("until").value}T00:00:00+08:00`);
  until.setDate(until.getDate() + 1);
  const body = { id: newId(), deputy: byId("who-deputy").value, since: `${byId("since").value}T00:00:00+08:00`, until: until.toISOString() };
  const found = await ask("POST", "/deputies", body);
  if (found !== null) { notice(""); deputies = found.deputies; drawDeputies(); event.target.reset(); }
});
begin();
