import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from training.ablation.judging import judge
from training.checkpoint import read_checkpoint
from training.data import open_cache
from training.feeding import CropFeed
from training.run_folder import RunFolder
from training.trained import read_trained, write_trained
from training.validation import Validation


def test_the_last_weights_are_judged_on_the_held_out_people_and_not_the_best(finished, make_ablation, tmp_path):
    out, (xent, _) = finished
    ablation = make_ablation(out)
    folder = RunFolder(Path(shutil.copytree(xent.folder, tmp_path / "run")))
    best = read_trained(folder.path)
    with torch.no_grad():
        for value in best.network.parameters():
            value.zero_()
    write_trained(folder.best, replace(best, network=best.network))
    cache = open_cache(ablation._dataset.train, best.recipe.network.input)
    device = torch.device("cpu")
    scores = judge(folder, ablation.held, cache, device)
    assert json.loads(json.dumps(scores)) == xent.scores

    last = read_trained(xent.folder).network
    last.load_state_dict(read_checkpoint(folder.last).average["network"])
    feed = CropFeed(cache.pixels, device)
    assert (
        abs(Validation(feed, cache, ablation.held.query, ablation.held.gallery)(last).map - scores["map_step"]) < 1e-9
    )
    assert scores["queries"]["pictures"] == len(ablation.held.query)
    assert not {*ablation.held.query.people} & {*ablation.held.train.people}


def test_without_viewpoints_there_is_no_table_of_them(people_without_viewpoints, make_ablation, ends_of, tmp_path):
    ablation = make_ablation(tmp_path / "out", "xent", data=f"folder:{people_without_viewpoints},split=train")
    (end,) = ends_of(ablation)
    assert end.scores["viewpoints"] is None
    assert "cameras ignored" in end.scores["protocol"]
