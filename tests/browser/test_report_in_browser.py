"""The report as people see it: wide, narrow, light, dark, and without a network."""

from __future__ import annotations

import pytest

#: Contrast of every visible text with what is behind it, by WCAG 2; the lowest ones first.
CONTRASTS = """
() => {
  const canvas = document.createElement("canvas").getContext("2d");
  const plain = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const curve = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const part = (v) => curve(v / 255);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = plain(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("main *, nav *")) {
    if (element.closest(".panels svg")) continue;
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = light(plain(element instanceof SVGElement ? style.fill : style.color));
    const paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    found.push([ratio, element.tagName, element.textContent.trim().slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}
"""


@pytest.fixture
def opened(browser, report):
    """Give a function that opens the report; every request that it makes is noted."""
    contexts = []

    def open_page(width=1400, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
            offline=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.requests_made = []
        page.on("request", lambda request: page.requests_made.append(request.url))
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_but_wide_tables_scrolls_sideways(opened, width):
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_against_its_ground(opened, scheme):
    page = opened(scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert contrasts[0][0] >= 4.5, contrasts[:5]


def test_the_page_asks_for_nothing_but_itself(opened, report):
    page = opened()
    asked = [url for url in page.requests_made if not url.startswith("data:")]
    assert asked == [report.as_uri()]


def test_every_picture_of_the_gallery_is_drawn(opened):
    page = opened()
    sizes = page.evaluate(
        """async () => Promise.all([...document.querySelectorAll("svg image")].map(async (e) => {
             const picture = new Image();
             picture.src = e.getAttribute("href");
             await picture.decode();
             return [picture.naturalWidth, picture.naturalHeight];
           }))"""
    )
    assert len(sizes) > 8
    assert {tuple(size) for size in sizes} == {(30, 24)}
    boxes = page.evaluate(
        "[...document.querySelectorAll('.panels svg')].map((e) => e.getBoundingClientRect().width)"
    )
    assert min(boxes) > 60


def test_the_contents_stay_in_sight_and_lead_to_the_sections(opened):
    page = opened()
    page.click("nav.contents >> text=Right or wrong")
    assert page.evaluate(
        "Math.abs(document.getElementById('certainty').getBoundingClientRect().top) < 60"
    )
    assert page.locator("nav.contents").bounding_box()["y"] >= 0


def test_what_is_folded_opens_without_a_script(opened):
    page = opened()
    folded = page.locator("details", has_text="Training, epoch by epoch")
    assert not folded.locator("table").is_visible()
    folded.locator("summary").click()
    assert folded.locator("table").is_visible()


def test_the_index_leads_to_the_report_and_back(opened, report):
    page = opened()
    page.click("nav.contents >> text=All datasets")
    page.click("h2 >> a")
    assert page.url == report.as_uri()
