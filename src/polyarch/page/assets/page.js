// What a page can do with scripts: copy buttons, and the check of an image's contents without leaving its page.
// Everything can be read without them.
"use strict";

const words = document.body.dataset;

function buttons(root) {
  for (const button of root.querySelectorAll("button.copy")) {
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const done = await copy(button.dataset.copy);
      button.textContent = done ? words.copied : words.copyFailed;
      button.classList.toggle("done", done);
      say(button.textContent);
      setTimeout(() => {
        button.textContent = label;
        button.classList.remove("done");
      }, 2000);
    });
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS a browser has no such clipboard, but it copies what is selected.
    const field = document.createElement("textarea");
    const before = document.activeElement;
    field.value = text;
    field.className = "unseen";
    field.readOnly = true;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus();
    return done;
  }
}

// A screen reader speaks what changes in here.
const voice = document.createElement("p");
voice.className = "unseen";
voice.setAttribute("role", "status");
document.body.append(voice);

function say(text) {
  voice.textContent = text;
}

async function fill(section) {
  const busy = section.querySelector(".busy");
  if (busy) busy.hidden = false;
  try {
    const answer = await fetch(section.dataset.fill, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#platforms");
    if (!found) return;
    const focused = [...section.querySelectorAll("a")].indexOf(document.activeElement);
    const fresh = document.importNode(found, true);
    section.replaceWith(fresh);
    buttons(fresh);
    if (focused >= 0) fresh.querySelectorAll("a")[focused]?.focus();
    say(fresh.querySelector(".verdict ul").textContent.trim());
  } catch {
    // The link beside it leads to the same.
  } finally {
    if (busy) busy.hidden = true;
  }
}

// A page in a file cannot ask a server, so its long tables are filtered here.
function filter(table) {
  if (document.querySelector("form.filter input[type=search]")) return;
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 10) return;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = words.filter;
  field.setAttribute("aria-label", words.filter);
  const line = document.createElement("p");
  line.className = "filter";
  line.append(field);
  table.parentElement.before(line);
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    }
  });
}

buttons(document);
for (const table of document.querySelectorAll("table[data-filter]")) filter(table);
for (const section of document.querySelectorAll("[data-fill]")) fill(section);
