"use strict";

const asking = (() => {
  const texts = {
    yes: ["确认", "Do it"], no: ["不做", "Leave it"], again: ["重新读取", "Read again"],
    lost: ["没有回应，可能已办理也可能没有；再按一次“确认”不会重复办理。", "No answer: it may or may not be done. To press again does not do it twice."],
    stale: ["您看到的已不是最新：刚才有人作了变动，这次没有办理。请重新读取后再决定。", "What you see is out of date: somebody changed it meanwhile, and nothing was done. Read it again, then decide."],
    signIn: ["请重新登录后再试。", "Sign in again, then try once more."],
  };

  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    let now = Date.now();
    for (let at = 5; at >= 0; at -= 1) { bytes[at] = now % 256; now = Math.floor(now / 256); }
    bytes[6] = 112 | (bytes[6] & 15);
    bytes[8] = 128 | (bytes[8] & 63);
    const hex = [...bytes].map((one) => one.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  function made(name, content, className) {
    const found = document.createElement(name);
    if (content !== undefined) found.textContent = content;
    if (className) found.className = className;
    return found;
  }

  function download(blob, name) {
    const link = made("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function option([value, content]) {
    const found = made("option", content);
    found.value = value;
    return found;
  }

  function tick(label, checked, fixed) {
    const line = made("label", undefined, "tick"), box = made("input");
    box.type = "checkbox";
    box.checked = Boolean(checked);
    box.disabled = Boolean(fixed);
    line.append(box, made("span", label));
    return [line, box];
  }

  /* A field is { name, label, kind, options?, optional?, changes? }; what it gives is read when its dialog is sent. */
  function field(one) {
    if (one.kind === "tick") {
      const [line, box] = tick(one.label);
      box.name = one.name;
      return { line, value: () => box.checked };
    }
    if (one.kind === "ticks") {
      const line = made("fieldset"), boxes = one.options.map(([value, label, fixed]) => [value, ...tick(label, fixed, fixed)]);
      line.name = one.name;
      line.append(made("legend", one.label), ...boxes.map(([, label]) => label));
      return { line, value: () => boxes.filter(([, , box]) => box.checked).map(([value]) => value) };
    }
    const line = made("label", undefined, one.kind), input = made({ select: "select", area: "textarea" }[one.kind] || "input");
    if (one.kind === "select") input.append(...one.options.map(option));
    else if (one.kind === "area") input.maxLength = 2000;
    else input.type = one.kind;
    input.name = one.name;
    input.required = !one.optional;
    if (one.changes) input.addEventListener("change", () => one.changes(input, line.closest("form")));
    line.append(made("span", one.label), input);
    return { line, value: () => input.value.trim() };
  }

  /* What is to be done is asked, then sent under one id however often, until an answer came; `again` reads anew. */
  function before({ language, title, says, fields = [], danger, send, done, again }) {
    const dialog = made("dialog"), form = made("form"), told = made("p", undefined, "told"), acts = made("div", undefined, "acts");
    const yes = made("button", texts.yes[language], danger ? "main danger" : "main"), no = made("button", texts.no[language]);
    const inputs = new Map(fields.map((one) => [one.name, field(one)]));
    let sent = "", id = "";
    no.type = "button";
    told.hidden = true;
    told.setAttribute("role", "alert");
    acts.append(no, yes);
    form.append(made("h2", title), ...(says ? [made("p", says)] : []), ...[...inputs.values()].map((one) => one.line), told, acts);
    dialog.append(form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => dialog.remove());
    no.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const values = Object.fromEntries([...inputs].map(([name, one]) => [name, one.value()]));
      const said = JSON.stringify(values);
      if (said !== sent) { sent = said; id = newId(); }
      yes.disabled = true;
      const answer = await send({ id, ...values });
      yes.disabled = false;
      const found = answer && await answer.json().catch(() => null);
      if (answer && answer.ok) { dialog.close(); await done(found, values); return; }
      told.hidden = false;
      if (answer && answer.status === 412) {
        const reads = made("button", texts.again[language], "main");
        reads.type = "button";
        reads.addEventListener("click", () => { dialog.close(); again(); });
        yes.replaceWith(reads);
        told.textContent = texts.stale[language];
        reads.focus();
      } else if (answer && answer.status === 401) told.textContent = texts.signIn[language];
      else told.textContent = (found && problem(found)) || texts.lost[language];
    });
    for (const one of fields) if (one.changes) one.changes(form.elements[one.name], form);
    dialog.showModal();
  }

  const problem = (found) => [found.detail, ...(found.errors || []).map((one) => one.detail)]
    .filter((one, at, all) => one && all.indexOf(one) === at).join(" ");

  return { before, newId, element: made, option, problem, download };
})();
