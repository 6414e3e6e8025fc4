"use strict";

const texts = {
  nothing: ["没有可以显示的使用情况。请核对查询码。", "There is nothing to show. Compare the code with your receipt."],
  tooOften: ["查询过于频繁，请一分钟后再试。", "Too often; try again in a minute."],
  wrong: ["这不是查询码。", "This is not a code."],
  noCode: ["登录码无效、已使用或已过期，请索取新的。", "No such code, used, or over; ask for a new one."],
  toLink: ["请输入一次性登录码，把此账户与您本人关联。", "Type a one-time code to link this account to yourself."],
  lost: ["暂时没有回应，请稍后再试。", "No answer now; try again in a moment."],
  receipt: ["日志凭证", "Receipt"], text: ["凭证文本", "Receipt as text"],
  noPicture: ["凭证尚未签名，或过长而没有二维码；请稍后再试，或取其文本。", "Not signed yet, or too long for a QR code: try again in a moment, or take the text."],
};

let language = localStorage.getItem("language") === "en" ? 1 : 0;
let code = "";
let usages = [];
let next = null;
let said = null;

const text = (name) => texts[name][language];
const named = (words) => (language ? words.en : words.zh);
const when = (at) => new Intl.DateTimeFormat(language ? "en-GB" : "zh-CN",
  { timeZone: "Asia/Shanghai", dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(new Date(at));

function element(name, content, className) {
  const made = document.createElement(name);
  if (content !== undefined) made.textContent = content;
  if (className) made.className = className;
  return made;
}

function receipt(entry) {
  const details = element("details");
  const address = `/api/log/proof/receipt.svg?entry_id=${encodeURIComponent(entry)}`;
  details.append(element("summary", text("receipt")));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("img")) return;
    const picture = element("img");
    const link = element("a", text("text"));
    picture.alt = text("receipt");
    picture.addEventListener("error", () => picture.replaceWith(element("p", text("noPicture"), "more")));
    picture.src = address;
    link.href = address.replace(".svg", "");
    details.append(picture, link);
  });
  return details;
}

function line(usage) {
  const made = element("li");
  const time = element("time", when(usage.at));
  const what = element("div");
  const head = element("p");
  time.dateTime = usage.at;
  head.append(element("strong", named(usage.agency)), " ", element("span", named(usage.system), "more"));
  what.append(head, element("p", named(usage.reason)), receipt(usage.entry_id));
  made.append(time, what);
  return made;
}

function drawReader() {
  const reader = signedIn.reader();
  const resident = reader !== null && reader.role === "resident";
  const known = resident && reader.known;
  signedIn.draw(language);
  document.getElementById("ask").hidden = known;
  for (const name of ["enter", "entering"]) document.getElementById(name).hidden = known;
  document.getElementById("unlink").hidden = !known;
  document.getElementById("account").replaceChildren(...(reader === null && signedIn.offered() ? [signedIn.link(language)] : []));
}

function draw() {
  drawReader();
  document.documentElement.lang = language ? "en" : "zh-CN";
  document.getElementById("language").textContent = language ? "中文" : "English";
  document.getElementById("language").lang = language ? "zh-CN" : "en";
  for (const labelled of document.querySelectorAll("[data-zh]")) labelled.textContent = labelled.dataset[language ? "en" : "zh"];
  document.getElementById("usages").replaceChildren(...usages.map(line));
  document.getElementById("more").hidden = !next;
  const notice = document.getElementById("notice");
  notice.hidden = !said;
  notice.textContent = said ? text(said) : "";
}

function send(method, address, body) {
  const headers = { "Content-Type": "application/json", "Accept-Language": language ? "en" : "zh" };
  if (signedIn.token()) headers["Doorstep-Request-Token"] = signedIn.token();
  return fetch(address, { method, headers, body: JSON.stringify(body) }).catch(() => null);
}

async function enter(typed) {
  const reader = signedIn.reader();
  const links = reader !== null && reader.role === "resident" && !reader.known;
  const answer = links ? await send("PUT", "/api/resident/account", { code: typed }) : await send("POST", "/api/resident/session", { code: typed });
  if (!answer) return "lost";
  if (answer.status === 429) return "tooOften";
  if (answer.status === 403) return "noCode";
  return answer.ok ? begin() : "lost";
}

async function begin() {
  await signedIn.look();
  const reader = signedIn.reader();
  if (reader === null || reader.role !== "resident") return null;
  return reader.known ? look(null) : "toLink";
}

async function look(before) {
  const own = signedIn.reader() !== null && signedIn.reader().known;
  const answer = own ? await send("POST", "/api/resident/usage", { before }) : await send("POST", "/api/usage", { code, before });
  if (!answer) return "lost";
  if (answer.status === 429) return "tooOften";
  if (answer.status === 422) return "wrong";
  if (!answer.ok) return "lost";
  const told = await answer.json();
  usages = before ? usages.concat(told.usages) : told.usages;
  next = told.next;
  return usages.length ? null : "nothing";
}

document.getElementById("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  code = document.getElementById("code").value.trim();
  usages = [];
  next = null;
  said = await look(null);
  draw();
});
document.getElementById("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = document.getElementById("once").value.trim();
  document.getElementById("once").value = "";
  said = await enter(typed);
  draw();
});
document.getElementById("unlink").addEventListener("click", async () => {
  const answer = await send("DELETE", "/api/resident/account");
  usages = [];
  next = null;
  said = answer && answer.ok ? await begin() : "lost";
  draw();
});
document.getElementById("more").addEventListener("click", async () => {
  said = await look(next);
  draw();
});
document.getElementById("clear").addEventListener("click", () => {
  document.getElementById("code").value = code = "";
  usages = [];
  next = said = null;
  draw();
});
document.getElementById("language").addEventListener("click", () => {
  language = 1 - language;
  localStorage.setItem("language", language ? "en" : "zh");
  draw();
});
draw();
begin().then((found) => {
  said = found;
  draw();
});
