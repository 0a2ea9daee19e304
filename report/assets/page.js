// Gives every table its data as CSV, gives tables of many columns more of the page's width, turns
// the rows of what a phone or a tablet is too narrow for into cards, and lets the keyboard move what is wide.
(() => {
  // In the source this class of Quarto's would leave room for notes on every page of the PDF too,
  // and Quarto's own scripts look for it when the page is complete.
  const columns = "#tbl-answer, #tbl-verdicts, #tbl-tests, #tbl-changes, #tbl-classes";
  for (const wide of document.querySelectorAll(columns)) {
    // The answer stays clear of the contents at the right.
    wide.classList.add(wide.id === "tbl-answer" ? "column-page-left" : "column-page");
    let around = wide.parentElement;
    for (; around?.closest("main"); around = around.parentElement) {
      around.classList.add("page-columns", "page-full");
    }
  }

  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  const csv = (table) =>
    [...table.rows]
      .map((row) => [...row.cells].map((cell) => quoted(cell.textContent.trim())).join(","))
      .join("\r\n");

  // A button that saves what it is asked for then; charts have such buttons too.
  window.saving = (text, name, type, content) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", async () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([await content()], { type }));
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
    });
    return button;
  };

  // A table is named by its caption, or by the heading that it stands under.
  const nameOf = (table) => {
    const caption = table.closest("figure")?.querySelector("figcaption");
    const above = [...document.querySelectorAll("h1, h2, h3")].filter(
      (heading) => heading.compareDocumentPosition(table) & Node.DOCUMENT_POSITION_FOLLOWING,
    );
    return (caption ?? above.at(-1))?.textContent.trim() ?? document.title;
  };

  const frameOf = (table) => {
    const frame = document.createElement("div");
    frame.className = "wide";
    frame.setAttribute("aria-label", nameOf(table));
    table.replaceWith(frame);
    frame.append(table);
    return frame;
  };

  // A row as a card says of each value which column it is in; the roles keep it a table to readers
  // of the screen.
  const asCards = (frame) => {
    const [table] = frame.children;
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    table.role = "table";
    for (const row of table.tBodies[0].rows) {
      row.role = "row";
      [...row.cells].forEach((cell, column) => {
        cell.role = "cell";
        cell.dataset.column = heads[column];
      });
    }
    frame.classList.add("cards");
  };

  const offer = (exhibit) => {
    const table = exhibit.querySelector("table");
    if (!table) return;
    const line = document.createElement("p");
    line.className = "figure-data";
    const name = `${exhibit.id.slice(4)}.csv`;
    line.append(saving("Data (CSV)", name, "text/csv", () => csv(table)));
    exhibit.append(line);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const tables = [...document.querySelectorAll("table")].map(frameOf);
    if (matchMedia("(max-width: 60rem)").matches) {
      const phone = matchMedia("(max-width: 30rem)").matches;
      const narrow = (frame) =>
        frame.scrollWidth > frame.clientWidth || (phone && frame.closest("#tbl-answer"));
      tables.filter(narrow).forEach(asCards);
    }
    const frames = [...tables, ...document.querySelectorAll("pre")];
    const check = () => {
      for (const frame of frames) {
        const scrolls = frame.scrollWidth > frame.clientWidth;
        frame.toggleAttribute("tabindex", scrolls);
        if (scrolls) frame.tabIndex = 0;
        frame.role = scrolls && frame.classList.contains("wide") ? "region" : null;
      }
    };
    check();
    new ResizeObserver(check).observe(document.body);
    document.querySelectorAll('[id^="tbl-"]').forEach(offer);
  });
})();
