"""A trained network as the rest of the house takes it: `best.pt` of a run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.checkpoint import read_tensors, write_tensors
from training.networks import NetworkSettings, ReidNetwork
from training.recipe import Recipe
from training.recipe_reading import recipe_from

BEST_FILE = "best.pt"
_KEYS = {"settings", "network", "mean", "std", "recipe", "seed", "epoch", "data", "versions", "validation_map"}


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """network: in eval mode, on the CPU; the average of weights where the recipe has one.
    epoch: after how many epochs; 0 is the untrained network. validation_map: on the held-out training people.
    data: the dataset's `spec` and `name` and what was counted in it. versions: software that trained it.
    """

    network: ReidNetwork
    recipe: Recipe
    seed: int
    epoch: int
    data: dict[str, Any]
    versions: dict[str, str]
    validation_map: float


def write_trained(path: Path, trained: TrainedNetwork) -> None:
    network = trained.network
    content = {
        "settings": asdict(network.settings),
        "network": network.state_dict(),
        "mean": list(network.mean),
        "std": list(network.std),
        "recipe": asdict(trained.recipe),
        "seed": trained.seed,
        "epoch": trained.epoch,
        "data": trained.data,
        "versions": trained.versions,
        "validation_map": trained.validation_map,
    }
    write_tensors(path, content)


def read_trained(run: Path) -> TrainedNetwork:
    """The best network of a run, from the run's folder or from its best.pt."""
    content = read_tensors(run / BEST_FILE if run.is_dir() else run, _KEYS)
    network = ReidNetwork(NetworkSettings(**content["settings"]))
    network.load_state_dict(content["network"])
    network.mean, network.std = tuple(content["mean"]), tuple(content["std"])
    return TrainedNetwork(
        network=network.eval(),
        recipe=recipe_from(content["recipe"]),
        seed=content["seed"],
        epoch=content["epoch"],
        data=content["data"],
        versions=content["versions"],
        validation_map=content["validation_map"],
    )
