"""The console's page of a gallery, in a browser: what it holds, adding, deleting, and how it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Route, expect

from service.demo import GALLERY_LIST
from service.gallery import GallerySettings, NewItem
from service.indexing.pattern import parse_pattern

CROPS = sorted((GALLERY_LIST.parent / "gallery").glob("demo-006*.jpg"))
NAMED = r"(?<id>(?<person>\d{4})_(?<camera>c\d)s\d_\d+)"
VIEWS = ("", "add", "keeping")


def show(console: Any, gallery: str, **params: str) -> Page:
    """Opens the page of a gallery, and waits until it is there."""
    page: Page = console.page
    address = "&".join(f"{name}={value}" for name, value in {"gallery": gallery, **params}.items())
    page.goto(f"{console.url}/#/gallery?{address}")
    expect(page.get_by_role("heading", level=1, name=gallery)).to_be_visible()
    return page


def button(place: Page | Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name)


def files(page: Page) -> Locator:
    return page.locator(".add input[type=file]").first


def count(console: Any, gallery: str) -> int:
    return int(console.served.client.get(f"/v1/galleries/{gallery}").json()["count"])


@pytest.fixture
def holding(served: Any) -> Callable[..., str]:
    """Makes a gallery with crops of one person: the first half seen by `entrance`, the others by `exit`."""

    def made(name: str, items: int = 6, **settings: Any) -> str:
        served.gallery(name, **settings)
        for number, crop in enumerate(CROPS[:items]):
            facts = {"camera_id": "entrance" if number < items // 2 else "exit"}
            headers = {"Content-Type": "image/jpeg"}
            path = f"/v1/galleries/{name}/items/{crop.stem}"
            served.client.put(path, content=crop.read_bytes(), headers=headers, params=facts).raise_for_status()
        return name

    return made


# ---- what it holds ---------------------------------------------------------------------------------------------------


def test_the_page_tells_what_a_gallery_holds(console: Any) -> None:
    page = show(console, "demo")
    expect(page.get_by_text("464 crops of 40 known persons, seen by 6 cameras on Mon, 2 Mar 2026.")).to_be_visible()
    cameras = console.served.client.get("/v1/galleries/demo/summary").json()["cameras"]["largest"]
    rows = page.get_by_role("region", name="By camera").get_by_role("listitem")
    assert [row.split() for row in rows.all_inner_texts()] == [[one["camera_id"], str(one["count"])] for one in cameras]
    chart = page.get_by_role("region", name="Over time")
    expect(
        chart.get_by_role("img", name="Items by hour. Most in the hour from 2 Mar, 09:00: 160 items.")
    ).to_be_visible()
    chart.get_by_text("As a table").click()
    assert sum(int(cell) for cell in chart.locator("td.figures").all_inner_texts()) == 464


def test_items_are_browsed_by_pages_and_filters(console: Any) -> None:
    page = show(console, "demo")
    items = page.locator(".item")
    expect(items).to_have_count(60)
    button(page, "Show more").click()
    expect(items).to_have_count(120)
    ids = items.evaluate_all("all => all.map((one) => one.dataset.id)")
    assert len(set(ids)) == 120
    expect(items.nth(60).locator(".hit-open")).to_be_focused()
    button(page, "c4 72").click()
    expect(page.get_by_text("72 items of camera c4; the first 60 are shown.")).to_be_visible()
    expect(button(page, "c4 72")).to_be_focused()
    assert set(items.locator(".hit-place strong").all_inner_texts()) == {"c4"}
    page.get_by_label("Person").first.fill("0061, 0062")
    page.get_by_label("Person").first.press("Enter")
    expect(page.get_by_text("4 items of camera c4, of person 0061 or 0062.")).to_be_visible()
    expect(items).to_have_count(4)
    page.go_back()
    expect(page.get_by_text("72 items of camera c4")).to_be_visible()
    button(page, "Clear filters").click()
    expect(page.get_by_text("464 items; the first 60 are shown.")).to_be_visible()


def test_a_bar_of_time_is_a_filter(console: Any) -> None:
    page = show(console, "demo")
    page.locator(".span").nth(4).click()
    expect(
        page.get_by_text(re.compile("^4 items captured from Mon, 2 Mar 2026, .*:00:00 on, captured"))
    ).to_be_visible()
    page.locator(".span").nth(4).click()
    expect(page.get_by_text("464 items")).to_be_visible()


def test_an_item_is_shown_with_all_that_is_known_and_searched_with(console: Any) -> None:
    page = show(console, "demo", camera="c4")
    page.locator(".item .hit-open").first.click()
    dialog = page.get_by_role("dialog")
    first = console.served.client.get("/v1/galleries/demo/items", params={"camera": "c4", "limit": 2}).json()["items"]
    expect(dialog.get_by_role("heading", name=first[0]["id"])).to_be_visible()
    expect(dialog.locator("dl")).to_contain_text(f"Tracklet{first[0]['tracklet_id']}")
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading", name=first[1]["id"])).to_be_visible()
    dialog.get_by_role("link", name="Search with this crop").click()
    expect(page).to_have_url(re.compile(f"#/search\\?gallery=demo&item={first[1]['id']}$"))
    expect(page.get_by_role("heading", name="Most like this person")).to_be_visible()


# ---- adding ----------------------------------------------------------------------------------------------------------


def test_crops_that_are_chosen_are_added_with_what_their_names_say(console: Any) -> None:
    gallery = console.served.gallery("chosen")
    page = show(console, gallery, view="add")
    files(page).set_input_files(CROPS[:6])
    page.get_by_label("The file's name says").select_option("pattern")
    page.get_by_label("Pattern").fill(NAMED)
    page.get_by_label("Captured").select_option("given")
    page.get_by_label("Time", exact=True).fill("2026-05-01T12:30:00")
    page.get_by_label("Before each id").fill("entrance/")
    expect(page.locator(".upload").first).to_contain_text("person 0061")
    button(page, "Add 6 crops").click()
    expect(page.locator(".add-told")).to_have_text("6 added.")
    expect(page.get_by_text("6 crops of 1 known person, seen by")).to_be_visible()
    items = {item["id"]: item for item in console.served.client.get(f"/v1/galleries/{gallery}/items").json()["items"]}
    for crop in CROPS[:6]:  # they are sent side by side, and come in any order
        person, camera, frame, _ = crop.stem.removeprefix("demo-").split("_")
        item = items[f"entrance/{person}_{camera}_{frame}"]
        assert (item["person"], item["camera_id"]) == (person, camera[:2])
        assert item["captured_at"].startswith("2026-05-01T")


def test_names_are_read_as_indexing_reads_them(console: Any) -> None:
    page = show(console, "demo", view="add")
    paths = [
        "0002_c1s1_000451_03.jpg",
        "train/a b/1501_c6s4_0123456_00.jpg.jpg",
        "-1_c3s2_000001_01.png",
        "0000_c3s2_000001_01.png",
        "x0002_c1s1_000451_03.jpg",
        "yard/0007_c2_1714566600_99.webp",
        "yard/0007_c2_1714566600.5_1.webp",
    ]
    for pattern in ("market1501", r"(?P<person>\d{4})_(?P<camera>c\d)_(?P<time>[\d.]+)_(?P<frame>\d+)"):
        kind = ["market1501", ""] if pattern == "market1501" else ["pattern", pattern]
        told = page.evaluate(
            """async ([kind, paths]) => {
                const { readingOf } = await import("./console/gallery-names.js");
                const read = (path) => { try { return readingOf(...kind)(path); } catch { return null; } };
                return paths.map(read);
            }""",
            [kind, paths],
        )
        assert told == [as_sent(parse_pattern(pattern)(path)) for path in paths]
    page.evaluate("import('./console/gallery-names.js').then((names) => (globalThis.parseTime = names.parseTime))")
    for text in ("2026-05-01T12:30:00+02:00", "20260501T123000.25+0200", "2026-05-01_12-30-00.250000Z", "2026-05-01"):
        moment = datetime.fromisoformat(text.replace("_12-30-00", "T12:30:00"))
        known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # where the page's reader is, in these tests
        assert datetime.fromisoformat(page.evaluate("parseTime", text)) == known, text


def as_sent(item: NewItem | None) -> dict[str, Any] | None:
    """What an item's facts are in a request, but for what it does not say."""
    if item is None:
        return None
    captured = item.captured_at and item.captured_at.astimezone(UTC).isoformat(timespec="milliseconds")
    facts = {
        "id": item.id,
        "camera_id": item.camera,
        "person": item.person,
        "tracklet_id": item.tracklet,
        "captured_at": captured and captured.replace("+00:00", "Z"),
        "metadata": dict(item.metadata),
    }
    return {name: value for name, value in facts.items() if value}


