"use strict";

function know(id) {
  before(text("know"), text("knowSays"), {
    fields: [], send: () => send("POST", `/${id}/call-acknowledgement`), done: () => finished(text("knowDone")),
  });
}

function remind(row) {
  const about = `${word(row.next === "respond" ? "response" : "completion")}, ${text("due", day(row.until))}`;
  before(text("remind"), text("remindSays", named(row.department), about), {
    send: ({ id }) => send("POST", `/${row.request_id}/reminders`, { body: { id, part: row.part } }),
    done: (told) => finished(text("remindDone", named(told.department), word(told.deadline), day(told.due_by))),
  });
}

function handOn(row) {
  const silent = row.state === "requested";
  give(row, text(silent ? "reroute" : "handOn"), silent ? text("rerouteSays", named(row.department)) : text("handOnSays"), [row.department], "handOnDone");
}

/* Departments that rejected it are not offered, unless there is no other. */
function assign(row) {
  const says = [text("assignSays"), row.department ? text("rerouteSays", named(row.department)) : ""].join(" ").trim();
  const rejected = [row.department, ...row.rejections.map((one) => one.department)];
  give(row, text("assign"), says, Object.keys(departments).every((one) => rejected.includes(one)) ? [row.department] : rejected, "assignDone");
}

function give(row, title, says, without, told) {
  const choices = Object.keys(departments).filter((one) => !without.includes(one)).map((one) => [one, named(one)]);
  before(title, says, {
    fields: [{ name: "department", label: text("to"), kind: "select", options: choices }, { name: "note", label: text("note"), kind: "area", optional: true }],
    send: ({ id, department, note }) => send("POST", `/${row.request_id}/transitions`, {
      body: { id, to: "requested", department, part: row.part, ...(note ? { note } : {}) }, version: row.version,
    }),
    done: (answer, { department }) => finished(text(told, named(department))),
  });
}

function withdraw(row) {
  const parts = rows.filter((one) => one.request_id === row.request_id && withdrawn.has(one.state));
  const lead = rows.find((one) => one.request_id === row.request_id && one.part === 1);
  const choices = parts.map((one) => [String(one.part), text("onlyPart", one.part, named(one.department))]);
  const fields = row.parts === 1 ? [] : [{ name: "part", label: text("which"), kind: "select", options: lead ? [["", text("whole")], ...choices] : choices, optional: true }];
  before(text("withdraw"), text("withdrawSays"), {
    fields, danger: true,
    send: ({ id, part }) => send("POST", `/${row.request_id}/transitions`, {
      body: { id, to: "cancelled", reason: "resident-withdrew", ...(part ? { part: Number(part) } : {}) },
      version: (part ? parts.find((one) => String(one.part) === part) : lead).version,
    }),
    done: () => finished(text("withdrawDone")),
  });
}

function answerLook(look) {
  before(text("answer"), text("answerSays"), {
    fields: [{ name: "finding", label: text("finding"), kind: "select", options: ["stands", "opened-anew", "record-to-be-corrected"].map((one) => [one, word(one)]) }],
    send: (body) => send("POST", `/${look.request_id}/looks/${look.look_id}/answer`, { body }),
    done: (told) => finished([text("answerDone", word(told.finding)), told.opened_anew ? text("openedAnew") : ""].join(" ").trim()),
  });
}

function addPart(request) {
  const taken = new Set(request.tasks.filter((one) => withdrawn.has(one.state)).map((one) => one.department));
  const free = Object.keys(departments).filter((one) => !taken.has(one));
  const changes = (input, form) => form.elements.need_type.replaceChildren(
    ...Object.keys(needs[input.value]).filter((one) => !noPart.has(one)).map((one) => asking.option([one, needed(one)])));
  before(text("addPart"), text("addPartSays"), {
    fields: [
      { name: "department", label: text("department"), kind: "select", options: free.map((one) => [one, named(one)]), changes },
      { name: "need_type", label: text("need"), kind: "select", options: [] },
      { name: "consented", label: text("consented"), kind: "tick" }, { name: "note", label: text("note"), kind: "area", optional: true },
    ],
    send: ({ note, ...body }) => send("POST", `/${request.request_id}/parts`, { body: note ? { ...body, note } : body, version: request.parts }),
    done: (told, { department }) => finished(text("addPartDone", told.part, named(department))),
  });
}

function confer(request) {
  const seats = live(request).filter((one) => one.department && !["draft", "rejected", "cancelled", "entered-in-error"].includes(one.state));
  const at = (on, hour) => `${on}T${hour}:00+08:00`;
  before(text("confer"), text("conferSays"), {
    fields: [
      { name: "parts", label: text("who"), kind: "ticks", options: seats.map((one) => [one.part, `${named(one.department)}${one.part === 1 ? ` (${text("leads")})` : ""}`, one.part === 1]) },
      { name: "day", label: text("day"), kind: "date" }, { name: "from", label: text("from"), kind: "time" }, { name: "until", label: text("until"), kind: "time" },
    ],
    send: ({ id, parts, ...when }) => send("POST", `/${request.request_id}/conferences`, {
      body: { id, parts, starts_at: at(when.day, when.from), ends_at: at(when.day, when.until) }, version: request.parts,
    }),
    done: (told, when) => finished(text("conferDone", `${when.day} ${when.from} – ${when.until}`)),
  });
}
