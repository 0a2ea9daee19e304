// Draws every chart of the page from the specification inside it: in the page's colours, again when
// they change, and narrower where the chart has less room than it asks for.
(() => {
  const NARROW = 480; // Below this many pixels a legend beside the chart costs too much.
  const PAPER = { text: "#1d2126", rule: "#d5d9de" };

  // What is dark enough for white paper, and its lighter relative for a dark page.
  const LIGHTER = { "#0072B2": "#56B4E9", "#D55E00": "#F0894A", "#009E73": "#3CC79C", "#767676": "#A3ABB5" };

  const onDark = (specification) => {
    let text = JSON.stringify(specification);
    for (const [dark, light] of Object.entries(LIGHTER)) text = text.replaceAll(dark, light);
    return JSON.parse(text);
  };

  const isLight = (colour) => {
    const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
    return 0.3 * red + 0.6 * green + 0.1 * blue > 128;
  };

  // In whole pixels, of which a chart is made, and never more than there are.
  const roomIn = (place) => Math.floor(place.getBoundingClientRect().width);

  const colours = (place) => {
    const style = getComputedStyle(place);
    return { text: style.color, rule: style.getPropertyValue("--chart-rule") || style.color };
  };

  const configuration = ({ text, rule }, narrow) => ({
    axis: {
      labelColor: text, titleColor: text, domainColor: rule, tickColor: rule, gridColor: rule,
    },
    header: { labelColor: text, titleColor: text },
    legend: { labelColor: text, titleColor: text, ...(narrow ? { orient: "top" } : {}) },
    text: { color: text },
    title: { color: text, subtitleColor: text },
  });

  // The same chart for less room: fewer columns, or less width with the text as large as before.
  const fitted = (specification, room, natural) => {
    const smaller = structuredClone(specification);
    if (smaller.columns) {
      smaller.columns = Math.max(1, Math.floor((smaller.columns * room) / natural));
    } else if (smaller.hconcat) {
      smaller.vconcat = smaller.hconcat;
      delete smaller.hconcat;
    } else if (typeof smaller.width === "number") {
      if (smaller.width === smaller.height) smaller.height = Math.min(smaller.height, room);
      smaller.width = room;
      smaller.autosize = { type: "fit-x", contains: "padding" };
    }
    return smaller;
  };

  // Legends with one entry beneath the other.
  const stacked = (specification) =>
    JSON.parse(
      JSON.stringify(specification, (key, value) =>
        key === "legend" && value ? { ...value, columns: 1 } : value,
      ),
    );

  // Every view of which a chart is made, narrower by what the whole is too wide.
  const narrowed = (specification, room, natural) => {
    const smaller = { ...specification };
    if (smaller.width > natural - room) smaller.width -= natural - room;
    for (const key of ["spec", "layer", "concat", "vconcat"]) {
      const parts = smaller[key];
      if (Array.isArray(parts)) smaller[key] = parts.map((part) => narrowed(part, room, natural));
      else if (parts) smaller[key] = narrowed(parts, room, natural);
    }
    return smaller;
  };

  const embed = (place, specification, palette, narrow) =>
    vegaEmbed(place, specification, {
      actions: false,
      config: configuration(palette, narrow),
      renderer: "svg",
    });

  // The same chart, beginning with what its reader has chosen: a list holds one field's value.
  const chosen = (specification, view) => ({
    ...specification,
    params: specification.params?.map((parameter) => {
      const { name, select, bind } = parameter;
      if (!bind) return parameter;
      return { ...parameter, value: view.signal(select ? `${name}_${select.fields[0]}` : name) };
    }),
  });

  const remember = (chart) => {
    if (chart.drawn) chart.specification = chosen(chart.specification, chart.drawn.view);
  };

  const draw = async (chart) => {
    const { place } = chart;
    remember(chart);
    chart.room = roomIn(place);
    chart.palette = colours(place);
    const dark = isLight(chart.palette.text);
    let specification = dark ? onDark(chart.specification) : chart.specification;
    const narrow = chart.room < NARROW;
    chart.drawn?.finalize();
    chart.drawn = await embed(place, specification, chart.palette, narrow);
    for (const remedy of [fitted, stacked, narrowed]) {
      const natural = Number(place.querySelector("svg").getAttribute("width"));
      if (natural <= chart.room) break;
      specification = remedy(specification, chart.room, natural);
      chart.drawn.finalize();
      chart.drawn = await embed(place, specification, chart.palette, narrow);
    }
    // A picture has no parts; one with lists to choose from is a group of them.
    if (place.querySelector("select, input")) place.setAttribute("role", "group");
  };

  // One drawing of a chart at a time; what is asked for meanwhile is done once, afterwards.
  const request = (chart) => {
    if (chart.busy) {
      chart.again = true;
      return chart.busy;
    }
    chart.busy = draw(chart)
      .catch((error) => {
        chart.place.textContent = `This chart could not be drawn: ${error.message}`;
        console.error(error);
      })
      .then(() => {
        chart.busy = null;
        const changed = chart.again && !matches(chart);
        chart.again = false;
        return changed ? request(chart) : undefined;
      });
    return chart.busy;
  };

  const matches = ({ place, room, palette }) => {
    const now = colours(place);
    return room === roomIn(place) && palette.text === now.text && palette.rule === now.rule;
  };

  // For use elsewhere: as on white paper, at its natural size, whatever the page looks like.
  const save = async (chart) => {
    const { place } = chart;
    if (!chart.busy) remember(chart);
    const onPaper = { ...chart.specification, background: "white" };
    const drawn = await embed(document.createElement("div"), onPaper, PAPER, false);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(
      new Blob([await drawn.view.toSVG()], { type: "image/svg+xml" }),
    );
    link.download = `${place.id.replace("chart-", "")}.svg`;
    link.click();
    URL.revokeObjectURL(link.href);
    drawn.finalize();
  };

  document.addEventListener("DOMContentLoaded", async () => {
    const charts = [...document.querySelectorAll("div.chart")].map((place) => ({
      place,
      specification: JSON.parse(place.querySelector("script").textContent),
    }));
    for (const chart of charts) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Chart (SVG)";
      button.addEventListener("click", () => save(chart));
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

    // A style sheet may take effect a moment after the class that asks for it.
    const refresh = () =>
      setTimeout(() => charts.filter((chart) => !matches(chart)).forEach(request), 100);
    new MutationObserver(refresh).observe(document.body, { attributeFilter: ["class"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
    addEventListener("resize", refresh);
  });
})();
