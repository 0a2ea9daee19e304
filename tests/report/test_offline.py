"""Pages opened from a file ask for no module; over http they do as before."""

from __future__ import annotations

from report.finish import dated
from report.offline import quiet

PAGE = '<script src="a.js"></script><script src="libs/b.js" type="module"></script><p>x</p>'


def test_only_modules_are_held_back():
    page = quiet(PAGE)
    assert page.startswith('<script src="a.js"></script>') and page.endswith("<p>x</p>")
    assert '<script src="libs/b.js" type="module"></script>' not in page
    assert "location.protocol !== 'file:'" in page
    assert page.count("</script>") == 2


def test_a_page_that_was_quieted_stays_as_it_is():
    assert quiet(quiet(PAGE)) == quiet(PAGE)


def test_a_page_with_a_date_tells_it_to_google_scholar_once():
    tags = (
        '<meta name="dcterms.date" content="2026-01-31">\n<meta name="citation_title" content="T">'
    )
    told = dated(tags)
    assert '<meta name="citation_publication_date" content="2026/01/31">' in told
    assert dated(told) == told
    assert dated("<p>No date.</p>") == "<p>No date.</p>"
