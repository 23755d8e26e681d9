"""The console's search page in a browser, as somebody uses it who has a crop, or none."""

from __future__ import annotations

import base64
import contextlib
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Error, Locator, Page, Route, expect

from service.access import KEYS_FILE, KeyStore
from service.api.service import Progress
from service.demo import QUERIES

expect.set_options(timeout=20_000)  # as long as the pages wait: other work may be going on beside
RED = QUERIES[0]
"""A man in red, seen from the back; the gallery has ten crops of him, person 0061."""
MATE = RED.parents[1] / "gallery" / "demo-0061_c4s1_190134_01.jpg"
SAMPLE = f"#/search?gallery=demo&sample={RED.name}"


def opened(console: Any, hash: str = "", **_: Any) -> Page:
    console.page.goto(f"{console.url}/{hash}")
    return console.page


def hits(page: Page) -> Locator:
    return page.locator(".hit")


def ids(page: Page) -> list[str]:
    return [str(one.get_attribute("data-id")) for one in hits(page).all()]


def found(page: Page, number: int = 24) -> Page:
    """Once that many results are shown."""
    expect(hits(page)).to_have_count(number)
    return settled(page)


def settled(page: Page) -> Page:
    """Once nothing more comes: neither an answer nor where results would stand without re-ranking."""
    expect(page.locator(".findings[aria-busy]")).to_have_count(0)
    expect(page.locator(".moved-coming")).to_have_count(0)
    return page


def photo() -> bytes:
    """A wide picture, in which the man in red stands at 300 to 364 from the left, 60 to 188 from the top."""
    wide = Image.new("RGB", (600, 300), (90, 110, 95))
    wide.paste(Image.open(RED), (300, 60))
    file = io.BytesIO()
    wide.save(file, "PNG")
    return file.getvalue()


def file_of(content: bytes, name: str = "photo.png", kind: str = "image/png") -> Any:
    return {"name": name, "mimeType": kind, "buffer": content}


def asked(console: Any, **parameters: Any) -> list[dict[str, Any]]:
    """What the API answers for the man in red."""
    answer = console.served.client.post(
        "/v1/galleries/demo/search",
        content=RED.read_bytes(),
        headers={"Content-Type": "image/jpeg"},
        params={"top_k": 24} | parameters,
    )
    return list(answer.json()["results"])


def take_back(console: Any) -> None:
    for said in console.served.client.get("/v1/galleries/demo/feedback").json()["feedback"]:
        params = {name: said[name] for name in ("item_id", "probe_item_id", "probe_sha256") if said[name]}
        console.served.client.delete("/v1/galleries/demo/feedback", params=params).raise_for_status()


@pytest.fixture
def as_it_was(console: Any) -> Any:
    """What the test says of results is taken back: other tests use the same service."""
    yield console
    take_back(console)


# ---- what is looked for ----------------------------------------------------------------------------------------------


def test_who_has_no_crop_takes_a_sample_and_back_leads_to_the_samples_again(console):
    page = opened(console)
    expect(page.get_by_role("heading", name="Who is this?")).to_be_visible()
    samples = page.get_by_role("button", name=re.compile("^Sample"))
    expect(samples).to_have_count(len(QUERIES))
    samples.first.click()
    found(page)
    assert ids(page) == [one["id"] for one in asked(console)]
    assert RED.name in page.url
    expect(page.get_by_text("not a probability")).to_be_visible()
    page.go_back()
    expect(samples.first).to_be_visible()
    page.go_forward()
    found(page)


def test_a_sample_stands_in_the_address_and_can_be_opened_from_it(console):
    page = found(opened(console, SAMPLE))
    expect(page.get_by_alt_text("The sample that is looked for")).to_be_visible()


def test_an_unknown_sample_is_said_to_be_none(console):
    page = opened(console, "#/search?gallery=demo&sample=nobody.jpg")
    expect(page.get_by_role("alert")).to_contain_text("has no query nobody.jpg: choose another")


def test_samples_are_offered_for_the_demo_alone(console):
    console.served.gallery("elsewhere")
    page = opened(console, "#/search?gallery=elsewhere")
    expect(page.get_by_text("There is nothing in this gallery yet.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Sample"))).to_have_count(0)


