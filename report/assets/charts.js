// Draws every chart of the page from the specification inside it, and narrower where the chart has
// less room than it asks for. The colours are those of the page, whatever they become.
(() => {
  const PAGE = { text: "currentColor", rule: "var(--bs-border-color)" };
  const PAPER = { text: "#1d2126", rule: "#d5d9de" };

  const embed = (place, specification, { text, rule }) => {
    const words = { labelColor: text, titleColor: text };
    const config = {
      axis: { ...words, domainColor: rule, tickColor: rule, gridColor: rule },
      header: words,
      legend: words,
      text: { color: text },
      title: { color: text },
    };
    return vegaEmbed(place, specification, { actions: false, config, renderer: "svg" });
  };

  // In whole pixels, of which a chart is made, and never more than there are; once it is drawn, a
  // chart is as wide as its drawing.
  const roomIn = (place) => Math.floor(place.parentElement.getBoundingClientRect().width);

  // Legends with one entry beneath the other.
  const stacked = (specification) =>
    JSON.parse(
      JSON.stringify(specification, (key, value) =>
        key === "legend" && value ? { ...value, columns: 1 } : value,
      ),
    );

  // The same chart for less room: fewer views in a row, or one with its text as large as before,
  // whose drawing is then as wide as the room, however wide its legend is.
  const fitted = (specification, natural, room) => {
    const { columns, width, height } = specification;
    if (columns) return { ...specification, columns: Math.floor((columns * room) / natural) || 1 };
    const autosize = { type: "fit-x", contains: "padding" };
    const square = width === height ? { height: Math.min(height, room) } : {};
    // Vega leaves no room for that half of a label which lies beyond the end of its axis.
    const padding = { left: 5, top: 5, right: 12, bottom: 5 };
    return { ...stacked(specification), autosize, padding, width: room, ...square };
  };

  // The same chart, beginning with what its reader has chosen: a list holds one field's value.
  const chosen = ({ specification, drawn }) => ({
    ...specification,
    params: specification.params?.map((parameter) => {
      const { name, select, bind } = parameter;
      if (!bind || !drawn) return parameter;
      const value = drawn.view.signal(select ? `${name}_${select.fields[0]}` : name);
      return { ...parameter, value };
    }),
  });

  const draw = async (chart) => {
    const { place } = chart;
    const room = roomIn(place);
    if (room === chart.room) return;
    chart.room = room;
    chart.specification = chosen(chart);
    let specification = chart.specification;
    chart.drawn?.finalize();
    chart.drawn = await embed(place, specification, PAGE);
    for (const remedy of [fitted, stacked]) {
      const natural = Number(place.querySelector("svg").getAttribute("width"));
      if (natural <= room) break; // else the style sheet makes it smaller in the end
      specification = remedy(specification, natural, room);
      chart.drawn.finalize();
      chart.drawn = await embed(place, specification, PAGE);
    }
    // A picture has no parts; one with lists to choose from is a group of them.
    if (place.querySelector("select, input")) place.setAttribute("role", "group");
  };

  // One drawing of a chart at a time.
  const request = (chart) => {
    chart.done = chart.done
      .then(() => draw(chart))
      .catch((error) => {
        chart.place.textContent = `This chart could not be drawn: ${error.message}`;
        console.error(error);
      });
    return chart.done;
  };

  // For use elsewhere: as on white paper, at its natural size, whatever the page looks like.
  const onPaper = async (chart) => {
    await chart.done;
    const specification = { ...chosen(chart), background: "white" };
    const drawn = await embed(document.createElement("div"), specification, PAPER);
    const svg = await drawn.view.toSVG();
    drawn.finalize();
    return svg;
  };

  document.addEventListener("DOMContentLoaded", async () => {
    const charts = [...document.querySelectorAll("div.chart")].map((place) => ({
      place,
      specification: JSON.parse(place.querySelector("script").textContent),
      done: Promise.resolve(),
    }));
    for (const chart of charts) {
      const name = `${chart.place.id.replace("chart-", "")}.svg`;
      const button = saving("Chart (SVG)", name, "image/svg+xml", () => onPaper(chart));
      const line = chart.place.nextElementSibling;
      line?.querySelector("a")?.after(" · ", button);
      chart.place.closest("figure")?.append(line); // beneath the caption
    }
    await Promise.all(charts.map(request));
    document.documentElement.dataset.charts = "drawn";
    performance.mark("charts drawn");
    // The charts have moved what a link into this page led to.
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target) target.scrollIntoView();
    addEventListener("resize", () => charts.forEach(request));
  });
})();
