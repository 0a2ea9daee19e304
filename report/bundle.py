"""Write the site's one copy of Vega, from the package that also draws the charts for print."""

from __future__ import annotations

from pathlib import Path

VEGA = Path(__file__).parent / "assets" / "vega.js"


def prepare() -> None:
    """Write the bundle where the site's pages load it from, unless it is there already."""
    import vl_convert

    # In a function of its own, so that none of its many names meets those of the page.
    bundle = "(() => {" + vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;") + "})();\n"
    if not VEGA.is_file() or VEGA.read_text(encoding="utf-8") != bundle:
        VEGA.write_text(bundle, encoding="utf-8")