def test_crops_are_dropped_and_what_is_no_picture_is_refused_by_a_sentence(console: Any) -> None:
    gallery = console.served.gallery("dropped")
    page = show(console, gallery)
    drop(page, {"one.jpg": CROPS[0], "two.jpg": CROPS[1], "notes.jpg": None})
    expect(button(page, "Add 3 crops")).to_be_focused()
    page.get_by_role("combobox", name="Camera").fill("yard")
    button(page, "Add 3 crops").click()
    expect(page.locator(".add-told")).to_have_text("2 added and 1 refused.")
    refused = page.get_by_role("region", name="Refused").get_by_role("listitem")
    expect(refused).to_have_count(1)
    expect(refused).to_contain_text("notes.jpg")
    expect(refused).to_contain_text("JPEG, PNG, WebP and BMP are taken")
    items = console.served.client.get(f"/v1/galleries/{gallery}/items").json()["items"]
    assert {(item["id"], item["camera_id"]) for item in items} == {("one.jpg", "yard"), ("two.jpg", "yard")}


def drop(page: Page, named: dict[str, Path | None]) -> None:
    """Drops files on the page; None is one of text."""
    content = {name: list(path.read_bytes() if path else b"no picture") for name, path in named.items()}
    page.evaluate(
        """(named) => {
            const dataTransfer = new DataTransfer();
            for (const [name, content] of Object.entries(named))
                dataTransfer.items.add(new File([new Uint8Array(content)], name, { type: "image/jpeg" }));
            for (const kind of ["dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        content,
    )


def test_an_id_that_is_there_is_left_as_it_is_where_that_is_wanted(console: Any, holding: Callable[..., str]) -> None:
    gallery = holding("there-already", 2)
    page = show(console, gallery, view="add")
    files(page).set_input_files([{"name": CROPS[0].stem, "mimeType": "image/jpeg", "buffer": CROPS[5].read_bytes()}])
    page.get_by_label("Leave an item as it is").check()
    button(page, "Add 1 crop").click()
    expect(page.locator(".add-told")).to_have_text("1 left as before.")
    button(page, "Clear the list").click()
    page.get_by_label("Captured").wait_for(state="hidden")
    files(page).set_input_files([{"name": CROPS[0].stem, "mimeType": "image/jpeg", "buffer": CROPS[5].read_bytes()}])
    page.get_by_label("Leave an item as it is").uncheck()
    button(page, "Add 1 crop").click()
    expect(page.locator(".add-told")).to_have_text("1 replaced.")


def test_four_are_under_way_at_most_and_stopping_keeps_the_rest(console: Any) -> None:
    gallery = console.served.gallery("stopped")
    page = show(console, gallery, view="add")
    held: list[Route] = []
    page.route("**/items/*", lambda route: held.append(route))
    files(page).set_input_files(CROPS[:7])
    with page.expect_request("**/items/*"):
        button(page, "Add 7 crops").click()
    states = {state: page.locator(f"[data-state={state}]") for state in ("sending", "waiting", "added")}
    expect(states["sending"]).to_have_count(4)
    expect(states["waiting"]).to_have_count(3)
    with page.expect_request("**/items/*"):
        held[0].continue_()
    expect(states["added"]).to_have_count(1)
    expect(states["sending"]).to_have_count(4)
    assert len(held) <= 5
    button(page, "Stop").click()
    expect(button(page, "Go on with the other 6")).to_be_focused()
    assert count(console, gallery) == 1
    page.unroute("**/items/*")
    button(page, "Go on with the other 6").click()
    expect(page.locator(".add-told")).to_have_text("7 added.")


def test_a_service_that_is_busy_is_asked_again_when_it_says(console: Any) -> None:
    gallery = console.served.gallery("busy")
    console.page.clock.install()
    page = show(console, gallery, view="add")
    asked: list[Route] = []

    def refuse_once(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()
            return
        problem = {"type": "queue-full", "status": 429, "title": "Too much is waiting", "detail": "ask again later"}
        route.fulfill(
            status=429, headers={"Retry-After": "60"}, content_type="application/problem+json", body=json.dumps(problem)
        )

    page.route("**/items/*", refuse_once)
    files(page).set_input_files(CROPS[0])
    with page.expect_response("**/items/*"):
        button(page, "Add 1 crop").click()
    page.clock.run_for(50_000)
    assert len(asked) == 1
    with page.expect_response(lambda answer: answer.status == 201):
        page.clock.run_for(11_000)
    expect(page.locator(".add-told")).to_have_text("1 added.")


def test_what_concerns_all_crops_ends_the_adding_and_is_said_once(console: Any) -> None:
    gallery = console.served.gallery("gone")
    page = show(console, gallery, view="add")
    files(page).set_input_files(CROPS[:6])
    console.served.client.delete(f"/v1/galleries/{gallery}").raise_for_status()
    button(page, "Add 6 crops").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no gallery 'gone'")
    expect(button(page, "Add 6 crops")).to_be_enabled()


# ---- deleting --------------------------------------------------------------------------------------------------------


def test_chosen_items_are_counted_before_they_are_deleted_and_the_receipt_says_from_where(
    console: Any, holding: Callable[..., str]
) -> None:
    gallery = holding("choosing")
    page = show(console, gallery)
    for item in (0, 3):
        page.locator(".pick input").nth(item).check()
    button(page, "Delete the chosen").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This would remove 2 items from choosing")
    button(dialog, "Cancel").click()
    assert count(console, gallery) == 6
    button(page, "Delete the chosen").click()
    button(dialog, "Delete 2 items").click()
    expect(dialog).to_contain_text("2 items from the database")
    expect(dialog).to_contain_text("2 pictures from the store of crops")
    expect(dialog).to_contain_text("Traces that may be left on disk until the gallery is purged")
    with page.expect_download() as download:
        button(dialog, "Save the receipt").click()
    receipt = json.loads(Path(download.value.path()).read_text())
    assert receipt["ids"] == [CROPS[0].stem, CROPS[3].stem]
    button(dialog, "Purge now").click()
    expect(dialog.get_by_text("Nothing is left on disk of 2 deleted items.")).to_be_visible()
    button(dialog, "Close").click()
    expect(page.get_by_text("4 crops, seen by 2 cameras.")).to_be_visible()
    expect(page.locator(".item")).to_have_count(4)


def test_what_meets_a_filter_is_deleted_once_its_number_was_typed(console: Any, holding: Callable[..., str]) -> None:
    gallery = holding("by-filter", 12)
    page = show(console, gallery, camera="exit")
    button(page, "Delete these 6").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This would remove 6 items from by-filter: all items of camera exit.")
    erase = button(dialog, "Delete 6 items")
    expect(erase).to_be_disabled()
    dialog.get_by_label("Type 6 to confirm").fill("12")
    expect(erase).to_be_disabled()
    dialog.get_by_label("Type 6 to confirm").fill("6")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("heading", name="6 items deleted")).to_be_visible()
    button(dialog, "Close").click()
    expect(page.get_by_text("There is no item of camera exit.")).to_be_visible()
    left = console.served.client.get(f"/v1/galleries/{gallery}/items").json()["items"]
    assert {item["camera_id"] for item in left} == {"entrance"}
    assert len(left) == 6


def test_a_key_that_may_not_delete_is_told_so(serve: Any, open_page: Any) -> None:
    with serve() as served:
        page = open_page()
        page.add_init_script(f"sessionStorage.setItem('vantage-key', {json.dumps(served.key('search'))})")
        page.goto(f"{served.url}/#/gallery?gallery=demo&camera=c1")
        button(page, "Delete these 84").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("not for delete")
        assert served.service.running.engine.count("demo") == 464


# ---- health and safekeeping ------------------------------------------------------------------------------------------


def test_health_is_told_in_sentences_and_everything_is_checked(console: Any, holding: Callable[..., str]) -> None:
    gallery = holding("healthy", ttl_seconds=86400 * 30, deny_erased=True)
    page = show(console, gallery, view="keeping")
    health = page.get_by_role("region", name="Health", exact=True)
    for sentence in (
        "Every search compares all 6 vectors",
        "synthetic-tiny (version 1) turns each crop into 128 numbers",
        "are called likely: one in",
        "Nothing of deleted items is left on the disk.",
        "Items expire 30 days after their capture. An id that was deleted is refused from then on.",
    ):
        expect(health).to_contain_text(sentence)
    button(page, "Check everything").click()
    expect(page.locator(".job-told").first).to_contain_text("Everything is sound. Looked at: 0 snapshots, 6 items")
    button(page, "Take a snapshot").click()
    expect(page.locator(".job-told").nth(1)).to_contain_text(re.compile("The snapshot healthy-.* holds 6 items in"))
    expect(page.get_by_role("region", name="Snapshots", exact=True).locator("tbody tr")).to_have_count(1)


def test_a_gallery_of_another_model_is_called_wrong(console: Any) -> None:
    other = GallerySettings(model_name="another", model_sha256="cd" * 32, dimension=128)
    console.served.service.running.engine.create("foreign", other)
    page = show(console, "foreign", view="keeping")
    wrong = page.locator(".health-wrong")
    expect(wrong).to_contain_text("vectors of another (cdcdcdcdcdcd), but synthetic-tiny")
    expect(page.locator(".health-look")).to_contain_text("No result is called likely or unlikely")
    button(page, "Add crops").click()
    expect(page.get_by_text("holds vectors of another model than the one that serves")).to_be_visible()


def test_a_gallery_is_made_and_dropped(serve: Any, open_page: Any, tmp_path: Path) -> None:
    with serve(data=tmp_path / "empty") as served:
        page = open_page()
        page.goto(f"{served.url}/#/gallery")
        button(page, "Make a gallery").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("entrance")
        dialog.get_by_label("Days until items expire").fill("30")
        button(dialog, "Make it").click()
        expect(page.get_by_text("There is nothing in this gallery yet.")).to_be_visible()
        settings = served.client.get("/v1/galleries/entrance").json()["settings"]
        assert (settings["store_crops"], settings["ttl_seconds"]) == (True, 86400 * 30)
        button(page, "New gallery").click()
        dialog.get_by_label("Name").fill("entrance")
        button(dialog, "Make it").click()
        expect(dialog.get_by_role("alert")).to_contain_text("There is a gallery 'entrance' already")
        button(dialog, "Cancel").click()
        button(page, "Health").click()
        button(page, "Drop the gallery").click()
        expect(button(dialog, "Drop it")).to_be_disabled()
        dialog.get_by_label("Type entrance to confirm").fill("entrance")
        button(dialog, "Drop it").click()
        expect(page.get_by_role("heading", name="There is no gallery yet")).to_be_visible()
        assert served.client.get("/v1/galleries").json() == {"galleries": [], "damaged": []}


# ---- for everybody ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Any, served: Any, scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    for view in VIEWS:
        page.goto(f"{served.url}/#/gallery?gallery=demo&view={view}")
        if view == "add":
            files(page).set_input_files([CROPS[0], __file__])
            expect(page.locator(".upload")).to_have_count(2)
        elif view == "keeping":
            expect(page.locator(".health li")).to_have_count(8)
        else:
            expect(page.locator(".item")).to_have_count(60)
        assert serious(page) == [], view
    page.goto(f"{served.url}/#/gallery?gallery=demo&camera=c1")
    page.locator(".item .hit-open").first.click()
    assert serious(page) == [], "an item"
    page.keyboard.press("Escape")
    button(page, "Delete these 84").click()
    expect(page.get_by_label("Type 84 to confirm")).to_be_visible()
    assert serious(page) == [], "deleting"
    page.keyboard.press("Escape")
    button(page, "New gallery").click()
    assert serious(page) == [], "making"


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} ({node['failureSummary']})"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_on_a_phone_nothing_is_wider_than_the_window(open_page: Any, served: Any) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True)
    page.goto(f"{served.url}/#/gallery?gallery=demo&camera=c1")
    expect(page.locator(".item")).to_have_count(60)
    assert_narrow(page)
    button(page, "Delete these 84").click()
    expect(page.get_by_label("Type 84 to confirm")).to_be_visible()
    assert_narrow(page)
    page.keyboard.press("Escape")
    button(page, "Add crops").click()
    files(page).set_input_files(CROPS[:3])
    expect(page.locator(".upload")).to_have_count(3)
    assert_narrow(page)
    button(page, "Health").click()
    expect(page.locator(".health li")).to_have_count(8)
    assert_narrow(page)


def assert_narrow(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == 360
