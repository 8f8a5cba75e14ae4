"""The answer in a few sentences, built from the numbers of each audit.

Every sentence says what it rests on. Where an interval holds 0, or there is
none, nothing is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.resampling import FEW_GROUPS, FEW_INCORRECT, Interval
from tasks.report.agreement_section import k_of_n
from tasks.report.inputs import AuditSummary, Inputs, spell
from tasks.report.numerals import bounds, count, counted, names, percent, score, share
from tasks.summary.certainty import Certainty, Separation
from tasks.summary.localisation import Localisation


@dataclass(frozen=True)
class Answer:
    """A question, its answer, and what the answer rests on.

    ``open``: no difference can be told; ``few``: there are too few rows to conclude anything.
    """

    question: str
    answer: str
    basis: str
    open: bool = False
    few: bool = False


def subject(audit: AuditSummary) -> str:
    """Say what was audited."""
    found = audit.numbers.classification
    right, wrong, _ = audit.counts()
    words = (
        f"On {counted(found.images, 'test image')} of "
        f"{counted(found.groups, 'patient or lesion', 'patients or lesions')} its predictions "
        f"are exactly right for {share(found.exact_match)}"
    )
    if found.largest_class_share is not None:
        words += "; always naming the commonest label would reach "
        words += share(found.largest_class_share)
    explained = counted(right + wrong, "prediction")
    return (
        f"{words}. {explained} of the test split ({count(right)} right, {count(wrong)} wrong) "
        + (
            f"{'was' if right + wrong == 1 else 'were'} explained by "
            f"{counted(len(audit.methods), 'method')}."
        )
        + _not_applicable(audit)
    )


def _not_applicable(audit: AuditSummary) -> str:
    out = list(audit.not_applicable)
    if not out:
        return ""
    return f" {_spelled(out)} {_verb(out, 'is', 'are')} not applicable to this network."


def answers(inputs: Inputs, audit: AuditSummary) -> list[Answer]:
    """Answer the questions that an audit is run for."""
    return [_where(inputs, audit), _agree(audit), _certain(audit)]


def _where(inputs: Inputs, audit: AuditSummary) -> Answer:
    question = "Does it look where a clinician would look?"
    rows = {m: audit.localisation(m) for m in audit.methods}
    known = {m: r for m, r in rows.items() if r is not None and r.with_truth}
    gains = {m: r.beyond["segx"]["centred"]["iou"] for m, r in known.items()}
    if not any(g.estimate is not None for g in gains.values()):
        return Answer(
            question, "No explained test prediction has a mask to compare with.", "", True
        )
    above, below, unclear = _sides(gains)
    iou = f"IoU@{percent(inputs.kept)}"
    sentences = [_beyond_chance({m: r.beyond["segx"]["shuffled"]["iou"] for m, r in known.items()})]
    blob = "a blob at the centre of the image, blind to what it shows"
    if above:
        sentences.append(f"{_spelled(above)} also {_verb(above, 'beats', 'beat')} {blob}.")
    if below:
        other = "such a blob" if above else blob
        sentences.append(f"{_spelled(below)} {_verb(below, 'does', 'do')} worse than {other}.")
    if unclear:
        other = "such a blob" if above or below else blob
        sentences.append(f"No difference between {_spelled(unclear)} and {other} can be told.")
    best = max(known, key=lambda m: _mean(known[m], "map", "original"))
    own = known[best]
    details = ", ".join(f"{spell(m)} {bounds(g, sign=True)}" for m, g in gains.items())
    basis = (
        f"Gain of {iou} over the centred blob, both after SegX: {details}. Without SegX the "
        f"highest {iou} is {score(_mean(own, 'map', 'original'))} ({spell(best)}); its blob has "
        f"{score(_mean(own, 'centred', 'original'))}, the ceiling is "
        f"{score(own.means['map']['original']['iou_ceiling'].mean)}. "
        f"{_few_groups(max(g.groups for g in gains.values()))}"
    )
    few = max(g.groups for g in gains.values()) < FEW_GROUPS
    return Answer(question, " ".join(sentences), basis, not above and not below, few)


def _sides(intervals: dict[str, Interval]) -> tuple[list[str], list[str], list[str]]:
    """Sort methods by where their interval lies: above 0, below 0, or neither can be told."""
    above = [m for m, i in intervals.items() if i.low is not None and i.low > 0]
    below = [m for m, i in intervals.items() if i.high is not None and i.high < 0]
    return above, below, [m for m in intervals if m not in above and m not in below]


def _beyond_chance(gains: dict[str, Interval]) -> str:
    """Say which methods do better than their own values in random order."""
    above, _, _ = _sides(gains)
    if not above:
        return "No map can be told from a random one of the same values."
    who = "Every method" if len(above) == len(gains) > 1 else _spelled(above)
    verb = "meets" if who == "Every method" else _verb(above, "meets", "meet")
    return f"{who} {verb} the clinician's mask better than a random map of the same values."


def _mean(found: Localisation, saliency: str, reading: str) -> float:
    value = found.means[saliency][reading]["iou"].mean
    return -1.0 if value is None else float(value)


def _spelled(methods: list[str]) -> str:
    return names([spell(method) for method in methods])


def _verb(subjects: list[str], one: str, more: str) -> str:
    return one if len(subjects) == 1 else more


def _few_groups(groups: int) -> str:
    if groups >= FEW_GROUPS:
        return f"{count(groups)} patients or lesions."
    return (
        f"Only {counted(groups, 'patient or lesion', 'patients or lesions')}: too few to conclude "
        f"(fewer than {FEW_GROUPS})."
    )


def _agree(audit: AuditSummary) -> Answer:
    question = "Do the explanation methods agree?"
    found = audit.numbers.agreement.sets.get("paper")
    if not found or found.status != "ok":
        few = f"Fewer than three of the methods that vote have maps (n {found.n if found else 0})"
        return Answer(question, f"{few}: no agreement is claimed.", "", True)
    shared, near = found.shared, found.near_unanimous
    difference = shared.difference
    low, high = difference.low, difference.high
    if low is not None and low > 0:
        text = "Yes, more than independent maps would."
    elif high is not None and high < 0:
        text = "Less than independent maps would."
    else:
        text = "No more than independent maps would, as far as can be told."
    voters = [spell(m) for m in audit.numbers.parameters.agreement_methods]
    basis = (
        f"Two of {names(voters)} share {score(shared.mean)} of their three top cells; chance "
        f"gives {score(shared.chance)} (difference {bounds(difference, sign=True)}). In "
        f"{share(near.share.mean)} of {counted(near.share.n, 'prediction')} "
        f"{k_of_n(found)} of them share a cell; chance gives {share(near.chance.mean)}. "
        f"{_few_groups(difference.groups)}"
    )
    unclear = low is None or low <= 0 <= (high or 0)
    return Answer(question, text, basis, unclear, difference.groups < FEW_GROUPS)


def _certain(audit: AuditSummary) -> Answer:
    question = "May SegU warn of a wrong prediction?"
    right, wrong, groups = audit.counts()
    rows = {m: audit.certainty(m) for m in audit.methods}
    known = {m: r for m, r in rows.items() if r and r.scores["c_iou"].auroc.auroc}
    if not known:
        lacking = "wrong" if right else "right"
        text = (
            f"There is no {lacking} explained test prediction to tell from the others."
            if not right or not wrong
            else "No map has a certainty score."
        )
        return Answer(question, text, f"{count(right)} right, {count(wrong)} wrong.", True)
    areas = {m: r.scores["c_iou"].auroc.auroc or 0.0 for m, r in known.items()}
    first = next(iter(known.values()))
    better = [m for m, r in known.items() if _low(r, "c_iou-calibrated") > 0]
    worse = [m for m, r in known.items() if _high(r, "c_iou-calibrated") < 0]
    silent = [m for m, r in known.items() if _is_zero_throughout(r.scores["c_iou"])]
    if len(silent) == len(known):
        text = "No: c_IoU is 0 for every prediction, right or wrong."
    elif better:
        text = f"c_IoU of {_spelled(better)} tells right from wrong better than the probability."
    elif len(worse) == len(known):
        text = "No method's c_IoU does it as well as the classifier's own probability."
    else:
        text = "It cannot be told whether c_IoU beats the classifier's own probability."
    lowest, highest = min(areas, key=lambda m: areas[m]), max(areas, key=lambda m: areas[m])
    span = f"{score(areas[lowest])} ({spell(lowest)})"
    if highest != lowest:
        span += f" to {score(areas[highest])} ({spell(highest)})"
    basis = (
        f"AUROC of c_IoU {span}; of the calibrated probability "
        f"{score(first.scores['calibrated'].auroc.auroc)}, of the area of P alone "
        f"{score(first.scores['predicted_area'].auroc.auroc)}. {count(right)} right and "
        f"{count(wrong)} wrong predictions of {count(groups)} patients or lesions"
    )
    few = wrong < FEW_INCORRECT or groups < FEW_GROUPS
    too_few = f"fewer than {FEW_INCORRECT} wrong, or {FEW_GROUPS} patients or lesions"
    basis += f": too few to conclude ({too_few})." if few else "."
    return Answer(question, text, basis, not better and len(worse) < len(known), few)


def _is_zero_throughout(found: Separation) -> bool:
    """Whether a score, which is never negative, is 0 in every row."""
    return found.correct.mean == 0 and found.incorrect.mean == 0


def _low(found: Certainty, pair: str) -> float:
    low = (found.auroc_difference or {})[pair].low
    return -1.0 if low is None else float(low)


def _high(found: Certainty, pair: str) -> float:
    high = (found.auroc_difference or {})[pair].high
    return 1.0 if high is None else float(high)
