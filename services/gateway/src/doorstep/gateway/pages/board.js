"use strict";

const departments = {
  "civil-affairs": ["民政", "Civil affairs"], "health": ["卫健", "Health"], "justice": ["司法", "Justice"], "fire": ["消防", "Fire safety"],
  "labour": ["人社", "Labour"], "housing": ["住建", "Housing"],
};
const states = {
  live: "", lost: "连接中断，正在重连…… Connection lost, reconnecting …", signIn: "请先以监督员身份登录。 Please sign in as a supervisor.",
  refused: "您无权查看看板。 You may not see the board.",
};
const address = "/api/board?purpose=follow-up";
const columns = [["open", ""], ["due_within_day", "soon"], ["late_response", "late"], ["late_completion", "late"]];

function named(department) {
  const cell = document.createElement("td");
  const [zh, en] = departments[department] || (department ? [department, ""] : ["待分派", "With nobody yet"]);
  const english = document.createElement("span");
  english.lang = "en";
  english.textContent = en;
  cell.append(zh, english);
  return cell;
}

function draw(board) {
  document.getElementById("station").textContent = board.station;
  document.getElementById("lines").replaceChildren(...board.lines.map((line) => {
    const row = document.createElement("tr");
    row.append(named(line.department), ...columns.map(([name, colour]) => {
      const cell = document.createElement("td");
      const few = line[name] === null;
      cell.textContent = few ? "·" : String(line[name]);
      cell.className = few ? "few" : colour;
      return cell;
    }));
    return row;
  }));
}

function say(name) {
  const place = document.getElementById("state");
  place.className = name === "live" ? "" : "away";
  place.replaceChildren(states[name]);
  document.querySelector("table").className = name === "live" ? "" : "stale";
  if (name === "signIn" && signedIn.offered()) place.append(" ", signedIn.link(0));
  if (name === "signIn" || name === "refused") document.getElementById("lines").replaceChildren();
}

function listen() {
  const source = new EventSource(address);
  source.addEventListener("board", (message) => { say("live"); draw(JSON.parse(message.data)); });
  source.onopen = () => say("live");
  source.onerror = () => {
    say("lost");
    if (source.readyState !== EventSource.CLOSED) return;
    source.close();
    setTimeout(begin, 3000);
  };
}

async function begin() {
  await signedIn.look();
  signedIn.draw(0);
  const reader = signedIn.reader();
  if (reader === null) { say("signIn"); setTimeout(begin, 10000); return; }
  if (reader.role !== "supervisor") { say("refused"); return; }
  listen();
}

function tick() {
  document.getElementById("clock").textContent = new Intl.DateTimeFormat("zh-CN",
    { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date());
}

setInterval(tick, 5000);
tick();
begin();
