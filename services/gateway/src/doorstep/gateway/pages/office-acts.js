"use strict";

/* What an officer does with a request beside completing it, each asked in a dialog; which there are follows from its state. */
const acts = (() => {
  const OF_STATE = {
    "requested": ["accept", "reject"], "accepted": ["begin", "hold", "appoint", "report", "fail"],
    "in-progress": ["hold", "appoint", "report", "fail"], "on-hold": ["goOn", "list", "promise", "fail"],
  };
  const NOTICES = {
    "accepted": ["acceptance"], "in-progress": ["acceptance"], "on-hold": ["acceptance"], "rejected": ["refusal"], "completed": ["completion", "acceptance"],
  };
  const REASONS = {
    "rejected": ["not-ours", "not-eligible", "no-capacity", "duplicate"],
    "on-hold": ["waiting-for-resident", "could-not-reach-resident", "no-capacity"],
    "failed": ["not-solvable", "not-eligible", "could-not-reach-resident", "moved-away"],
  };
  const PROGRESS = ["papers-checked", "resident-heard", "place-inspected", "work-begun", "decision-pending", "waits-for-another", "longer-than-planned"];
  const EXTENSION = ["work-on-site", "papers-awaited", "resident-away", "waits-for-another", "weather"];
  const words = {
    "not-ours": ["不属于本部门职责", "not this department's to do"], "not-eligible": ["不符合办理条件", "the conditions are not met"],
    "no-capacity": ["暂无办理能力", "no capacity now"], "duplicate": ["已有相同请求", "there is such a request already"],
    "waiting-for-resident": ["等待居民（可告知所缺材料）", "it waits for the resident (papers can be listed)"],
    "could-not-reach-resident": ["联系不上居民", "the resident could not be reached"], "moved-away": ["居民已迁出", "the resident moved away"],
    "not-solvable": ["无法解决", "it cannot be solved"],
    "papers-checked": ["材料已核", "papers were checked"], "resident-heard": ["已听取居民意见", "the resident was heard"], "place-inspected": ["已查看现场", "the place was inspected"],
    "work-begun": ["已开工", "work has begun"], "decision-pending": ["待批准", "a decision is pending"], "waits-for-another": ["等待其他部门", "it waits for another"],
    "longer-than-planned": ["比预计时间长", "it takes longer than planned"],
    "work-on-site": ["现场施工", "work on site"], "papers-awaited": ["等待材料", "papers are awaited"], "resident-away": ["居民不在", "the resident is away"], "weather": ["天气原因", "weather"],
    "office": ["到办事处", "at the office"], "at-home": ["上门", "at home"], "by-phone": ["电话", "by phone"],
    "attended": ["居民已到场", "the resident came"], "not-attended": ["居民未到场（无任何后果）", "the resident did not come (it has no price)"],
    "acceptance": ["受理通知书", "Notice of acceptance"], "refusal": ["不予受理通知书", "Notice of refusal"], "completion": ["办结通知书", "Notice of completion"],
  };
  const texts = {
    accept: ["受理", "Accept"], reject: ["不予受理", "Reject"], begin: ["开始办理", "Begin work"], hold: ["暂停", "Put on hold"], goOn: ["继续办理", "Go on"],
    fail: ["未能办成", "Could not be done"], appoint: ["预约", "Appointment"], came: ["到场情况", "Who came"], report: ["进展", "Report"],
    list: ["一次性告知", "List what is missing"], promise: ["容缺受理", "Go on against a promise"], extend: ["申请延期", "Ask for more time"], notice: ["通知书", "Notice"],
    handOver: ["整体移交", "Hand over all"],
    why: ["理由", "Reason"], note: ["说明（可不填）", "Note (may be empty)"], day: ["日期", "Day"], from: ["自", "From"], until: ["至", "Until"], place: ["地点", "Place"],
    what: ["内容", "What"], papers: ["材料", "Papers"], by: ["最迟补齐日期", "To be brought by"], hotlineDay: ["延至（当日 18 时）", "Until (18:00 of that day)"], kind: ["类别", "Kind"],
    whose: ["谁的请求", "Whose requests"], to: ["交给", "To"], nobody: ["无人（退回收件箱）", "nobody (back to the inbox)"],
    rejectSays: ["请求退回服务站；两个部门不予受理后由裁决人指定。", "It goes back to the station; after two departments rejected it the arbiter assigns it."],
    holdSays: ["等待居民时，可随后一次性告知所缺材料，办结期限最多暂停 15 个工作日。", "Where it waits for the resident, list what is missing next: the completion is paused for 15 working days at most."],
    listSays: ["所缺材料只告知一次，请一次列全。", "What is missing is listed once: all of it."],
    promiseSays: ["居民承诺补齐后继续办理；未补齐不自动产生任何后果。", "Work goes on since the resident promises them; if they do not come, nothing follows by itself."],
    noticeSays: ["每类通知书一份；出具后可下载 PDF 并交给居民。", "There is one of each kind. Issued, it is saved as PDF, to be handed over."],
    handOverSays: ["此人经办的全部在办请求一并移交，一次最多 500 件。", "All open requests of this officer go over at once, 500 at most."],
  };
  const at = (day, clock) => `${day}T${clock}:00+08:00`;

  /* The buttons of a request; `send` asks the department's interface, `done` reads anew. */
  function draw(language, ref, found, { send, done }) {
    const line = asking.element("p", undefined, "acts");
    const text = (name) => texts[name][language], choices = (codes) => codes.map((one) => [one, words[one][language]]);
    const note = { name: "note", label: text("note"), kind: "area", optional: true };
    const request = (path, body) => send("POST", `/requests/${ref}${path}`, body, { version: found.version });
    const step = (to, more) => ({ id, note: said, ...rest }) => request("/transitions", { id, to, ...(said ? { note: said } : {}), ...rest, ...more });
    const why = (to) => ({ fields: [{ name: "reason", label: text("why"), kind: "select", options: choices(REASONS[to]) }, note], send: step(to) });
    const window = ({ id, place, ...when }) => request("/transitions", {
      id, to: found.state, business_status: "appointment-scheduled", appointment: { starts_at: at(when.day, when.from), ends_at: at(when.day, when.until), place },
    });
    const ticks = { name: "papers", label: text("papers"), kind: "ticks", options: Object.entries(paperWords).map(([one, said]) => [one, said[language]]) };
    const asked = {
      accept: { send: step("accepted") }, begin: { send: step("in-progress") }, goOn: { send: step("in-progress") },
      reject: { says: "rejectSays", danger: true, ...why("rejected") }, hold: { says: "holdSays", ...why("on-hold") }, fail: { danger: true, ...why("failed") },
      appoint: {
        send: window,
        fields: [{ name: "day", label: text("day"), kind: "date" }, { name: "from", label: text("from"), kind: "time" }, { name: "until", label: text("until"), kind: "time" },
          { name: "place", label: text("place"), kind: "select", options: choices(["office", "at-home", "by-phone"]) }],
      },
      came: { fields: [{ name: "business_status", label: text("came"), kind: "select", options: choices(["attended", "not-attended"]) }, note], send: step(found.state) },
      report: { fields: [{ name: "progress", label: text("what"), kind: "select", options: choices(PROGRESS) }, note], send: step(found.state) },
      list: { says: "listSays", fields: [ticks], send: (body) => request("/missing-papers", body) },
      promise: { says: "promiseSays", fields: [ticks, { name: "until", label: text("by"), kind: "date" }], send: (body) => request("/promise", body) },
      extend: {
        fields: [{ name: "until", label: text("hotlineDay"), kind: "date" }, { name: "reason", label: text("why"), kind: "select", options: choices(EXTENSION) }],
        send: ({ id, until, reason }) => request("/extensions", { id, until: at(until, "18:00"), reason }),
      },
      notice: {
        says: "noticeSays", fields: [{ name: "kind", label: text("kind"), kind: "select", options: choices(NOTICES[found.state] || []) }],
        send: (body) => request("/notices", body), then: ({ kind }) => saved(kind),
      },
    };
    async function saved(kind) {
      const answer = await send("GET", `/requests/${ref}/notices/${kind}`, null, { reason: ref });
      if (answer && answer.ok) asking.download(await answer.blob(), `${kind}.pdf`);
    }
    const names = [...(OF_STATE[found.state] || [])];
    if (found.business_status === "appointment-scheduled" && names.includes("appoint")) names.push("came");
    if (found.hotline && names.length) names.push("extend");
    if (NOTICES[found.state]) names.push("notice");
    for (const name of names) {
      const { says, then, ...one } = asked[name], made = asking.element("button", text(name));
      made.type = "button";
      made.addEventListener("click", () => asking.before({
        language, title: text(name), says: says && text(says), ...one, again: done, done: async (answer, values) => { if (then) await then(values); await done(); },
      }));
      line.append(made);
    }
    return line;
  }

  /* The head of an office gives everything that an officer has to somebody else. */
  function handOver(language, officers, { send, done }) {
    const text = (name) => texts[name][language], choices = officers.map((one) => [one.officer, one.officer]);
    asking.before({
      language, title: text("handOver"), says: text("handOverSays"), again: done, done,
      fields: [{ name: "officer", label: text("whose"), kind: "select", options: choices },
        { name: "handler", label: text("to"), kind: "select", options: [["", text("nobody")], ...choices], optional: true }],
      send: ({ handler, ...body }) => send("POST", "/reassignments", { ...body, handler: handler || null }),
    });
  }

  return { draw, handOver };
})();
