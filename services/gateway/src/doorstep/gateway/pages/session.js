"use strict";

const signedIn = (() => {
  const roles = {
    "collector": ["采集员", "collector"], "reviewer": ["审核员", "reviewer"], "supervisor": ["监督员", "supervisor"],
    "officer": ["部门经办人", "officer"], "auditor": ["审计员", "auditor"], "operator": ["运维员", "operator"], "resident": ["居民", "resident"],
  };
  const agencies = {
    "station": ["服务站", "station"], "civil-affairs": ["民政", "civil affairs"], "health": ["卫健", "health"], "justice": ["司法", "justice"],
    "fire": ["消防", "fire"], "labour": ["人社", "labour"], "housing": ["住建", "housing"],
    "resident": ["", ""],
  };
  const texts = { signIn: ["登录", "Sign in"], another: ["换一个身份登录", "Sign in as somebody else"], signOut: ["退出", "Sign out"],
    endOthers: ["结束我的其他会话", "End my other sessions"] };
  let who = null, token = null, offers = false;

  const word = (table, code, language) => (table[code] || [code, code])[language];

  async function look() {
    const answer = await fetch("/api/session").catch(() => null);
    if (!answer) return;
    who = answer.ok ? await answer.json() : null;
    token = answer.headers.get("doorstep-request-token");
    offers = answer.ok ? token !== null : answer.status === 401;
  }

  async function leave() {
    const answer = await fetch("/sign-out", { method: "POST", headers: { "Doorstep-Request-Token": token } }).catch(() => null);
    if (!answer || !answer.ok) return;
    location.assign((await answer.json()).continue || "/");
  }

  async function endOthers(button) {
    const headers = { "Doorstep-Request-Token": token };
    const answer = await fetch("/api/sessions", { method: "DELETE", headers }).catch(() => null);
    if (!answer || !answer.ok) return;
    button.disabled = true;
    button.append(` (${(await answer.json()).ended})`);
  }

  function draw(language) {
    const place = document.getElementById("who");
    place.replaceChildren();
    if (who === null) return;
    const buttons = [["signOut", leave], ["endOthers", endOthers]].map(([name, act]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = texts[name][language];
      button.addEventListener("click", () => act(button));
      return button;
    });
    place.append([word(roles, who.role, language), word(agencies, who.agency, language), who.station].filter(Boolean).join(" · "), ...buttons);
  }

  function link(language) {
    const anchor = document.createElement("a");
    anchor.textContent = texts[who === null ? "signIn" : "another"][language];
    anchor.href = `/sign-in?page=${encodeURIComponent(location.pathname)}`;
    return anchor;
  }

  return { look, draw, link, agency: (code, language) => word(agencies, code, language), offered: () => offers, reader: () => who, token: () => token };
})();
