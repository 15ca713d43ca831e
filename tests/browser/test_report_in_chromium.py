"""The pages in a real browser: no error, nothing loaded, sorting, filtering, keyboard, phone."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from fake_run import FakeRun  # noqa: E402

from cdb_video.report.page import write_report  # noqa: E402
from cdb_video.report.versus import write_comparison  # noqa: E402

pytestmark = pytest.mark.browser
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "' onclick='x",
    "é",
]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


@pytest.fixture
def opened(browser):
    """(file, **context) -> page; at the end there was no message and no request but the file."""
    messages, requests, contexts = [], [], []

    def opened(path, **context):
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("dialog", lambda dialog: messages.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.resolve().as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert sum(url.startswith("file:") for url in requests) == len(contexts)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """num_classes -> a folder with its page."""
    made = {}

    def run(num_classes):
        if num_classes not in made:
            names = None
            if num_classes == 2 + len(HOSTILE):
                names = [*HOSTILE, "plain", "other"]
            folder = tmp_path_factory.mktemp("run") / f"run {num_classes}"
            fake = FakeRun(folder, num_classes, names=names, samples=max(600, 20 * num_classes))
            fake.write_training(epochs=30 if num_classes == 1000 else 6)
            fake.write_test()
            write_report(folder)
            made[num_classes] = fake
        return made[num_classes]

    return run


def column(page, number):
    return page.locator(f"#classes tbody tr:not([hidden]) > :nth-child({number})")


@pytest.mark.parametrize("num_classes", [2, 19, 106, 1000])
def test_a_page_opens_sorts_and_filters(opened, runs, num_classes):
    run = runs(num_classes)
    path = run.folder / "report.html"
    assert path.stat().st_size < 5_000_000
    page = opened(path)
    assert column(page, 1).count() == num_classes
    trained = [int(text.split()[0]) for text in column(page, 3).all_inner_texts()]
    assert trained == sorted(trained, reverse=True)
    heading = page.get_by_role("button", name="train", exact=True)
    heading.click()
    assert [int(t.split()[0]) for t in column(page, 3).all_inner_texts()] == sorted(trained)
    assert page.locator("#classes th[aria-sort=ascending]").count() == 1
    heading.click()
    assert [int(t.split()[0]) for t in column(page, 3).all_inner_texts()] == trained
    page.get_by_role("button", name="Class", exact=True).click()
    names = column(page, 1).all_inner_texts()
    assert names == page.evaluate("names => names.sort((a, b) => a.localeCompare(b))", names)
    recall = page.get_by_role("button", name="recall", exact=True)
    recall.click()
    shown = [text.split()[0] for text in column(page, 6).all_inner_texts()]
    known = [float(text) for text in shown if text != "–"]
    assert known == sorted(known)
    assert "–" not in shown[: len(known)]  # what is not known comes last
    field = page.get_by_role("searchbox")
    field.fill("MINOR")
    groups = set(column(page, 2).all_inner_texts())
    assert groups == {"minority"}
    told = page.locator(".filter output").inner_text()
    assert told == f"{column(page, 1).count()} of {num_classes}"
    field.fill("no such class")
    assert column(page, 1).count() == 0
    field.fill("")
    assert column(page, 1).count() == num_classes


def test_it_can_be_used_by_keyboard(opened, runs):
    page = opened(runs(19).folder / "report.html")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "F1":
            break
    page.keyboard.press("Enter")
    assert page.locator("#classes th[aria-sort=ascending]").inner_text().startswith("F1")
    page.keyboard.press("Space")
    assert page.locator("#classes th[aria-sort=descending]").count() == 1


def test_hostile_names_are_only_names(opened, runs):
    page = opened(runs(6).folder / "report.html")
    assert set(HOSTILE) <= set(column(page, 1).all_inner_texts())
    page.wait_for_timeout(200)


@pytest.mark.parametrize("num_classes", [19, 106])
def test_a_phone_scrolls_tables_and_not_the_page(opened, runs, num_classes):
    page = opened(runs(num_classes).folder / "report.html", viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_dark_is_dark(opened, runs):
    background = "getComputedStyle(document.body).backgroundColor"
    path = runs(19).folder / "report.html"
    assert opened(path, color_scheme="light").evaluate(background) == "rgb(255, 255, 255)"
    dark = opened(path, color_scheme="dark").evaluate(background)
    assert all(int(part) < 40 for part in dark[4:-1].split(","))


def test_it_can_be_printed(opened, runs, tmp_path):
    page = opened(runs(19).folder / "report.html")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_comparison_opens_and_sorts(opened, runs, tmp_path):
    run = runs(19)
    other = tmp_path / "other"
    shutil.copytree(run.folder, other)
    rows = (other / "test" / "predictions.csv").read_text().splitlines(keepends=True)
    for place in range(1, len(rows), 7):
        cells = rows[place].split(",")
        cells[5] = cells[4]
        rows[place] = ",".join(cells)
    (other / "test" / "predictions.csv").write_text("".join(rows))
    page = opened(write_comparison(tmp_path / "comparison.html", [run.folder, other]))
    assert page.locator("figure").count() == 24
    table = page.locator("table.sortable").first
    table.get_by_role("button", name="points").click()
    shown = table.locator("tbody tr > :nth-child(6)").all_inner_texts()
    points = [float(text) for text in shown]
    assert points == sorted(points)
    assert all(point > 0 for point in points)
