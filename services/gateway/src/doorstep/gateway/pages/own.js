"use strict";

const states = {
  "draft": ["待转部门", "waits for a department"], "requested": ["待受理", "sent, not accepted yet"], "accepted": ["已受理", "accepted"],
  "rejected": ["不予受理", "rejected"], "in-progress": ["办理中", "in progress"], "on-hold": ["暂停", "on hold"], "completed": ["已办结", "completed"],
  "failed": ["未能办成", "failed"], "cancelled": ["已取消", "cancelled"], "entered-in-error": ["误录", "entered in error"],
};
const findings = {
  "stands": ["复核结果：维持", "Looked at again: it stands"], "opened-anew": ["复核结果：已重新开立", "Looked at again: opened anew"],
  "record-to-be-corrected": ["复核结果：记录将更正", "Looked at again: the record is to be corrected"],
};
const treatments = {
  "not-answered": ["没有答复", "nobody answered me"], "sent-elsewhere": ["推给别处", "sent elsewhere"], "rude": ["态度不好", "rude to me"],
  "asked-for-money": ["索要钱物", "asked for money"], "asked-for-papers-again": ["重复要材料", "asked for the same papers again"],
  "told-to-others": ["把我的事告诉别人", "told others of my matter"], "treated-unfairly": ["处理不公", "treated unfairly"],
};
const abouts = { "station": ["服务站", "the station"], "department": ["承办部门", "the department"] };
const answers = {
  "upheld": ["投诉答复：属实", "Your complaint: you are right"], "partly-upheld": ["投诉答复：部分属实", "Your complaint: you are right in part"],
  "not-upheld": ["投诉答复：不属实", "Your complaint: not found so"], "not-established": ["投诉答复：无法查实", "Your complaint: it could not be established"],
};
const texts = {
  nothing: ["没有可以显示的事项。请核对查询码。", "There is nothing to show. Compare the code with your receipt."],
  lost: ["暂时没有回应，请稍后再试。", "No answer now; try again in a moment."], tooOften: ["过于频繁，请稍后再试。", "Too often; try again later."],
  typeFirst: ["请先输入查询码。", "Type your code first."], noCode: ["没有这个查询码，请核对回执。", "No such code; compare it with your receipt."],
  chosen: ["已记下提醒方式。", "Noted how you want to be told."], withdrawn: ["已撤回。", "Withdrawn."], rated: ["谢谢您的评价。", "Thank you for your rating."],
  looked: ["已申请复核。", "A human will look again."], taken: ["已收到申请，查询码：", "Taken. Follow it by the code "],
  lookAgain: ["请人复核", "Let a human look again"], withdraw: ["撤回", "Withdraw"], sure: ["确认撤回", "Withdraw now"], by: ["复核答复期限：", "To be looked at again by "],
  meets: ["预约：", "Appointment: "], "office": ["到办事处", "at the office"], "at-home": ["上门", "at your home"], "by-phone": ["电话", "by phone"],
  solved: ["已解决", "Solved"], notSolved: ["未解决", "Not solved"], stars: ["星级", "Stars"], ask: ["申请", "Ask"],
  complain: ["投诉", "Complain"], complained: ["已收到投诉。投诉码：", "Your complaint was received. Its code is "], takenBack: ["投诉已撤回并删除。", "Your complaint was taken back and deleted."],
  takeBack: ["撤回投诉", "Take the complaint back"], sureBack: ["确认撤回并删除", "Take back and delete"], due: ["投诉答复期限：", "Your complaint is answered by "],
  late: ["（已超期）", " (late)"], whom: ["投诉对象", "About"], what: ["怎么回事（可多选）", "What happened (one or more)"], words: ["补充说明（可不填）", "In words, if you wish"],
  badge: ["涉及人员的工号（可不填；此人看不到投诉）", "Number on a badge, if you name somebody (they will not see it)"],
  keep: ["。只显示这一次，请记下并收好：查看答复或撤回投诉都要用它，光有查询码看不到。", ". It is shown this once. Note it and keep it to yourself: the answer is seen, and the complaint taken back, with it alone; by the code on the receipt nobody sees it."],
  noComplaint: ["没有这件投诉。请核对投诉码。", "There is no such complaint. Compare its code."],
  send: ["提交投诉", "Send the complaint"], back: ["取消", "Cancel"], chooseOne: ["请至少选择一项。", "Choose at least one."], within: ["个工作日内", "working days"],
};
const open = new Set(["draft", "requested", "accepted", "in-progress", "on-hold"]);
const answered = new Set(["completed", "failed", "rejected"]);

let language = localStorage.getItem("language") === "en" ? 1 : 0;
let code = "";
let requests = [];
let looks = [];
let complaint = null;
let complaintCode = "";
let complaining = null;
let services = [];
let said = null;