def test_a_crop_is_chosen_and_stays_out_of_the_address(console):
    page = opened(console)
    page.get_by_label("Choose a picture").set_input_files(RED)
    found(page)
    assert ids(page) == [one["id"] for one in asked(console)]
    expect(page.locator(".probe")).to_contain_text("64 × 128 pixels")
    assert page.url.endswith("#/search?gallery=demo")
    page.reload()
    expect(page.get_by_text("this page was loaded anew since: choose it again")).to_be_visible()


BRING = """([kind, content]) => {
  const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
  const brought = new DataTransfer();
  brought.items.add(new File([bytes], "crop.jpg", { type: "image/jpeg" }));
  const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: brought, bubbles: true })
    : new DragEvent(kind, { dataTransfer: brought, bubbles: true, cancelable: true });
  document.querySelector("main").dispatchEvent(event);
}"""


def test_a_crop_is_pasted_and_another_one_over_the_results(console):
    page = opened(console)
    expect(page.get_by_role("heading", name="Who is this?")).to_be_visible()
    for crop in QUERIES[:2]:
        page.evaluate(BRING, ["paste", base64.b64encode(crop.read_bytes()).decode()])
        person = crop.name.split("_")[0].removeprefix("demo-")
        expect(page.locator(f'.hit[data-id^="demo-{person}"]').first).to_be_visible()
    page.go_back()
    expect(page.locator(".hit").first).to_have_attribute("data-id", re.compile("0061"))


def test_a_crop_is_dropped_anywhere_on_the_page(console):
    page = opened(console)
    expect(page.get_by_role("heading", name="Who is this?")).to_be_visible()
    content = base64.b64encode(RED.read_bytes()).decode()
    page.evaluate(BRING, ["dragenter", content])
    expect(page.get_by_text("Drop it to search for this person")).to_be_visible()
    page.evaluate(BRING, ["drop", content])
    expect(page.get_by_text("Drop it to search for this person")).to_be_hidden()
    found(page)


def test_several_crops_are_fused_added_to_and_left_out(console):
    page = opened(console)
    with page.expect_request(re.compile("search:batch$")):
        page.get_by_label("Choose a picture").set_input_files([RED, MATE])
    found(page)
    expect(page.get_by_role("heading", name="Looked for, in 2 crops")).to_be_visible()
    page.get_by_label("Add a crop").set_input_files(RED)
    expect(page.get_by_role("heading", name="Looked for, in 3 crops")).to_be_visible()
    page.get_by_role("button", name="Leave crop 2 out").click()
    page.get_by_role("button", name="Leave crop 1 out").click()
    expect(page.get_by_role("heading", name="Looked for", exact=True)).to_be_visible()
    found(page)
    assert ids(page) == [one["id"] for one in asked(console)]


def test_a_crop_is_added_to_a_sample(console):
    page = found(opened(console, SAMPLE))
    page.get_by_label("Add a crop").set_input_files(MATE)
    expect(page.get_by_role("heading", name="Looked for, in 2 crops")).to_be_visible()
    found(page)


def test_what_is_no_picture_is_refused_with_the_services_sentence(console):
    page = opened(console)
    page.get_by_label("Choose a picture").set_input_files(file_of(b"not a picture at all", "list.txt", "text/plain"))
    expect(page.get_by_role("alert")).to_contain_text("JPEG, PNG, WebP and BMP are taken.")
    page.get_by_role("button", name="New search").click()
    expect(page.get_by_role("heading", name="Who is this?")).to_be_visible()


# ---- a crop out of a larger photo ------------------------------------------------------------------------------------


