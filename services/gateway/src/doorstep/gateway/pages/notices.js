"use strict";

const texts = {
  genuine: ["属实：本站出具过此通知书。", "Genuine: this station issued it."],
  not: ["未能验证：本站没有此编号与内容相符的通知书。", "Not verified: this station has no such notice."],
  lost: ["没有回应，请稍后再试。", "No answer; try again in a moment."],
  missing: ["请扫描二维码，或选择电子文件。", "Scan the QR code, or choose the file."],
  wrong: ["编号有误。", "That is no number of a notice."],
};
let language = localStorage.getItem("language") === "en" ? 1 : 0;
let scanned = "", told = "";

const byId = (id) => document.getElementById(id);

function draw() {
  document.documentElement.lang = language ? "en" : "zh-CN";
  byId("language").textContent = language ? "中文" : "English";
  byId("language").lang = language ? "zh-CN" : "en";
  for (const labelled of document.querySelectorAll("[data-zh]")) labelled.textContent = labelled.dataset[language ? "en" : "zh"];
  byId("notice").hidden = !told;
  byId("notice").textContent = told ? texts[told][language] : "";
}

async function hashOfFile() {
  const [file] = byId("file").files;
  if (!file) return "";
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((one) => one.toString(16).padStart(2, "0")).join("");
}

async function check() {
  const hash = await hashOfFile() || scanned;
  if (!hash) { told = "missing"; draw(); return; }
  const body = JSON.stringify({ number: byId("number").value, hash });
  const answer = await fetch("/api/notices/check", { method: "POST", headers: { "Content-Type": "application/json" }, body }).catch(() => null);
  if (answer === null || answer.status >= 500 || answer.status === 429) told = "lost";
  else told = answer.ok ? ((await answer.json()).genuine ? "genuine" : "not") : "wrong";
  draw();
}

byId("language").addEventListener("click", () => {
  language = 1 - language;
  localStorage.setItem("language", language ? "en" : "zh");
  draw();
});
byId("check").addEventListener("submit", (event) => { event.preventDefault(); check(); });
draw();
const [number, hash] = decodeURIComponent(new URL(document.URL).hash.slice(1)).split(".");
if (hash) {
  byId("number").value = number;
  scanned = hash;
  check();
}
