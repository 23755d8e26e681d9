import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.cli.interrupt import stop_on_signals
from service.gallery.embedded import EmbeddedEngine

HERE = ("--decoders", 0)


def test_a_folder_becomes_a_gallery_and_a_second_run_changes_nothing(vantage, bundle, pictures):
    command = ("index", pictures, "--gallery", "g", "--model", bundle, "--pattern", "market1501", *HERE)
    code, out, err = vantage(*command)
    assert (code, err) == (0, "")
    assert out.startswith("8 added, 0 replaced, 0 unchanged: gallery g holds 8 items (")
    code, out, err = vantage("gallery", "info", "g", "--json")
    before = json.loads(out)
    assert before["settings"]["model_name"] == "matrix"
    code, out, err = vantage(*command)
    assert (code, err) == (0, "")
    assert out.startswith("0 added, 0 replaced, 8 unchanged")
    assert json.loads(vantage("gallery", "info", "g", "--json")[1])["change"] == before["change"]


def test_json_is_all_there_is_on_standard_output(vantage, bundle, pictures):
    (Path("p")).mkdir()
    (Path("p/bad.jpg")).write_bytes(b"no picture")
    (Path("p/good.png")).write_bytes(next(pictures.iterdir()).read_bytes())
    code, out, err = vantage("index", "p", "-g", "g", "--model", bundle, "--json", *HERE)
    facts = json.loads(out)
    assert code == 3
    assert facts | {"seconds": 0, "images_per_second": 0} == {
        "gallery": "g",
        "count": 1,
        "added": 1,
        "replaced": 0,
        "unchanged": 0,
        "denied": 0,
        "failed": 1,
        "report": "g.failures.jsonl",
        "seconds": 0,
        "images_per_second": 0,
        "stopped": False,
    }
    assert "p/bad.jpg: the file begins with 'no picture', which is no picture of a known kind" in err
    [line] = Path("g.failures.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == "unsupported-media-type"


def test_the_report_is_where_it_was_asked_for_and_bears_the_shard_otherwise(vantage, bundle, pictures):
    code, *_ = vantage("index", pictures, "-g", "g", "--model", bundle, "--report", "r.jsonl", *HERE)
    assert code == 0
    assert Path("r.jsonl").read_text() == ""
    (Path("p")).mkdir()
    (Path("p/bad.jpg")).write_bytes(b"no picture")
    codes = [vantage("index", "p", "-g", "g", "--model", bundle, "--shard", f"{n}/2", *HERE)[0] for n in (1, 2)]
    assert sorted(codes) == [0, 3]
    assert [path.name for path in Path().glob("g.*")] == [f"g.{codes.index(3) + 1}-of-2.failures.jsonl"]


def test_the_model_is_the_gallerys_unless_it_is_new(vantage, bundle, make_bundle, pictures, monkeypatch):
    code, out, err = vantage("index", pictures, "-g", "g", *HERE)
    assert (code, out) == (2, "")
    assert "gallery 'g' is not there yet" in err
    vantage("index", pictures, "-g", "g", "--model", bundle, *HERE)
    code, out, err = vantage("index", pictures, "-g", "g", *HERE)
    assert code == 1
    assert "is of the model matrix" in err
    assert "name its folder with --model" in err
    monkeypatch.setattr("service.cli.opening.list_bundles", lambda: [bundle])
    assert vantage("index", pictures, "-g", "g", *HERE)[0] == 0
    code, out, err = vantage("index", pictures, "-g", "g", "--model", make_bundle("other", seed=5), *HERE)
    assert code == 1
    assert "vantage gallery reembed g" in err


def test_mistakes_are_sentences_and_make_no_gallery(vantage, bundle, pictures, tmp_path):
    Path("l.csv").write_text("path,cammera\nx.jpg,c1\n")
    Path("empty").mkdir()
    model = ("--model", bundle, *HERE)
    for arguments, expected, sentence in (
        (("index", "nowhere", "-g", "g", *model), 1, "there is no nowhere"),
        (("index", "empty", "-g", "g", *model), 1, "there is no picture below empty"),
        (("index", "-g", "g", *model), 1, "there is nothing to index"),
        (("index", "--manifest", "l.csv", "-g", "g", *model), 1, "did you mean camera?"),
        (("index", pictures, "-g", "G!", *model), 1, "a gallery cannot be called 'G!'"),
        (("index", pictures, "-g", "g", "--model", "unknown"), 1, "there is no model 'unknown'"),
        (("index", pictures, "-g", "g", "--shard", "3/2", *model), 1, "--shard is '3/2'"),
        (("index", pictures, "-g", "g", "--pattern", "(", *model), 1, "is no regular expression"),
        (("index", pictures, "-g", "g", "--report", "none/r", *model), 1, "name another with --report"),
        (("index", pictures, *model), 2, "--gallery"),
        (("index", pictures, "-g", "g", "--batch", 0, *model), 2, "--batch"),
    ):
        code, out, err = vantage(*arguments)
        assert (code, out) == (expected, ""), arguments
        assert sentence in err
        assert "Traceback" not in err
    assert json.loads(vantage("gallery", "list", "--json")[1]) == []


def test_a_pattern_that_fits_nothing_is_a_sentence(vantage, bundle, pictures):
    code, _, err = vantage("index", pictures, "-g", "g", "--model", bundle, "--pattern", r"(?P<camera>k\d)", *HERE)
    assert code == 1
    assert "--pattern matches none of the paths in" in err


def test_crops_are_decided_when_the_gallery_is_made(vantage, bundle, pictures):
    vantage("index", pictures, "-g", "g", "--model", bundle, *HERE)
    code, _, err = vantage("index", pictures, "-g", "g", "--model", bundle, "--store-crops", *HERE)
    assert code == 2
    assert "was made without crops, and that stays" in err


def test_a_directory_that_another_process_has_is_a_sentence(vantage, bundle, pictures):
    with EmbeddedEngine.open("vantage-data"):
        code, out, err = vantage("index", pictures, "-g", "g", "--model", bundle, *HERE)
    assert (code, out) == (1, "")
    assert err.startswith("vantage: ")
    assert "Traceback" not in err


def test_the_data_directory_may_stand_in_the_environment(vantage, bundle, pictures, monkeypatch):
    monkeypatch.setenv("VANTAGE_DATA", "elsewhere")
    assert vantage("index", pictures, "-g", "g", "--model", bundle, *HERE)[0] == 0
    assert Path("elsewhere").is_dir()
    assert vantage("gallery", "info", "g")[0] == 0
    assert vantage("gallery", "info", "g", "--data", "other")[0] == 1


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_can_be_gone_on_with(tmp_path, bundle, pictures, number, expected):
    many = tmp_path / "many"
    many.mkdir()
    content = next(pictures.iterdir()).read_bytes()
    for at in range(400):
        (many / f"{at}.png").write_bytes(content)
    program = (  # the signal comes when the first items are committed
        "import os, sys\n"
        "from service.gallery.embedded import EmbeddedEngine\n"
        "from service.cli import main\n"
        "add = EmbeddedEngine.add\n"
        "def signalling(self, *given, **more):\n"
        "    done = add(self, *given, **more)\n"
        f"    if self.count('g') == 4: os.kill(os.getpid(), {int(number)})\n"
        "    return done\n"
        "EmbeddedEngine.add = signalling\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", program, "index", many, "-g", "g", "--model", bundle, "--decoders", "0"]
    command += ["--commit-every", "4", "--batch", "4"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == expected
    assert ended.stderr == "stopped: what is committed stays; run the same command again to go on\n"
    added = int(ended.stdout.split()[0])
    assert 4 <= added < 400
    with EmbeddedEngine.open(tmp_path / "vantage-data") as engine:
        assert engine.count("g") == added


def test_a_ray_cluster_that_is_not_there_is_a_sentence_at_once(vantage, bundle, pictures, monkeypatch):
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'vantage-reid[ray]'", exc_type=ImportError)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = ("index", pictures, "-g", "g", "--model", bundle)
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as free:
        port, closed = other.getsockname()[1], free.getsockname()[1]
        free.close()

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        for address, sentence in (
            (f"127.0.0.1:{port}", f"what answers at 127.0.0.1:{port} is no Ray cluster"),
            (f"127.0.0.1:{closed}", f"there is no Ray cluster at 127.0.0.1:{closed}: [Errno 111] Connection refused"),
            ("127.0.0.1:70000", "there is no Ray cluster at 127.0.0.1:70000"),
            ("somewhere", "--ray is 'somewhere': give auto, or HOST:PORT"),
            ("ray://127.0.0.1:10001", "give auto, or HOST:PORT"),
        ):
            code, out, err = vantage(*command, "--ray", address)
            assert (code, out) == (1, ""), address
            assert sentence in err
            assert "Traceback" not in err
        answering.join()
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed}")
    assert "there is no Ray cluster" in vantage(*command, "--ray", "auto")[2]
    assert json.loads(vantage("gallery", "list", "--json")[1]) == []


def test_options_of_ray_that_do_not_fit_are_sentences(vantage, bundle, pictures):
    for options, name in (
        (("--ray-workers", 2), "--ray-workers"),
        (("--ray-gpus-per-worker", 0.5), "--ray-gpus-per-worker"),
        (("--ray", "auto", "--server", "http://127.0.0.1:1"), "--ray"),
        (("--ray", "auto", "--decoders", 0), "--decoders"),
        (("--ray", "auto", "--ray-workers", 0), "--ray-workers"),
    ):
        code, out, err = vantage("index", pictures, "-g", "g", "--model", bundle, *options)
        assert (code, out) == (2, "")
        assert f"Invalid value for {name}" in err or f"Invalid value for '{name}'" in err


def test_without_ray_it_is_said_what_to_install(vantage, bundle, pictures, monkeypatch):
    for name in [name for name in sys.modules if "indexing.on_ray" in name or "on_ray.cluster" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, err = vantage("index", pictures, "-g", "g", "--model", bundle, "--ray", "auto")
    assert (code, out) == (1, "")
    assert "--ray needs Ray" in err
    assert "pip install 'vantage-reid[ray]'" in err


@pytest.fixture
def interruptible():
    """Also where the suite runs in the background of a shell, which has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_second_signal_does_what_it_always_does(interruptible):
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop(), stop.exit_code) == (True, 130)
        os.kill(os.getpid(), signal.SIGINT)
