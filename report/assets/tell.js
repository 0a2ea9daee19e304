// Asks which image of each pair is the attacked one, says the score, and saves the answers.
(() => {
  "use strict";
  const element = (name) => document.getElementById(`tell-${name}`);
  const { columns, epsilon, pairs, scores } = JSON.parse(element("content").textContent);
  const parts = ["start", "asking", "done"];
  let answers = [];

  const is = (part) => !element(part).hidden;
  const show = (part) => parts.forEach((name) => { element(name).hidden = name !== part; });
  const right = (answer, number) => Number(answer === pairs[number].side);

  function ask() {
    const number = answers.length;
    if (number === pairs.length) return finish();
    show("asking");
    for (const side of ["left", "right"]) element(side).querySelector("img").src = pairs[number][side];
    element("place").textContent = `Pair ${number + 1} of ${pairs.length}`;
    element("progress").max = pairs.length;
    element("progress").value = number;
    element("back").disabled = number === 0;
  }

  function answer(side) {
    answers.push(side);
    ask();
  }

  function finish() {
    show("done");
    element("score").textContent = scores[answers.reduce((sum, one, at) => sum + right(one, at), 0)];
    element("pairs").replaceChildren(...pairs.map(reviewed));
    element("score").focus();
  }

  function reviewed(pair, number) {
    const item = document.createElement("li");
    const both = document.createElement("div");
    for (const side of ["left", "right"]) {
      const image = document.createElement("img");
      image.src = pair[side];
      image.alt = `pair ${number + 1}, ${side}: ${side === pair.side ? "attacked" : "clean"}`;
      both.append(image);
    }
    const mark = right(answers[number], number) ? "✓" : "✕";
    item.append(both, `${mark} attacked: ${pair.side}, your answer: ${answers[number]}`);
    return item;
  }

  function csv(reader) {
    const rows = pairs.map((pair, number) => ({
      reader, pair: number + 1, index: pair.index, side: pair.side,
      answer: answers[number], right: right(answers[number], number), epsilon,
    }));
    return [columns, ...rows.map((row) => columns.map((name) => row[name]))]
      .map((fields) => `${fields.join(",")}\n`)
      .join("");
  }

  function save(event) {
    event.preventDefault();
    const reader = element("reader").value;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(reader)], { type: "text/csv" }));
    link.download = `${reader}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function begin() {
    answers = [];
    ask();
    element("left").focus();
  }

  element("begin").addEventListener("click", begin);
  // Whoever has seen which image was attacked gives no answer that counts.
  element("again").addEventListener("click", () => { element("save").hidden = true; begin(); });
  element("left").addEventListener("click", () => answer("left"));
  element("right").addEventListener("click", () => answer("right"));
  element("back").addEventListener("click", () => { answers.pop(); ask(); });
  element("save").addEventListener("submit", save);
  document.addEventListener("keydown", (event) => {
    const side = { ArrowLeft: "left", ArrowRight: "right" }[event.key];
    if (!side || event.ctrlKey || event.metaKey || event.altKey || !is("asking")) return;
    event.preventDefault();
    answer(side);
  });
})();
