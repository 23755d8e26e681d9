"""A report from a model, a trial and, where it is known, the log of the run that trained it."""

from pathlib import Path

from models import Card, Session
from retrieval import RerankSettings
from training.evaluation import Rerank, Trial, evaluate
from training.report.cmc_section import cmc_section
from training.report.curves_section import curves_section
from training.report.map_section import map_section
from training.report.occlusion_section import occlusion_section
from training.report.overview import overview_section
from training.report.page import page
from training.report.ranked_section import ranked_section
from training.report.score_section import score_section
from training.report.section import Section
from training.report.view_section import view_section


def build_report(
    session: Session,
    trial: Trial,
    *,
    card: Card,
    dataset: str,
    command: str,
    rerank: Rerank = "off",
    settings: RerankSettings | None = None,
    run: Path | None = None,
) -> str:
    """The page. dataset: how it is called. command: what gives the page again. run: the folder of the training run.

    rerank: is shown beside the plain ranking, where it is not off.
    """
    plain = evaluate(trial)
    evaluations = [plain] if rerank == "off" else [plain, evaluate(trial, rerank, settings)]
    sections: list[Section | None] = [
        overview_section(evaluations, card),
        ranked_section(plain),
        cmc_section(evaluations),
        score_section(plain, card),
        None if plain.views is None else view_section(plain.views),
        occlusion_section(session, plain),
        map_section(trial),
        None if run is None else curves_section(run),
    ]
    return page(
        f"{card.name} on {dataset}",
        "What a person re-identification model finds, where it fails, and what its scores mean.",
        [section for section in sections if section is not None],
        f"Made by: {command}. "
        + (
            "" if dataset.startswith("synthetic:") else "This page shows pictures of people: treat it like the dataset."
        ),
    )
