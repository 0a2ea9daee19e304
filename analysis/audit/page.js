"use strict";

const content = JSON.parse(document.getElementById("content").textContent);
const { classes, pictures } = content;
// A key for each class, if there are few and their names are single characters.
const byKey = classes.length <= 10 && classes.every((name) => [...name].length === 1);
const element = (id) => document.getElementById(id);
const readings = new Map();
let reader = "";
let place = 0;

const key = () => ["audit", content.study, content.images, reader].join(" ");

function restore() {
  readings.clear();
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(key())) || {};
  } catch {
    // Nothing is kept, or the browser keeps nothing.
  }
  for (const { index } of pictures) {
    const reading = kept[index];
    if (reading === "" || classes.includes(reading)) readings.set(index, reading);
  }
  const unread = pictures.findIndex(({ index }) => !readings.has(index));
  place = unread < 0 ? pictures.length : unread;
}

function keep() {
  try {
    localStorage.setItem(key(), JSON.stringify(Object.fromEntries(readings)));
  } catch {
    element("note").textContent = "This browser does not keep your progress: do not close the page.";
  }
}

function show() {
  const done = place === pictures.length;
  element("reading").hidden = done;
  element("done").hidden = !done;
  if (done) {
    element("save").focus();
    return;
  }
  const { index, png } = pictures[place];
  element("picture").src = `data:image/png;base64,${png}`;
  element("progress").max = pictures.length;
  element("progress").value = place;
  element("place").textContent = `Picture ${place + 1} of ${pictures.length}`;
  element("back").disabled = place === 0;
  const before = readings.get(index);
  element("note").textContent =
    before === undefined ? "" : `Before, you read it as ${before || "unreadable"}.`;
  element("answer").value = "";
  if (!byKey) element("answer").focus();
}

function read(reading) {
  readings.set(pictures[place].index, reading);
  place += 1;
  show();
  keep();
}

function back() {
  if (place > 0) place -= 1;
  show();
}

function readTyped() {
  const typed = element("answer").value.trim();
  const exact = classes.filter((name) => name === typed);
  const like = classes.filter((name) => name.toLowerCase().startsWith(typed.toLowerCase()));
  const same = like.filter((name) => name.length === typed.length);
  const [found] = [exact, same, like].filter((names) => names.length === 1);
  if (typed && found) read(found[0]);
  else element("note").textContent = typed ? `No single ${content.noun} begins so.` : "";
}

function quoted(field) {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : String(field);
}

function csv() {
  // By index, so that the order of the pictures is not in the file.
  const rows = [...readings].sort(([one], [other]) => one - other);
  const lines = rows.map(([index, reading]) => [content.study, reader, String(index), reading]);
  return [["study", "reader", "index", "reading"], ...lines]
    .map((fields) => `${fields.map(quoted).join(",")}\n`)
    .join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `${reader}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !reader) return;
  const reads = place < pictures.length;
  const typing = !byKey && element("answer").value !== "";
  if (event.key === "ArrowLeft" && !typing) back();
  else if (event.key === "Escape" && reads) read("");
  else if (byKey && reads && classes.includes(event.key)) read(event.key);
  else return;
  event.preventDefault();
}

for (const name of classes) {
  if (byKey) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => read(name));
    element("answers").append(button);
  } else {
    const option = document.createElement("option");
    option.value = name;
    element("classes").append(option);
  }
}
element("typed").hidden = byKey;
element("start").addEventListener("submit", (event) => {
  event.preventDefault();
  reader = element("reader").value;
  element("start").hidden = true;
  restore();
  show();
});
element("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  readTyped();
});
element("unreadable").addEventListener("click", () => read(""));
element("back").addEventListener("click", back);
element("again").addEventListener("click", back);
element("save").addEventListener("click", save);
document.addEventListener("keydown", press);
