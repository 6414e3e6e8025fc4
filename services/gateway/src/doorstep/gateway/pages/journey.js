"use strict";

const words = {
  "recorded": ["已登记", "Recorded"], "facts-asserted": ["事实入档", "Facts in the file"],
  "need-handed-on": ["按本人意愿转办", "Handed on as wished"], "need-suggested": ["规则建议，待审核", "Suggested by a rule, waits for a reviewer"],
  "need-decided": ["审核决定", "Decided by a reviewer"], "request-opened": ["已转部门", "Sent to the department"],
  "task-transitioned": ["办理进展", "Progress"], "request-rated": ["居民评价", "Rated by the resident"],
  "requested": ["待受理", "requested"], "accepted": ["已受理", "accepted"], "rejected": ["不予受理", "rejected"],
  "in-progress": ["办理中", "in progress"], "on-hold": ["暂停", "on hold"], "completed": ["已办结", "completed"],
  "failed": ["未能办成", "failed"], "cancelled": ["已取消", "cancelled"], "entered-in-error": ["误录", "entered in error"],
  "confirmed": ["确认", "confirmed"], "person": ["居民", "person"], "dwelling": ["住所", "dwelling"], "place": ["公共场所", "place"],
  "granted": ["已批准", "granted"], "papers-checked": ["材料已核查", "papers checked"], "resident-heard": ["已听取本人意见", "resident heard"], "place-inspected": ["已现场查看", "place inspected"], "work-begun": ["已开始办理", "work begun"],
  "decision-pending": ["等待决定", "decision pending"], "waits-for-another": ["等待其他单位", "waits for another"], "longer-than-planned": ["时间将延长", "longer than planned"],
  "refused-after-check": ["核查后不予批准", "refused after a check"],
  "service-provided": ["已提供服务", "service provided"], "hazard-removed": ["隐患已排除", "hazard removed"],
  "advice-given": ["已提供咨询", "advice given"], "agreement-reached": ["达成协议", "agreement reached"], "referred-on": ["已转介", "referred on"],
  "sound": ["完好", "sound"], "expired": ["已过期", "expired"], "cracked": ["开裂", "cracked"], "unsafe": ["不安全", "unsafe"], "danger": ["危险", "dangerous"],
  "working": ["正常", "working"], "none": ["无", "none"], "phone": ["电话", "phone"], "message": ["短信", "message"], "post": ["信件", "post"],
  "here": ["本地", "here"], "elsewhere": ["外地", "elsewhere"], "mandarin": ["普通话", "Mandarin"], "dialect": ["方言", "dialect"], "sign": ["手语", "sign language"], "foreign": ["外语", "foreign"],
};
const texts = {
  signIn: ["请先登录。", "Please sign in."],
  unknown: ["没有这份记录，或尚未到达。", "No such record, or it has not arrived yet."], lost: ["连接中断，正在重连……", "Connection lost, reconnecting …"],
  refused: ["您无权查看这份记录。", "You may not see this record."], solved: ["已解决", "solved"], notSolved: ["未解决", "not solved"], rule: ["规则", "rule"],
  yes: ["是", "yes"], no: ["否", "no"],
};

const record = location.pathname.split("/").pop();
const address = `/api/journeys/${encodeURIComponent(record)}`;
const query = `?purpose=follow-up&case=${encodeURIComponent(record)}`;
const steps = new Map();
let language = localStorage.getItem("language") === "en" ? 1 : 0;