const text = (name) => texts[name][language];
const day = (at) => new Intl.DateTimeFormat(language ? "en-GB" : "zh-CN", { timeZone: "Asia/Shanghai", dateStyle: "medium" }).format(new Date(at));
const clock = (at, part) => new Intl.DateTimeFormat(language ? "en-GB" : "zh-CN",
  { timeZone: "Asia/Shanghai", ...(part ? {} : { month: "long", day: "numeric", weekday: "short" }), hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));
const of = () => `/api/follow/${encodeURIComponent(code)}`;

function element(name, content, className) {
  const made = document.createElement(name);
  if (content !== undefined) made.textContent = content;
  if (className) made.className = className;
  return made;
}

function button(label, act) {
  const made = element("button", text(label));
  made.type = "button";
  made.addEventListener("click", () => act(made));
  return made;
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let now = Date.now();
  for (let place = 5; place >= 0; place -= 1) { bytes[place] = now % 256; now = Math.floor(now / 256); }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function send(method, address, body) {
  const headers = { "Accept-Language": language ? "en" : "zh" };
  if (body) headers["Content-Type"] = "application/json";
  if (signedIn.token()) headers["Doorstep-Request-Token"] = signedIn.token();
  return fetch(address, { method, headers, body: body && JSON.stringify(body) }).catch(() => null);
}

async function refused(answer) {
  if (!answer) return [text("lost")];
  if (answer.status === 429) return [text("tooOften")];
  const problem = await answer.json().catch(() => null);
  return [(problem && problem.detail) || text("lost")];
}

function tell(parts) {
  said = parts;
  const notice = document.getElementById("notice");
  notice.hidden = !said;
  notice.replaceChildren(...(said || []).map((part, place) => element(place === 1 ? "strong" : "span", part)));
}

async function act(made, address, body, done) {
  made.disabled = true;
  const answer = await send("POST", address, { id: newId(), ...body });
  const told = answer && answer.ok ? [text(done)] : await refused(answer);
  await look();
  said = told;
  draw();
}

function choices(one, owed) {
  const found = [];
  if (!owed) found.push(button("lookAgain", (made) => act(made, `${of()}/looks`, { ref: one.ref }, "looked")));
  if (open.has(one.state)) {
    found.push(button("withdraw", (made) => {
      if (made.dataset.sure) return act(made, `${of()}/withdrawals`, { ref: one.ref }, "withdrawn");
      made.dataset.sure = "yes";
      made.textContent = text("sure");
      return null;
    }));
  }
  if (answered.has(one.state)) {
    const stars = element("select");
    stars.setAttribute("aria-label", text("stars"));
    for (const count of [5, 4, 3, 2, 1]) stars.append(new Option("★".repeat(count), String(count)));
    const rate = (solved) => (made) => act(made, `${of()}/ratings`, { ref: one.ref, solved, stars: Number(stars.value) }, "rated");
    found.push(stars, " ", button("solved", rate(true)), button("notSolved", rate(false)));
  }
  found.push(button("complain", () => { complaining = complaining === one.ref ? null : one.ref; say(null); }));
  return found;
}

function labelled(name, field) {
  const made = element("label", text(name));
  made.append(field);
  return made;
}

function complaintForm(one) {
  const form = element("form", undefined, "complaint");
  const about = element("select");
  for (const [code, words] of Object.entries(abouts)) about.append(new Option(words[language], code));
  const boxes = element("fieldset");
  boxes.append(element("legend", text("what")));
  for (const [code, words] of Object.entries(treatments)) {
    const box = element("input");
    box.type = "checkbox";
    box.value = code;
    const label = element("label");
    label.append(box, words[language]);
    boxes.append(label);
  }
  const words = element("textarea");
  words.maxLength = 2000;
  words.rows = 3;
  const badge = element("input");
  badge.maxLength = 100;
  badge.autocomplete = "off";
  const sending = element("button", text("send"));
  sending.type = "submit";
  form.append(labelled("whom", about), boxes, labelled("words", words), labelled("badge", badge), sending,
    button("back", () => { complaining = null; say(null); }));
  let id = null;
  let sent = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const treatment = [...boxes.querySelectorAll("input:checked")].map((box) => box.value);
    if (!treatment.length) { boxes.querySelector("legend").textContent = text("chooseOne"); return; }
    const body = { ref: one.ref, about: about.value, treatment };
    if (words.value.trim()) body.text = words.value.trim();
    if (badge.value.trim()) body.staff = [badge.value.trim()];
    if (sent !== JSON.stringify(body)) id = newId();  // sent again as it was, it is the same complaint
    sent = JSON.stringify(body);
    sending.disabled = true;
    const answer = await send("POST", `${of()}/complaints`, { id, ...body });
    sending.disabled = false;
    if (!answer || !answer.ok) { tell(await refused(answer)); return; }
    complaining = null;
    said = [text("complained"), (await answer.json()).complaint_code, text("keep")];
    draw();
  });
  return form;
}