def test_the_box_is_drawn_with_the_pointer_undone_and_cut_out(console):
    page = opened(console)
    page.get_by_label("Choose a picture").set_input_files(file_of(photo()))
    dialog = page.get_by_role("dialog", name="Cut the person out")
    canvas = dialog.locator("canvas")
    expect(canvas).to_have_attribute("aria-label", re.compile("^Box of 120 by 240 pixels"))
    around = canvas.bounding_box()
    assert around is not None
    scale = around["width"] / 600

    def drag(*points: tuple[float, float]) -> None:
        (x, y), *others = [(around["x"] + scale * x, around["y"] + scale * y) for x, y in points]
        page.mouse.move(x, y)
        page.mouse.down()
        for x, y in others:
            page.mouse.move(x, y, steps=4)
        page.mouse.up()

    drag((40, 20), (100, 140))  # beside the one that is there: a new one
    expect(canvas).to_have_attribute("aria-label", re.compile("^Box of 60 by 120 pixels, 40 from the left and 20 from"))
    drag((70, 80), (330, 120))  # inside it: it moves
    expect(canvas).to_have_attribute(
        "aria-label", re.compile("^Box of 60 by 120 pixels, 300 from the left and 60 from")
    )
    drag((360, 180), (364, 188))  # at its corner: its size changes
    expect(canvas).to_have_attribute(
        "aria-label", re.compile("^Box of 64 by 128 pixels, 300 from the left and 60 from")
    )
    undo = dialog.get_by_role("button", name="Undo")
    undo.click()
    undo.click()
    expect(canvas).to_have_attribute("aria-label", re.compile("^Box of 60 by 120 pixels, 40 from the left"))
    undo.click()
    expect(undo).to_be_disabled()
    dialog.get_by_text("The box in numbers").click()
    for name, value in {"Left": 300, "Top": 60, "Width": 64, "Height": 128}.items():
        dialog.get_by_role("spinbutton", name=name).fill(str(value))
        dialog.get_by_role("spinbutton", name=name).press("Tab")
    dialog.get_by_role("button", name="Cut out and search").click()
    found(page)
    assert ids(page) == [one["id"] for one in asked(console)]  # pixel for pixel the crop that was pasted in
    expect(page.locator(".probe")).to_contain_text("64 × 128 pixels")
    page.get_by_role("button", name="Back to the whole picture").click()
    expect(page.locator(".probe")).to_contain_text("600 × 300 pixels")


