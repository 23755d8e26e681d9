"""README.md of a bundle, written from its card: for the person who finds the folder."""

from models import CARD_FILE, Calibration, Card, GroupScores, Result

MARK = f"<!-- vantage-train writes this page from {CARD_FILE}; what is changed here by hand is lost -->"
"""Stands in the pages that may be written anew. Pages without it were written by somebody and are left alone."""


def bundle_readme(card: Card) -> str:
    """The whole page, Markdown."""
    sections = [
        f"# {card.name}\n\n{MARK}",
        _what(card),
        _terms(card),
        _contract(card),
        _results(card),
        *_where_it_fails(card),
        _scores(card.calibration, card.uncalibrated_because),
        _making(card),
    ]
    return "\n\n".join(sections) + "\n"


def _what(card: Card) -> str:
    viewpoint = " It also says which side of the person is seen." if card.outputs.viewpoint is not None else ""
    return (
        f"A network for person re-identification, version {card.version}: it turns a crop of a person into "
        f"{card.embedding.dimension} numbers, so that crops of one person have a high cosine and crops of two a low "
        f"one.{viewpoint} It compares clothing and build, so it does not find people who have changed their clothes, "
        "and what it finds proves nobody's identity.\n\n"
        f"`vantage model check models/zoo/{card.name}` tries it out."
    )


def _terms(card: Card) -> str:
    return f"## Terms\n\n* Weights: {card.licence.weights}\n* Training data: {card.licence.training_data}"


def _contract(card: Card) -> str:
    spec = card.input
    size = f"{spec.height} x {spec.width} (height x width)"
    axes = "N, H, W, 3" if spec.layout == "NHWC" else "N, 3, H, W"
    batch = "any number" if spec.fixed_batch is None else f"{spec.fixed_batch}"
    lines = [
        "## In and out",
        "",
        f"* `{spec.name}`: {spec.dtype} [{axes}], {spec.colour}, {size}, resized {spec.resize}, {batch} at a time",
        f"* `{card.outputs.embedding}`: [N, {card.embedding.dimension}]"
        + (", of length 1" if card.embedding.normalised else ""),
    ]
    if card.outputs.viewpoint is not None:
        lines.append(f"* `{card.outputs.viewpoint}`: [N, 3], shares of front, side and back")
    files = [f"`model.onnx` ({card.precision})", *(f"`{v.file}` ({v.precision})" for v in card.variants)]
    lines += ["", f"Files: {', '.join(files)}."]
    return "\n".join(lines)


def _results(card: Card) -> str:
    if not card.results:
        return "## Results\n\nNone measured yet: `vantage-train evaluate` with `--write-card` measures them."
    rows = [
        "## Results",
        "",
        "| dataset | re-ranking | mAP | mAP, trapezoid | CMC-1 | CMC-5 | CMC-10 | mINP |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(line) for line in card.results),
    ]
    notes = [f"* {line.protocol}; AP {line.average_precision}:\n  `{line.command}`" for line in card.results]
    return "\n".join([*rows, "", "How each was measured, and what gives it again:", "", *notes])


def _row(line: Result) -> str:
    rerank = (
        "none"
        if line.rerank is None
        else f"{line.rerank.mode} ({line.rerank.k1}, {line.rerank.k2}, {line.rerank.lam:g})"
    )
    scores = (line.mean_ap, line.mean_ap_trapezoid, line.cmc_1, line.cmc_5, line.cmc_10, line.minp)
    return f"| {_cell(line.dataset)} | {_cell(rerank)} | " + " | ".join(map(_percent, scores)) + " |"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _where_it_fails(card: Card) -> list[str]:
    """The tables of groups, each with the words of its worst cell; nothing where none was measured."""
    tables = [
        (line, what, told)
        for line in card.results
        for what, told in (("viewpoint", line.by_viewpoint), ("camera", line.by_camera))
        if told is not None and any(ap is not None for row in told.mean_ap for ap in row)
    ]
    return ["\n\n".join(["## Where it fails", *(_groups(*table) for table in tables)])] if tables else []


def _groups(line: Result, what: str, told: GroupScores) -> str:
    measured = [
        (ap, queries, asked, kept)
        for asked, aps, counts in zip(told.names, told.mean_ap, told.queries, strict=True)
        for kept, ap, queries in zip(told.names, aps, counts, strict=True)
        if ap is not None
    ]
    worst, best = min(measured), max(measured)
    words = (
        f"By {what} on {line.dataset}, without re-ranking: a row asks with the pictures of one {what}, a column keeps "
        f"the gallery's pictures of one; mAP, in brackets the queries. Worst is {worst[2]} to {worst[3]} with "
        f"{worst[0]:.1%}, best {best[2]} to {best[3]} with {best[0]:.1%}. Which picture is of which {what} say the "
        f"{told.source}."
    )
    rows = [
        f"| {asked} | "
        + " | ".join("-" if ap is None else f"{ap:.1%} ({count:,})" for ap, count in zip(aps, counts, strict=True))
        + " |"
        for asked, aps, counts in zip(told.names, told.mean_ap, told.queries, strict=True)
    ]
    head = [f"| asked | {' | '.join(told.names)} |", "|---" * (len(told.names) + 1) + "|"]
    return "\n".join([words, "", *head, *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _scores(calibration: Calibration | None, why_not: str | None) -> str:
    if calibration is None:
        return f"## What a score means\n\nNot measured: {why_not}."
    rows = [
        "## What a score means",
        "",
        f"Measured on {calibration.dataset}: {calibration.same_pairs:,} pairs of one person, "
        f"{calibration.different_pairs:,} of two.",
    ]
    if calibration.thresholds:
        rows += ["", "| pairs of two people accepted | threshold | pairs of one person accepted |", "|---|---|---|"]
        rows += [
            f"| {point.false_accept_rate:.2%} | {point.threshold:.4f} | {point.true_accept_rate:.2%} |"
            for point in calibration.thresholds
        ]
    if calibration.reason is not None:
        rows += ["", f"Missing: {calibration.reason}."]
    return "\n".join([*rows, "", f"`{calibration.command}`"])


def _making(card: Card) -> str:
    lines = ["## How it was made", ""]
    training = card.training
    if training is None:
        lines.append("Not known.")
    else:
        versions = ", ".join(f"{name} {version}" for name, version in training.versions.items())
        lines += [
            f"* Data: {training.dataset}",
            f"* Recipe: {training.recipe}, seed {training.seed}, {training.epochs} epochs",
            f"* Software: {versions}",
        ]
    files = [("model.onnx", card.parity), *((variant.file, variant.parity) for variant in card.variants)]
    lines += [
        f"* `{file}` gives what the network gives: over {parity.crops} real crops the cosine of the two embeddings is "
        f"at least {parity.min_cosine:.6f}, and no number differs by more than {parity.max_abs_difference:.1e}"
        for file, parity in files
        if parity is not None
    ]
    return "\n".join(lines)
