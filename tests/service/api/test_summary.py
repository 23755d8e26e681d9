"""What a gallery holds, as the API tells it."""

from service.gallery.reports import MOST_CAMERAS


def test_a_summary_counts_by_camera_time_and_viewpoint(served, picture):
    gallery = served.gallery("summed")
    facts = {"camera_id": "c1", "captured_at": "2026-05-01T23:30:00Z", "person": "1", "tracklet_id": "1a"}
    served.put("summed", "a", picture(1), **facts)
    served.put("summed", "b", picture(1, 1), **facts | {"camera_id": "c2", "captured_at": "2026-05-02T02:10:00+02:00"})
    served.put("summed", "c", picture(2), camera_id="c2", person="2")
    served.put("summed", "d", picture(3))
    viewpoints = [served.client.get(f"{gallery}/items/{id}").json()["viewpoint"] for id in "abcd"]
    facing = [("front", "side", "back")[one.index(max(one))] for one in viewpoints]
    assert served.client.get(f"{gallery}/summary").json() == {
        "gallery": "summed",
        "count": 4,
        "cameras": {
            "largest": [{"camera_id": "c2", "count": 2}, {"camera_id": "c1", "count": 1}],
            "others": 0,
            "others_count": 0,
            "unknown": 1,
        },
        "captured": {
            "first": "2026-05-01T23:30:00Z",
            "last": "2026-05-02T00:10:00Z",
            "unit": "hour",
            "spans": [
                {"start": "2026-05-01T23:00:00Z", "count": 1},
                {"start": "2026-05-02T00:00:00Z", "count": 1},
            ],
            "unknown": 2,
        },
        "viewpoints": {name: facing.count(name) for name in ("front", "side", "back")} | {"unknown": 0},
        "persons": {"known": 2, "unknown": 1},
        "tracklets": {"known": 1, "unknown": 2},
    }


def test_a_summary_of_what_meets_the_conditions(served, gallery):
    def told(**conditions):
        answer = served.client.get(f"{gallery}/summary", params=conditions)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert told()["count"] == 16
    assert told(camera="c1")["cameras"]["largest"] == [{"camera_id": "c1", "count": 8}]
    assert told(camera=["c0", "c1"], person=["0", "3"])["persons"]["known"] == 2
    assert told(**{"from": "2026-01-01T00:00:00Z"})["count"] == 0
    refused = served.client.get(f"{gallery}/summary", params={"colour": "red"})
    assert refused.status_code == 422
    assert "colour" in refused.text


def test_many_cameras_are_named_up_to_a_number(served, picture):
    gallery = served.gallery("many-cameras")
    vector = served.client.post("/v1/embed", content=picture(1), headers={"Content-Type": "image/jpeg"}).json()
    rows = [
        {"id": str(number), "embedding": vector["embedding"], "camera_id": f"c{number:04}"}
        for number in range(MOST_CAMERAS + 2)
    ]
    served.bulk(gallery, rows).raise_for_status()
    cameras = served.client.get(f"{gallery}/summary").json()["cameras"]
    assert [one["camera_id"] for one in cameras["largest"]] == [row["camera_id"] for row in rows[:MOST_CAMERAS]]
    assert (cameras["others"], cameras["others_count"]) == (2, 2)


def test_whoever_may_search_a_gallery_may_see_what_it_holds(serve, picture):
    with serve() as served:
        served.gallery("mine")
        served.gallery("theirs")
        key = served.key("search", galleries=("mine",))
        assert served.client.get("/v1/galleries/mine/summary", headers=key).json()["count"] == 0
        assert served.client.get("/v1/galleries/theirs/summary", headers=key).status_code == 403
        assert served.client.get("/v1/galleries/mine/summary").status_code == 401
        ingest = served.key("ingest")
        assert served.client.get("/v1/galleries/mine/summary", headers=ingest).status_code == 403
