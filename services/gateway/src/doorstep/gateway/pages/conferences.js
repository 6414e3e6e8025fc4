"use strict";

const conferences = (() => {
  const kinds = {
    "identity": ["身份", "identity"], "contact": ["联系方式", "contact"], "dwelling": ["住房与安全", "dwelling"],
    "household-register": ["户口", "household register"], "together": ["共同生活", "living together"],
    "living-situation": ["生活状况", "living situation"], "income-and-work": ["收入与就业", "income and work"],
    "health": ["健康", "health"], "benefits": ["已享待遇", "benefits"], "wishes": ["服务意愿", "wishes"],
    "access": ["沟通需要", "access needs"], "consent": ["同意与告知", "consent"],
  };
  const texts = {
    title: ["联席会商", "Conferences"], none: ["还没有会商。", "No conference was called."], lead: ["牵头", "leads"], closed: ["已结束", "closed"],
    station: ["服务站", "The station"], nothing: ["还没有您可以查看的纪要。", "No entry of the minutes is for you so far."], about: ["涉及", "about"],
    add: ["写入纪要", "Add to the minutes"], addSays: ["纪要写入后不能更改；涉及某类信息的内容，只有依法可见该类信息的部门才能看到。", "An entry is never changed. What is about a kind of fact goes only to departments that may see that kind."],
    text: ["内容（不写居民姓名和住址）", "What is to be said (no name or address of the resident)"], kinds: ["涉及哪类信息（不涉及则不选）", "Which kinds of fact it is about (none if none)"],
    named: ["只给这些部门看（不选则给所有参加部门）", "For these departments alone (none: for all that take part)"], closes: ["并结束会商", "and close the conference"], added: ["已写入纪要。", "Added to the minutes."],
  };

  const { element } = asking;

  function fields(said, one, names, station) {
    const found = [
      { name: "text", label: said("text"), kind: "area" },
      { name: "about", label: said("kinds"), kind: "ticks", options: Object.entries(kinds).filter(([kind]) => !station || kind !== "health").map(([kind, words]) => [kind, words[said.language]]) },
      { name: "departments", label: said("named"), kind: "ticks", options: one.departments.map((department) => [department, names(department)]) },
    ];
    return station ? [...found, { name: "closes", label: said("closes"), kind: "tick" }] : found;
  }

  function add(said, one, { names, station, send, done, again }) {
    const button = element("button", said("add"));
    button.type = "button";
    button.addEventListener("click", () => asking.before({
      language: said.language, title: said("add"), says: said("addSays"), fields: fields(said, one, names, station), again,
      send: ({ departments, ...rest }) => send(one.conference, departments.length ? { ...rest, departments } : rest),
      done: () => done(said("added")),
    }));
    return button;
  }

  /* The conferences of a request as this reader may see them; `window` words a span of time, `names` a department. */
  function draw(language, found, { window, day, names, ...acts }) {
    const said = Object.assign((name) => texts[name][language], { language });
    const place = element("div", undefined, "conferences");
    place.append(element("h3", said("title")));
    if (!found.length) place.append(element("p", said("none"), "quiet"));
    for (const one of found) {
      const box = element("article"), who = one.departments.map((department) => names(department) + (department === one.lead ? ` (${said("lead")})` : ""));
      box.append(element("p", [window(one), who.join(language ? ", " : "、"), one.closed_at ? said("closed") : ""].filter(Boolean).join(" · ")));
      for (const entry of one.minutes) {
        const line = element("p", entry.text, "minute"), about = entry.about.map((kind) => (kinds[kind] || [kind, kind])[language]);
        const by = [entry.by ? names(entry.by) : said("station"), day(entry.at), about.length ? `${said("about")} ${about.join(language ? ", " : "、")}` : ""];
        line.prepend(element("span", by.filter(Boolean).join(" · "), "quiet"));
        box.append(line);
      }
      if (!one.minutes.length) box.append(element("p", said("nothing"), "quiet"));
      if (!one.closed_at) box.append(add(said, one, { names, ...acts }));
      place.append(box);
    }
    return place;
  }

  return { draw };
})();
