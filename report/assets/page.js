// Gives every table its data as CSV, and lets the keyboard move what is wider than the page.
(() => {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  const csv = (table) =>
    [...table.rows]
      .map((row) => [...row.cells].map((cell) => quoted(cell.textContent.trim())).join(","))
      .join("\r\n");

  const save = (name, content) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
    link.download = name;
    link.click();
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const figure of document.querySelectorAll('[id^="tbl-"]')) {
      const table = figure.querySelector("table");
      if (!table) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Data (CSV)";
      button.addEventListener("click", () => save(`${figure.id.slice(4)}.csv`, csv(table)));
      const line = document.createElement("p");
      line.className = "figure-data";
      line.append(button);
      figure.append(line);
    }
    const wide = () => {
      for (const frame of document.querySelectorAll("table, pre, table, :has(> table)")) {
        const scrolls = getComputedStyle(frame).overflowX !== "visible";
        if (scrolls && frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
      }
    };
    wide();
    addEventListener("load", wide);
    addEventListener("resize", wide);
  });
})();
