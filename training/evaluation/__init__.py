"""How good is the model that will be served? Datasets through the ONNX bundle, scored by `retrieval`.

>>> from models import Bundle, Session
>>> from training.data import load_dataset
>>> from training.evaluation import evaluate, open_trial
>>> session = Session(Bundle.open("models/zoo/some-model"))                          # doctest: +SKIP
>>> trial = open_trial(session, load_dataset("market1501:data/market"))              # doctest: +SKIP
>>> evaluate(trial, "online").ranking.map_step                                       # doctest: +SKIP
"""

from training.evaluation.as_json import evaluation_as_json
from training.evaluation.calibrating import Pairs, calibrate, in_plain_words, pairs_in_words, pairs_of, section_of
from training.evaluation.card_results import result_of, with_result
from training.evaluation.describe import STEP_AP, TRAPEZOID_AP, dataset_title, protocol, rerank_words
from training.evaluation.distances import RERANKS, DistanceRows, Rerank
from training.evaluation.embedding import EmbeddedSplit, embed_split
from training.evaluation.errors import EvaluationError
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.group_table import GroupTable, GroupTally
from training.evaluation.strangers import unknown_queries
from training.evaluation.table import render_evaluation
from training.evaluation.trial import (
    Groups,
    Trial,
    camera_groups,
    labels_of,
    open_trial,
    require_searchable,
    view_groups,
)

__all__ = [
    "RERANKS",
    "STEP_AP",
    "TRAPEZOID_AP",
    "DistanceRows",
    "EmbeddedSplit",
    "Evaluation",
    "EvaluationError",
    "GroupTable",
    "GroupTally",
    "Groups",
    "Pairs",
    "Rerank",
    "Trial",
    "calibrate",
    "camera_groups",
    "dataset_title",
    "embed_split",
    "evaluate",
    "evaluation_as_json",
    "in_plain_words",
    "labels_of",
    "open_trial",
    "pairs_in_words",
    "pairs_of",
    "protocol",
    "render_evaluation",
    "require_searchable",
    "rerank_words",
    "result_of",
    "section_of",
    "unknown_queries",
    "view_groups",
    "with_result",
]
