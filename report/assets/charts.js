// Draws every chart of the page from the specification inside it.
document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("div.chart")) {
    const specification = JSON.parse(place.querySelector("script").textContent);
    const options = {
      actions: { export: true, source: false, compiled: false, editor: false },
      renderer: "svg",
    };
    vegaEmbed(place, specification, options).catch((error) => {
      place.textContent = `This chart could not be drawn: ${error.message}`;
      console.error(error);
    });
  }
});
