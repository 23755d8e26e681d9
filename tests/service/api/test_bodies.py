"""What may not come in: bodies too large or too slow, pictures that are none, content of another kind."""

import base64
import io
import json
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

MOST = 100_000


@pytest.fixture(scope="module")
def limited(tmp_path_factory, open_service):
    """A service with small limits."""
    data = tmp_path_factory.mktemp("limited") / "data"
    limits = {"max_body_bytes": MOST, "max_bulk_bytes": 2 * MOST, "max_image_bytes": MOST // 2}
    with open_service(data, body_seconds=0.2, **limits) as running:
        running.gallery("g", people=2)
        yield running


def png_header(width, height):
    """A PNG that says how large it is, and holds next to nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(mode, size=(48, 96)):
    channels = {"RGB": 3, "CMYK": 4, "L": 1, "RGBA": 4}[mode]
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze(), mode)


SOUND = saved(noise("RGB"), "JPEG")
DEEP = Image.fromarray(np.random.default_rng(0).integers(0, 65536, (96, 48), dtype=np.uint16))

REFUSED = {
    "empty": (b"", 422, "undecodable-image"),
    "truncated": (SOUND[: len(SOUND) // 2], 422, "undecodable-image"),
    "cut in its header": (SOUND[:20], 422, "undecodable-image"),
    "bomb by its header": (png_header(60_000, 60_000), 422, "image-bomb"),
    "very wide": (saved(Image.new("RGB", (20_000, 1)), "PNG"), 422, "image-bomb"),
    "wide by its header": (png_header(20_000, 1), 422, "image-bomb"),
    "one pixel": (saved(Image.new("RGB", (1, 1)), "PNG"), 422, "undecodable-image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///x"/></svg>', 415, "unsupported-media-type"),
    "gif": (saved(noise("RGB"), "GIF"), 415, "unsupported-media-type"),
    "animated": (
        saved(noise("RGB"), "WEBP", save_all=True, append_images=[noise("L").convert("RGB")]),
        415,
        "unsupported-media-type",
    ),
    "html": (b"<!doctype html><script>alert(1)</script>", 415, "unsupported-media-type"),
    "too many bytes": (SOUND + bytes(MOST // 2), 413, "image-too-large"),
    "zeros": (bytes(1000), 415, "unsupported-media-type"),
}  # fmt: skip
TAKEN = {
    "cmyk": saved(noise("CMYK"), "JPEG"),
    "16 bits": saved(DEEP, "PNG"),
    "grey": saved(noise("L"), "PNG"),
    "transparent": saved(noise("RGBA"), "PNG"),
    "with something behind it": SOUND + b"<script>alert(1)</script>PK\x03\x04",
    "webp": saved(noise("RGB"), "WEBP"),
    "smallest": saved(Image.new("RGB", (16, 16), "red"), "PNG"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_picture_is_refused_by_every_way_in(limited, name):
    content, status, kind = REFUSED[name]
    b64 = base64.b64encode(content).decode()
    jpeg = {"Content-Type": "image/jpeg"}
    answers = [
        limited.client.post("/v1/galleries/g/search", content=content, headers=jpeg),
        limited.client.post("/v1/galleries/g/search", files={"image": ("a.jpg", content, "image/jpeg")}),
        limited.client.post("/v1/galleries/g/search", json={"image_b64": b64}),
        limited.client.post("/v1/galleries/g/search:batch", files=[("image", content)]),
        limited.client.post("/v1/embed", content=content, headers=jpeg),
        limited.client.put("/v1/galleries/g/items/bad", content=content, headers=jpeg),
        limited.client.put("/v1/galleries/g/items/bad", json={"image_b64": b64}),
    ]
    assert [(answer.status_code, answer.json()["type"]) for answer in answers] == [(status, kind)] * len(answers)
    row = json.dumps({"id": "bad", "image_b64": b64})
    bulk = limited.client.post(
        "/v1/galleries/g/items:batch", content=row, headers={"Content-Type": "application/x-ndjson"}
    )
    assert bulk.json()["rows"][0]["problem"]["type"] == kind
    assert limited.client.get("/v1/galleries/g/items/bad").status_code == 404
    assert f'vantage_images_rejected_total{{reason="{kind}"}}' in limited.client.get("/metrics").text


@pytest.mark.parametrize("name", TAKEN)
def test_an_unusual_picture_is_taken_whatever_it_is_said_to_be(limited, name):
    for said in ("image/jpeg", "image/webp", "application/octet-stream"):
        answer = limited.client.post("/v1/embed", content=TAKEN[name], headers={"Content-Type": said})
        assert answer.status_code == 200, answer.text


def test_a_body_that_says_that_it_is_too_large_is_refused_unread(limited):
    with raw(limited) as connection:
        head = f"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MOST + 1}\r\n\r\n"
        connection.sendall(head.encode())
        status, problem = answer_of(connection)
    assert (status, problem["type"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("path", "kind", "limit"),
    [("/v1/embed", "image/jpeg", MOST), ("/v1/galleries/g/items:batch", "application/x-ndjson", 2 * MOST)],
)
def test_a_body_without_an_end_is_cut_off_at_the_limit(limited, path, kind, limit):
    with raw(limited) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        sent = 0
        try:
            while sent <= 100 * limit:  # far beyond what any buffer on the way holds
                connection.sendall(b"3E8\r\n" + b"x" * 1000 + b"\r\n")
                sent += 1000
        except OSError:
            pass
        assert limit < sent < 100 * limit
    assert limited.client.get("/livez").status_code == 200
    metrics = limited.client.get("/metrics").text
    assert f'code="413",method="POST",route="{path.replace("/g/", "/{gallery}/")}"' in metrics


def test_a_body_may_be_as_large_as_the_limit_and_not_a_byte_more(limited):
    kind = {"Content-Type": "application/json"}
    for length, status in ((MOST, 400), (MOST + 1, 413)):  # 400: it is no JSON
        answer = limited.client.post(
            "/v1/embed", content=iter([b"x" * 1000] * (length // 1000) + [b"x" * (length % 1000)]), headers=kind
        )
        assert answer.status_code == status


@pytest.mark.parametrize("path", ["/v1/embed", "/v1/galleries/g/items:batch"])
def test_a_client_that_sends_too_slowly_is_told_so_and_let_go(limited, path):
    with raw(limited) as connection:
        kind = "application/x-ndjson" if "batch" in path else "image/jpeg"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\nabc"
        connection.sendall(head.encode())
        status, problem = answer_of(connection)
        assert connection.recv(1) == b""
    assert (status, problem["type"]) == (408, "request-timeout")


def test_who_is_refused_before_the_body_is_read_cannot_go_on_sending_for_ever(limited):
    with raw(limited) as connection:
        connection.sendall(
            b"POST /v1/embed HTTP/1.1\r\nHost: attacker.example\r\nTransfer-Encoding: chunked\r\n\r\n3E8\r\n"
        )
        status, problem = answer_of(connection)
        assert connection.recv(1) == b""
    assert (status, problem["type"], problem["closes"]) == (403, "forbidden", True)


def test_a_client_that_goes_within_its_body_hurts_nobody(limited):
    with raw(limited) as connection:
        connection.sendall(b"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    assert limited.client.post("/v1/embed", content=SOUND, headers={"Content-Type": "image/jpeg"}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/svg+xml", None])
def test_content_of_another_kind_is_refused_and_the_right_ones_are_named(limited, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    answer = limited.client.post("/v1/galleries/g/search", content=SOUND, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "unsupported-media-type")
    assert "multipart/form-data" in answer.json()["detail"]


def test_a_form_that_is_none_is_told_so(limited):
    def send(content, boundary="; boundary=b"):
        kind = {"Content-Type": f"multipart/form-data{boundary}"}
        return limited.client.post("/v1/galleries/g/search", content=content, headers=kind)

    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\nx\r\n'
    assert send(b"x", "").json()["type"] == "malformed-body"
    assert send(b"no boundary in here").json()["type"] == "malformed-body"
    assert send(part % b"image").json()["type"] == "malformed-body"  # without its end
    assert send(b"--b\r\n\r\nx\r\n--b--\r\n").json()["type"] == "malformed-body"  # a part without a name
    unknown = send(part % b"picture" + b"--b--\r\n")
    assert (unknown.status_code, unknown.json()["errors"][0]["where"]) == (422, "part picture")
    assert send(part % b"params" + b"--b--\r\n").json()["errors"][0]["where"] == "part image"
    assert send((part % b"image") * 2 + b"--b--\r\n").status_code == 422
    many = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n\r\n'
    crowd = send(many * 1200 + b"--b--\r\n")
    assert (crowd.status_code, "more than 1000 parts" in crowd.json()["detail"]) == (400, True)


def test_a_line_that_is_too_long_is_a_failed_row(limited):
    long = json.dumps({"id": "a", "embedding": [0.123456789] * (MOST // 10)})
    good = json.dumps({"id": "b", "embedding": [1.0] + [0.0] * 127})
    assert len(long) > MOST
    answer = limited.client.post(
        "/v1/galleries/g/items:batch",
        content="\n".join([long, good]),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert [(row["line"], row["outcome"]) for row in answer.json()["rows"]] == [(1, "failed"), (2, "added")]
    assert answer.json()["rows"][0]["problem"]["type"] == "body-too-large"


def raw(running):
    connection = socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])))
    connection.settimeout(30)
    return connection


def answer_of(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(next(line for line in head.lower().splitlines() if line.startswith(b"content-length")).split(b":")[1])
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1]), json.loads(body) | {"closes": b"connection: close" in head.lower()}
