"""What stands for a rule where a person, not a rule, doubts a value: 校核申请 of Order 809 art. 26.

A request is an item like one of a rule: it fails while the record states the doubted value. It is no finding and counts
in no score, since nobody knows yet who is right. Who raises it and how it is judged are `assets.requests` and
`assets.correction_facts`.
"""

from __future__ import annotations

from catalog.frozen import Title

SUFFIX = ".request"  # of the rule id of its order: <department>.<resource>.request
SEVERITY, DIMENSION, INDICATOR = "error", "accuracy", "0301"  # what its order is filed under; the clock is an error's
SENTENCE = Title(
    zh="数据使用部门对该值提出校核申请，请核实、更正并反馈",
    en="a data user doubts this value: verify it, correct it, report back",
)


def request_rule_id(department: str, resource: str) -> str:
    """What the order of a request on a resource names as its rule."""
    return f"{department}.{resource}{SUFFIX}"