const inTime = (a, b) => a.at.localeCompare(b.at) || (a.detail.version || 0) - (b.detail.version || 0);
const word = (code) => (words[code] || [code, code])[language];
const text = (name) => texts[name][language];
const named = (thing) => (thing ? (language ? thing.en : thing.zh) : "");
const clock = (at) => new Intl.DateTimeFormat(language ? "en-GB" : "zh-CN",
  { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(new Date(at));
const day = (at) => new Intl.DateTimeFormat(language ? "en-GB" : "zh-CN",
  { timeZone: "Asia/Shanghai", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));

function element(name, content, className) {
  const made = document.createElement(name);
  if (content !== undefined) made.textContent = content;
  if (className) made.className = className;
  return made;
}

function requests() {
  const found = new Map();
  for (const step of [...steps.values()].sort(inTime)) {
    const id = step.detail.request_id;
    if (!id) continue;
    const part = `${id} ${step.detail.part || 1}`;
    const row = found.get(part) || {};
    if (step.kind === "request-opened") Object.assign(row, { need: step.need, department: step.department, state: "requested", since: step.at, by: step.detail.complete_by });
    if (step.kind === "task-transitioned") Object.assign(row, { need: step.need || row.need, state: step.detail.to, since: step.at, department: step.department || row.department, outcome: step.detail.outcome || row.outcome });
    if (step.kind === "request-rated") row.rating = step.detail;
    found.set(part, row);
  }
  return [...found.values()];
}

function drawRequests() {
  const body = document.getElementById("requests");
  body.replaceChildren(...requests().map((row) => {
    const line = element("tr");
    const state = element("td");
    state.append(element("span", word(row.state), `state ${row.state}`));
    const rating = row.rating ? `${"★".repeat(row.rating.stars)} ${row.rating.solved ? text("solved") : text("notSolved")}` : "";
    line.append(element("td", named(row.department)), element("td", named(row.need)), state, element("td", row.since ? clock(row.since) : ""),
      element("td", row.by ? day(row.by) : ""), element("td", row.outcome ? word(row.outcome) : ""), element("td", rating));
    return line;
  }));
}

function said(step) {
  const parts = [];
  if (step.subject_kind) parts.push(word(step.subject_kind));
  if (step.need) parts.push(named(step.need));
  if (step.department) parts.push(named(step.department));
  if (step.facts && step.kind === "facts-asserted") {
    const shown = (value) => (value === true ? text("yes") : value === false ? text("no") : typeof value === "string" ? word(value) : String(value));
    parts.push(step.facts.map((fact) => `${named(fact)}: ${shown(fact.value)}`).join(" · "));
  }
  if (step.detail.decision) parts.push(word(step.detail.decision));
  if (step.detail.to) parts.push(`${word(step.detail.from)} → ${word(step.detail.to)}`);
  if (step.detail.outcome) parts.push(word(step.detail.outcome));
  if (step.detail.progress) parts.push(word(step.detail.progress));
  if (step.detail.stars) parts.push("★".repeat(step.detail.stars));
  if (step.rule) parts.push(`${text("rule")} ${step.rule}`);
  return parts.join(" — ");
}

function drawSteps() {
  const list = document.getElementById("steps");
  list.replaceChildren(...[...steps.values()].sort(inTime).map((step) => {
    const line = element("li");
    const what = element("div");
    const time = element("time", clock(step.at));
    time.dateTime = step.at;
    what.append(element("strong", word(step.kind)), " ", element("span", said(step), "more"));
    line.append(time, what);
    return line;
  }));
}

function draw() {
  document.documentElement.lang = language ? "en" : "zh-CN";
  document.getElementById("language").textContent = language ? "中文" : "English";
  document.getElementById("language").lang = language ? "zh-CN" : "en";
  for (const labelled of document.querySelectorAll("[data-zh]")) labelled.textContent = labelled.dataset[language ? "en" : "zh"];
  signedIn.draw(language);
  drawRequests();
  drawSteps();
}

function notice(name, link) {
  const place = document.getElementById("notice");
  place.hidden = !name;
  place.replaceChildren();
  if (!name) return;
  place.append(text(name));
  if (link && signedIn.offered()) place.append(" ", signedIn.link(language));
}

async function begin() {
  const answer = await fetch(address + query, { headers: { "Accept-Language": language ? "en" : "zh" } }).catch(() => null);
  if (!answer) { notice("lost"); setTimeout(begin, 2000); return; }
  await signedIn.look();
  signedIn.draw(language);
  if (answer.status === 401) { notice("signIn", true); return; }
  if (answer.status === 403) { notice("refused", true); return; }
  if (!answer.ok) { notice("unknown"); setTimeout(begin, 2000); return; }
  notice(null);
  for (const step of (await answer.json()).steps) steps.set(step.step_id, step);
  draw();
  listen();
}

function listen() {
  const source = new EventSource(`${address}/events${query}`);
  source.addEventListener("step", (message) => {
    const step = JSON.parse(message.data);
    steps.set(step.step_id, step);
    draw();
  });
  source.onopen = () => notice(null);
  source.onerror = () => {
    notice("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(begin, 2000);
  };
}

document.getElementById("record").textContent = record;
document.getElementById("language").addEventListener("click", () => {
  language = 1 - language;
  localStorage.setItem("language", language ? "en" : "zh");
  draw();
});
draw();
begin();