def test_the_box_is_moved_and_sized_by_keys(console):
    page = opened(console)
    page.get_by_label("Choose a picture").set_input_files(file_of(photo()))
    canvas = page.locator(".cut canvas")
    expect(canvas).to_be_focused()
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Control+ArrowDown"):
        page.keyboard.press(key)
    expect(canvas).to_have_attribute("aria-label", re.compile("^Box of 108 by 240 pixels, 252 from the left and 19 "))
    for _ in range(80):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("ArrowRight")
    expect(canvas).to_have_attribute("aria-label", re.compile("^Box of 16 by 240 pixels, 584 from the left"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Who is this?")).to_be_visible()


def test_the_whole_of_a_wide_picture_is_used_where_that_is_wanted(console):
    page = opened(console)
    page.get_by_label("Choose a picture").set_input_files(file_of(photo()))
    page.get_by_role("button", name="Use the whole picture").click()
    found(page)
    expect(page.locator(".probe")).to_contain_text("600 × 300 pixels")
    page.get_by_role("button", name="Cut a person out of crop 1").click()
    expect(page.get_by_role("dialog", name="Cut the person out")).to_be_visible()


# ---- how, and what was found -----------------------------------------------------------------------------------------


def test_cards_say_what_the_answer_says(console):
    page = found(opened(console, SAMPLE))
    for one, card in zip(asked(console), hits(page).all(), strict=True):
        text = card.inner_text()
        assert f"{one['score']:.2f}".replace("-", "−") in text
        assert one["verdict"].capitalize() in text
        assert one["camera_id"] in text
        assert ("front", "side", "back")[one["viewpoint"].index(max(one["viewpoint"]))] in text
    expect(hits(page).first.locator("img")).to_have_js_property("naturalWidth", 64)


def test_re_ranking_is_switched_and_says_how_far_results_moved(console):
    page = found(opened(console, SAMPLE))
    plain = [one["id"] for one in asked(console, rerank="off", top_k=464)]
    for rank, one in enumerate(asked(console)):
        by = plain.index(one["id"]) - rank
        words = f"{'up' if by > 0 else 'down'} {abs(by)} place{'' if abs(by) == 1 else 's'}" if by else "same place"
        expect(hits(page).nth(rank).locator(".moved")).to_have_text(words)
    switch = page.get_by_role("switch", name="Re-rank")
    switch.uncheck()
    expect(page.get_by_text("ordered by similarity alone")).to_be_visible()
    assert ids(page) == plain[:24]
    expect(page.locator(".moved")).to_have_count(0)
    assert "rerank=off" in page.url
    page.go_back()
    expect(switch).to_be_checked()
    expect(page.locator(".moved").first).not_to_be_empty()


def test_filters_narrow_the_answer_stand_in_the_address_and_are_cleared(console):
    page = found(opened(console, SAMPLE))
    page.get_by_role("checkbox", name=re.compile("^c3")).check()
    expect(page.get_by_text("of the 76 crops that the filter allows")).to_be_visible()
    assert all("_c3s" in id for id in ids(page))
    page.get_by_role("checkbox", name=re.compile("^c5")).check()
    expect(page.get_by_text("of the 150 crops that the filter allows")).to_be_visible()
    page.get_by_role("checkbox", name="front").check()
    expect(page.locator(".hit-open .viewpoint", has_text=re.compile("side|back"))).to_have_count(0)
    page.reload()
    found(page)
    expect(page.get_by_role("checkbox", name=re.compile("^c3"))).to_be_checked()
    assert [page.url.count(part) for part in ("camera=c3", "camera=c5", "viewpoint=front")] == [1, 1, 1]
    page.go_back()
    expect(page.get_by_text("of the 150 crops that the filter allows")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(page.get_by_text("that the filter allows")).to_have_count(0)
    assert "camera" not in page.url


def test_times_are_those_of_the_reader_and_sent_as_what_they_are(open_page, served):
    page = open_page(timezone_id="Asia/Kolkata")  # five hours and a half ahead
    page.goto(f"{served.url}/{SAMPLE}")
    found(page)
    expect(page.get_by_text("In Asia/Calcutta time.").or_(page.get_by_text("In Asia/Kolkata time."))).to_be_visible()
    expect(hits(page).first).to_contain_text("2 Mar, 15:37:39")
    page.get_by_label("From").fill("2026-03-02T15:37:39")
    page.get_by_label("Before").fill("2026-03-02T15:40:00")
    expect(page.get_by_text(re.compile(r"of the \d+ crops that the filter allows"))).to_be_visible()
    settled(page)
    assert "from=2026-03-02T10%3A07%3A39.000Z" in page.url
    for one in page.locator(".hit time").all():
        assert "2026-03-02T10:07:39" <= str(one.get_attribute("datetime")) < "2026-03-02T10:10"


def test_a_filter_that_nothing_meets_says_so(console):
    page = opened(console, f"{SAMPLE}&camera=c9")
    expect(page.get_by_text("No crop in the gallery meets the filter.")).to_be_visible()
    expect(page.get_by_role("button", name="Clear filters")).to_be_visible()


def test_groups_hold_one_person_or_one_tracklet(console):
    page = found(opened(console, SAMPLE))
    page.get_by_label("Group").select_option("By person")
    first = page.get_by_role("region", name="Person 0061 3 crops")
    expect(first.locator(".hit")).to_have_count(3)
    found(page)
    for group in page.locator(".wall-group").all():
        label = str(group.locator("h3").inner_text()).split()[1]
        assert {str(one.get_attribute("data-id"))[5:9] for one in group.locator(".hit").all()} == {label}
    page.get_by_label("Group").select_option("By tracklet")
    expect(page.get_by_role("region", name=re.compile("^Tracklet 0061_c2s1"))).to_be_visible()
    page.get_by_label("Results").select_option("12")
    found(page, 12)


def test_a_hit_is_searched_with(console):
    page = found(opened(console, SAMPLE))
    second = ids(page)[1]
    page.get_by_role("button", name="Search with place 2", exact=True).click()
    expect(page.locator(".probe")).to_contain_text(second)
    found(page)
    assert f"item={second}" in page.url
    assert second not in ids(page)
    expect(page.locator("main")).to_be_focused()
    mate = "demo-0061_c1s1_190897_01"  # 0.6 s later, by the same camera
    assert mate in ids(page)
    page.get_by_label("Not what its own camera saw within 60 s of it").check()
    expect(page.locator(f'.hit[data-id="{mate}"]')).to_have_count(0)
    page.go_back()
    page.go_back()
    expect(page.get_by_alt_text("The sample that is looked for")).to_be_visible()
    found(page)


def test_not_this_person_leaves_the_list_and_comes_back_by_undo(as_it_was):
    page = found(opened(as_it_was, SAMPLE))
    before = ids(page)
    page.get_by_role("button", name="Place 6 is not this person").click()
    expect(page.locator(f'.hit[data-id="{before[5]}"]')).to_have_count(0)
    expect(page.get_by_text("2 crops are left out")).to_be_visible()  # the other one is of the same tracklet
    expect(page.get_by_role("button", name="Place 6: see why")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(f'.hit[data-id="{before[5]}"]')).to_have_count(1)
    found(page)
    assert ids(page) == before
    assert as_it_was.served.client.get("/v1/galleries/demo/feedback").json() == {"feedback": []}


def test_what_was_left_out_is_listed_and_taken_back_later(as_it_was):
    page = found(opened(as_it_was, SAMPLE))
    gone = ids(page)[5]
    page.get_by_role("button", name="Place 6 is not this person").click()
    expect(page.get_by_text("2 crops are left out")).to_be_visible()
    page.reload()
    page.get_by_text("2 crops are left out").click()
    page.get_by_role("button", name=f"Take back that {gone} is not this person").click()
    expect(page.locator(f'.hit[data-id="{gone}"]')).to_have_count(1)
    expect(page.get_by_text("left out")).to_have_count(0)


def test_the_same_person_is_marked_searched_with_and_unmarked(as_it_was):
    page = found(opened(as_it_was, SAMPLE))
    before = ids(page)
    card = page.locator(f'.hit[data-id="{before[9]}"]')  # unlikely by its score, and the same person
    same = card.get_by_role("button", name=re.compile("is the same person"))
    same.click()
    expect(same).to_have_attribute("aria-pressed", "true")
    expect(card).to_contain_text("Likely")
    found(page)
    assert ids(page) != before
    same.click()
    expect(same).to_have_attribute("aria-pressed", "false")
    found(page)
    assert ids(page) == before


def test_why_a_result_stands_there_is_told_in_words_with_the_neighbours(console):
    page = found(opened(console, SAMPLE))
    expect(page.locator(".moved").nth(1)).to_have_text("down 1 place")
    hit = asked(console, explain="true")[1]
    page.get_by_role("button", name="Place 2: see why", exact=True).click()
    dialog = page.get_by_role("dialog", name="Why place 2?")
    text = dialog.inner_text()
    assert f"{hit['distance']:.3f} apart" in text
    assert f"{hit['distance_reranked']:.3f} apart" in text
    assert "Without them it would stand at place 1." in text
    assert "Mutual: each is among the nearest of the other." in text
    assert hit["id"] in text
    assert f"Both lean on {len(hit['explain']['shared'])} crops" in text
    shared = [one["id"] for one in hit["explain"]["shared"] if one["id"] != hit["id"]]
    assert [one.get_attribute("title") for one in dialog.locator(".neighbour").all()] == shared[:12]
    expect(dialog.locator(".neighbour img").first).to_have_js_property("naturalWidth", 64)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="Why place 3?")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("dialog", name="Why place 1?")).to_be_visible()
    page.get_by_role("button", name="Search with it").click()
    expect(page.locator(".probe")).to_contain_text(asked(console)[0]["id"])


def test_sightings_lie_on_lanes_in_the_order_of_time(as_it_was):
    page = found(opened(as_it_was, f"{SAMPLE}&unsure=1"))
    for one in ("demo-0061_c4s1_190134_01", "demo-0061_c4s2_192364_01"):
        same = page.locator(f'.hit[data-id="{one}"]').get_by_role("button", name=re.compile("is the same person"))
        same.click()
        expect(same).to_have_attribute("aria-pressed", "true")
    settled(page)
    page.get_by_role("button", name="Sightings").click()
    lanes = page.get_by_role("region", name="Sightings by camera in the order of time")
    stops = lanes.get_by_role("button")
    expect(stops.nth(2)).to_be_visible()
    told = [str(one.get_attribute("aria-label")) for one in stops.all()]
    assert len(told) >= 3
    times = [re.search(r"\d\d:\d\d:\d\d", words)[0] for words in told]  # type: ignore[index]
    assert times == sorted(times)
    lefts = [one.bounding_box()["x"] for one in stops.all()]  # type: ignore[index]
    assert lefts == sorted(lefts)
    tops = {words.split(",")[0]: one.bounding_box()["y"] for words, one in zip(told, stops.all(), strict=True)}  # type: ignore[index]
    assert [tops[camera] for camera in sorted(tops)] == sorted(tops.values())  # a lane each, in the order of names
    page.get_by_text("The same as a table").click()
    rows = page.get_by_role("region", name="Sightings as a table").get_by_role("row")
    expect(rows).to_have_count(len(told) + 1)
    stops.first.click()
    expect(page.get_by_role("dialog", name=re.compile("^Why place"))).to_be_visible()


def test_where_the_likely_make_no_path_unsure_sightings_are_shown_and_can_be_left_out(console):
    page = opened(console, f"{SAMPLE}&view=sightings")
    expect(page.get_by_text("The likely results alone make no path")).to_be_visible()
    stops = page.locator(".visit")
    expect(stops.first).to_be_visible()
    both = stops.count()
    page.get_by_role("switch", name="With unsure results").uncheck()
    expect(stops).not_to_have_count(both)
    assert "unsure=0" in page.url


def test_what_is_not_known_is_said_to_be_so(console):
    def forget(route: Route) -> None:
        told = route.fetch().json() | {"calibration": None, "no_verdict_because": "the card has no calibration"}
        for one in told["results"]:
            one |= {"verdict": None, "camera_id": None, "captured_at": None, "viewpoint": None, "crop_url": None}
        route.fulfill(json=told)

    console.page.route("**/search", forget)
    page = found(opened(console, SAMPLE))
    expect(page.get_by_text("No score is called likely or unlikely: the card has no calibration.")).to_be_visible()
    expect(hits(page).first).to_contain_text("Camera not known")
    expect(hits(page).first).to_contain_text("time not known")
    expect(hits(page).first.get_by_role("img", name="No picture is kept")).to_be_visible()
    page.get_by_role("button", name="Place 1: see why", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("not known")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Sightings").click()
    expect(page.get_by_text("No result can be laid on a timeline.")).to_be_visible()
    expect(page.get_by_text("10 results are not on it, because no time or no camera is known of them.")).to_be_visible()
    page.unroute_all(behavior="ignoreErrors")


def test_text_of_a_gallery_stays_text(console):
    def mark_up(route: Route) -> None:
        told = route.fetch().json()
        for one in told["results"]:
            one |= {"camera_id": "<b>c1</b>", "person": "<i>x</i>", "metadata": {"<u>n</u>": "<img src=x>"}}
        route.fulfill(json=told)

    console.page.route("**/search", mark_up)
    page = found(opened(console, f"{SAMPLE}&group=person"))
    expect(page.locator("h3").first).to_contain_text("Person <i>x</i>")
    page.get_by_role("button", name="Place 1: see why", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("<img src=x>")
    assert page.locator("main b, main i, main u, dialog b, dialog u, [src=x]").count() == 0
    page.unroute_all(behavior="ignoreErrors")


def test_it_works_behind_a_proxy_that_adds_a_prefix(console):
    def pass_on(route: Route) -> None:
        with contextlib.suppress(Error):  # of a picture that is on its way when the page is left
            route.fulfill(response=route.fetch(url=route.request.url.replace("/behind/", "/")))

    page = console.page
    page.route("**/behind/**", pass_on)
    page.goto(f"{console.url}/behind/{SAMPLE}")
    found(page)
    expect(hits(page).first.locator("img")).to_have_js_property("naturalWidth", 64)
    page.get_by_role("link", name="Vantage").click()
    sample = page.get_by_role("button", name="Sample 1", exact=True)
    expect(sample.locator("img")).to_have_js_property("naturalWidth", 64)


def test_going_back_closes_a_dialog_of_what_was_shown(console):
    page = opened(console)
    page.get_by_role("button", name="Sample 1", exact=True).click()
    found(page)
    page.get_by_role("button", name="Place 1: see why", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", name="Who is this?")).to_be_visible()


# ---- who may ask, and a service that does not answer -----------------------------------------------------------------


def test_a_key_is_asked_for_an_expired_one_said_to_be_so_and_a_good_one_kept_in_the_tab(serve, open_page):
    with serve() as served:
        good = served.key("search")
        past = datetime.now(UTC) - timedelta(days=9)
        with contextlib.closing(KeyStore(served.data / KEYS_FILE, now=lambda: past)) as keys:
            _, old = keys.create(("search",), name="old", expires_at=past + timedelta(days=1))
        served.service.running.keys.list()
        page = open_page()
        page.goto(f"{served.url}/{SAMPLE}")
        dialog = page.get_by_role("dialog", name="API key")
        entry = dialog.get_by_label("Your key")
        expect(entry).to_be_focused()
        entry.fill(old)
        entry.press("Enter")
        expect(dialog).to_contain_text("expired")
        dialog.get_by_label("Your key").fill(good)
        dialog.get_by_role("button", name="Use this key").click()
        found(page)
        expect(hits(page).first.locator("img")).to_have_js_property("naturalWidth", 64)  # crops come with the key too
        page.reload()
        found(page)
        other = page.context.new_page()
        other.goto(f"{served.url}/")
        expect(other.get_by_role("dialog", name="API key")).to_be_visible()
        # One that is taken back while the page is open.
        with contextlib.closing(KeyStore(served.data / KEYS_FILE)) as keys:
            keys.revoke(good.split("_")[1])
        served.service.running.keys.list()
        page.get_by_role("switch", name="Re-rank").uncheck()
        expect(page.get_by_role("dialog", name="API key")).to_contain_text("revoked")
        assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_a_key_that_is_not_for_this_says_what_it_is_for(serve, open_page):
    with serve() as served:
        page = open_page()
        page.goto(f"{served.url}/")
        secret = served.key("ingest")
        page.reload()
        page.get_by_label("Your key").fill(secret)
        page.get_by_role("button", name="Use this key").click()
        expect(page.get_by_role("alert")).to_contain_text("is for ingest, not for search")
        page.get_by_role("button", name="API key").click()
        expect(page.get_by_role("button", name="Forget the key")).to_be_visible()


def test_a_service_that_starts_says_how_far_it_is_and_the_page_goes_on_by_itself(serve, open_page):
    with serve() as served:
        served.service.state, served.service.progress = "starting", Progress("loading galleries", 1, 3)
        page = open_page()
        page.goto(f"{served.url}/{SAMPLE}")
        expect(page.locator("main").get_by_text("The service is starting: loading galleries (1 of 3).")).to_be_visible()
        bar = page.get_by_role("progressbar")
        expect(bar).to_have_js_property("value", 1)
        served.service.progress = Progress("loading galleries", 2, 3)
        expect(bar).to_have_js_property("value", 2)
        served.service.state = "ready"
        found(page)
        served.service.state = "stopping"
        page.get_by_role("switch", name="Re-rank").click()
        expect(page.locator("main").get_by_text("The service is shutting down: ask again")).to_be_visible()
        served.service.state = "ready"
        expect(page.get_by_text("ordered by similarity alone")).to_be_visible()


def test_a_service_that_could_not_start_says_why(serve, open_page):
    with serve() as served:
        served.service.state, served.service.failure = "failed", "the disk is gone"
        page = open_page()
        page.goto(f"{served.url}/")
        expect(page.get_by_role("heading", name="The service could not start")).to_be_visible()
        expect(page.locator("main").get_by_text("The service could not start: the disk is gone.")).to_be_visible()


def test_a_service_that_does_not_answer_is_said_to_and_asked_again(console):
    page = found(opened(console, SAMPLE))
    page.route("**/search", lambda route: route.abort())
    page.get_by_role("switch", name="Re-rank").uncheck()
    expect(page.get_by_role("alert")).to_contain_text("No answer came from the service.")
    page.unroute("**/search")
    page.get_by_role("button", name="Try again").click()
    found(page)


def test_a_search_that_is_refused_for_being_one_too_many_is_asked_again(serve, open_page):
    with serve(searches_per_second=1.0, search_burst=1) as served:
        page = open_page()
        page.goto(f"{served.url}/{SAMPLE}")
        expect(page.locator("#notes").get_by_text("The service is busy: it is asked again in 1 s.")).to_be_visible()
        found(page)
        expect(page.locator(".moved").first).not_to_be_empty()


# ---- for everybody ---------------------------------------------------------------------------------------------------


def test_all_of_it_goes_by_keyboard_alone(as_it_was):
    page = opened(as_it_was)
    expect(page.get_by_role("button", name="Sample 1", exact=True)).to_be_visible()
    keys = page.keyboard

    def tab_to(wanted: Locator) -> None:
        for _ in range(80):
            keys.press("Tab")
            if wanted.evaluate("(one) => one === document.activeElement"):
                return
        raise AssertionError(f"the Tab key does not lead to {wanted}")

    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Enter")
    tab_to(page.get_by_role("button", name="Sample 1", exact=True))
    keys.press("Enter")
    found(page)
    tab_to(page.get_by_role("switch", name="Re-rank"))
    keys.press("Space")
    expect(page.get_by_text("ordered by similarity alone")).to_be_visible()
    keys.press("Space")
    expect(page.get_by_text("re-ranked with their neighbours")).to_be_visible()
    tab_to(page.get_by_role("button", name="Place 1: see why", exact=True))
    keys.press("ArrowRight")
    third = page.get_by_role("button", name="Place 3: see why", exact=True)
    keys.press("ArrowRight")
    expect(third).to_be_focused()
    keys.press("End")
    expect(page.get_by_role("button", name="Place 24: see why")).to_be_focused()
    keys.press("Home")
    keys.press("ArrowDown")
    keys.press("ArrowUp")
    keys.press("Enter")
    expect(page.get_by_role("dialog", name="Why place 1?")).to_be_visible()
    keys.press("Escape")
    expect(page.get_by_role("button", name="Place 1: see why", exact=True)).to_be_focused()
    tab_to(page.get_by_role("button", name="Place 1 is not this person"))
    gone = ids(page)[0]
    keys.press("Enter")
    expect(page.locator(f'.hit[data-id="{gone}"]')).to_have_count(0)
    expect(page.get_by_role("button", name="Place 1 is not this person")).to_be_focused()  # of the one now there


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page, served, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")

    def check(place: str) -> None:
        answer = Axe().run(page).response
        wrong = [one for one in answer["violations"] if one["impact"] in ("serious", "critical")]
        told = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in wrong]
        assert not told, f"{place}: {told}"

    page.goto(f"{served.url}/")
    expect(page.get_by_role("button", name="Sample 1", exact=True)).to_be_visible()
    check("before a search")
    page.goto(f"{served.url}/{SAMPLE}")
    found(page)
    expect(page.locator(".crop-coming").first).to_be_attached()
    page.get_by_text("What likely, unsure and unlikely mean").click()
    check("the wall")
    page.get_by_role("button", name="Place 1: see why", exact=True).click()
    check("why")
    page.keyboard.press("Escape")
    page.get_by_label("Group").select_option("By person")
    expect(page.locator(".wall-group").first).to_be_visible()
    check("groups")
    page.goto(f"{served.url}/{SAMPLE}&view=sightings&unsure=1")
    page.get_by_text("The same as a table").click()
    check("sightings")
    page.goto(f"{served.url}/#/search?gallery=demo")
    page.get_by_label("Choose a picture").set_input_files(file_of(photo()))
    expect(page.locator(".cut canvas")).to_be_focused()
    check("the box on a photo")


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_nothing_is_wider_than_the_window(open_page, served, width):
    page = open_page(viewport={"width": width, "height": 740})
    for hash in ("", SAMPLE, f"{SAMPLE}&group=person", f"{SAMPLE}&view=sightings&unsure=1"):
        page.goto(f"{served.url}/{hash}")
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".hit, .visit, .sample").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, hash


def test_who_wants_no_motion_sees_none(open_page, served):
    page = open_page(reduced_motion="reduce")
    page.goto(f"{served.url}/{SAMPLE}")
    found(page)
    page.get_by_role("switch", name="Re-rank").uncheck()
    expect(page.get_by_text("ordered by similarity alone")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