function complaintLine(one) {
  const made = element("p", undefined, "more");
  const due = text("due") + day(new Date(one.due_by) - 1) + (one.overdue ? text("late") : "");
  made.append(`${abouts[one.about][language]} · ${one.finding ? answers[one.finding][language] : due}`, " ");
  if (one.answer) made.append(element("q", one.answer), " ");
  made.append(button("takeBack", (pressed) => {
    if (pressed.dataset.sure) return act(pressed, `${of()}/complaints/${encodeURIComponent(complaintCode)}/withdrawal`, {}, "takenBack");
    pressed.dataset.sure = "yes";
    pressed.textContent = text("sureBack");
    return null;
  }));
  return made;
}

function line(one) {
  const made = element("li");
  const what = element("div");
  const mine = looks.filter((found) => found.ref === one.ref);
  const owed = mine.some((found) => !found.finding);
  for (const met of one.appointments || []) what.append(element("p", `${text("meets")}${clock(met.starts_at)}–${clock(met.ends_at, true)} · ${text(met.place)}`, "met"));
  for (const found of mine) what.append(element("p", found.finding ? findings[found.finding][language] : text("by") + day(new Date(found.due_by) - 1), "more"));
  what.append(...choices(one, owed));
  if (complaining === one.ref) what.append(complaintForm(one));
  made.append(element("span", (states[one.state] || [one.state, one.state])[language], `state ${one.state}`), what);
  return made;
}

function service(one) {
  const made = element("li");
  const what = element("div");
  what.append(element("strong", language ? one.en : one.zh), " ",
    element("span", `${language ? one.department_en : one.department_zh} · ${one.working_days} ${text("within")}`, "more"));
  made.append(what, button("ask", async (pressed) => {
    const own = signedIn.reader() !== null && signedIn.reader().known;
    if (!code && !own) { say("typeFirst"); return; }
    pressed.disabled = true;
    const answer = own ? await send("POST", "/api/resident/own-requests", { id: newId(), service: one.code })
      : await send("POST", "/api/own-requests", { id: newId(), code, service: one.code });
    if (answer && answer.ok) said = [text("taken"), (await answer.json()).follow_code];
    else said = answer && answer.status === 404 ? [text("noCode")] : await refused(answer);
    draw();
  }));
  return made;
}

function draw() {
  signedIn.draw(language);
  document.documentElement.lang = language ? "en" : "zh-CN";
  document.getElementById("language").textContent = language ? "中文" : "English";
  document.getElementById("language").lang = language ? "zh-CN" : "en";
  for (const labelled of document.querySelectorAll("[data-zh]")) labelled.textContent = labelled.dataset[language ? "en" : "zh"];
  document.getElementById("requests-part").hidden = !requests.length;
  document.getElementById("requests").replaceChildren(...requests.map(line));
  document.getElementById("menu").replaceChildren(...services.map(service));
  document.getElementById("complaint").replaceChildren(...(complaint ? [complaintLine(complaint)] : []));
  tell(said);
}

function say(name) {
  said = name && [text(name)];
  draw();
}

function forget() {
  complaint = null;
  document.getElementById("complaint-code").value = complaintCode = "";
}

async function look() {
  requests = looks = [];
  forget();
  if (!code) return "typeFirst";
  const asked = await Promise.all(["", "/looks"].map((tail) => send("GET", of() + tail)));
  if (asked.some((answer) => answer && answer.status === 429)) return "tooOften";
  if (!asked.every((answer) => answer && answer.ok)) return "lost";
  const [followed, looked] = await Promise.all(asked.map((answer) => answer.json()));
  requests = followed.requests;
  looks = looked.looks;
  return requests.length ? null : "nothing";
}

document.getElementById("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  code = document.getElementById("code").value.trim();
  complaining = null;
  const looked = look();
  say(null);  // what was told before, such as the code of a complaint, is gone at once
  say(await looked);
});
document.getElementById("clear").addEventListener("click", () => {
  document.getElementById("code").value = code = "";
  requests = looks = [];
  forget();
  complaining = null;
  say(null);
});
document.getElementById("kept").addEventListener("submit", async (event) => {
  event.preventDefault();
  complaintCode = document.getElementById("complaint-code").value.trim();
  const answer = await send("GET", `${of()}/complaints/${encodeURIComponent(complaintCode)}`);
  complaint = answer && answer.ok ? await answer.json() : null;
  if (complaint) said = null;
  else said = answer && answer.status === 404 ? [text("noComplaint")] : await refused(answer);
  draw();
});
document.getElementById("channel").addEventListener("change", async (event) => {
  if (!event.target.value) return;
  const answer = await send("PUT", `${of()}/notices`, { channel: event.target.value });
  said = answer && answer.ok ? [text("chosen")] : await refused(answer);
  draw();
});
document.getElementById("language").addEventListener("click", () => {
  language = 1 - language;
  localStorage.setItem("language", language ? "en" : "zh");
  said = null;
  draw();
});
async function begin() {
  await signedIn.look();
  const answer = await send("GET", "/api/menu");
  if (answer && answer.ok) services = (await answer.json()).services;
  else said = [text("lost")];
  draw();
}
draw();
begin();
