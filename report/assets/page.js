// Gives every table its data as CSV, lets the keyboard move what is wider than the page, and gives
// tables of many columns more of its width.
(() => {
  // In the source these classes of Quarto's would leave room for notes on every page of the PDF too.
  const WIDE = {
    "column-page": "#tbl-effects, #tbl-tests, #tbl-benchmark",
    "column-body-outset": "#tbl-sanity",
  };
  // Before Quarto's own scripts look for what stands in the way of the table of contents.
  for (const [column, tables] of Object.entries(WIDE)) {
    for (const wide of document.querySelectorAll(tables)) {
      wide.classList.add(column);
      const outermost = wide.closest("main");
      for (let around = wide.parentElement; around && around !== outermost; around = around.parentElement) {
        around.classList.add("page-columns", "page-full");
      }
    }
  }

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
    URL.revokeObjectURL(link.href);
  };

  // A table is told by its caption, or by the heading that it stands under.
  const nameOf = (table) => {
    const caption = table.closest("figure")?.querySelector("figcaption");
    if (caption) return caption.textContent.trim();
    const above = [...document.querySelectorAll("h1, h2, h3")].filter(
      (heading) => heading.compareDocumentPosition(table) & Node.DOCUMENT_POSITION_FOLLOWING,
    );
    return above.at(-1)?.textContent.trim() ?? document.title;
  };

  const frameOf = (table) => {
    const frame = document.createElement("div");
    frame.className = "wide";
    frame.setAttribute("aria-label", nameOf(table));
    table.replaceWith(frame);
    frame.append(table);
    return frame;
  };

  document.addEventListener("DOMContentLoaded", () => {
    const tables = [...document.querySelectorAll("table")];
    const frames = tables.map(frameOf).concat(...document.querySelectorAll("pre"));
    const check = () => {
      for (const frame of frames) {
        const scrolls = frame.scrollWidth > frame.clientWidth;
        if (!scrolls) {
          frame.removeAttribute("tabindex");
          frame.removeAttribute("role");
        } else {
          frame.tabIndex = 0;
          if (frame.className === "wide") frame.setAttribute("role", "region");
        }
      }
    };
    check();
    new ResizeObserver(check).observe(document.body);

    for (const exhibit of document.querySelectorAll('[id^="tbl-"]')) {
      const table = exhibit.querySelector("table");
      if (!table) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Data (CSV)";
      button.addEventListener("click", () => save(`${exhibit.id.slice(4)}.csv`, csv(table)));
      const line = document.createElement("p");
      line.className = "figure-data";
      line.append(button);
      exhibit.append(line);
    }
  });
})();
