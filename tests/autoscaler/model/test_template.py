"""The record of what a pool asked of its nodes."""

from autoscaler.builders import pool
from hk3s_autoscaler.model import template
from hk3s_autoscaler.model.pod import Taint
from hk3s_hetzner import labels

LABELS = (("disk", "fast"), ("team", "a"))
TAINTS = (Taint(key="dedicated", value="batch"), Taint(key="gpu", effect="NoExecute"))


def test_the_record_never_changes_with_the_order_nor_with_the_release() -> None:
    """Servers out there carry it: a new text for the same template would replace them all."""
    written = template.record(pool(labels=LABELS, taints=TAINTS))

    assert written == template.record(pool(labels=LABELS[::-1], taints=TAINTS[::-1]))
    assert written == "1.5aaec90f8816fafa.b7377064cf719253"
    assert template.record(pool()) == "1.4f53cda18c2baa0c.4f53cda18c2baa0c"


def test_the_record_is_a_label_value_of_hetzner() -> None:
    assert labels.is_value(template.record(pool(labels=LABELS, taints=TAINTS)))


def test_what_a_running_node_does_not_show_is_not_recorded() -> None:
    other = pool(startup_taints=TAINTS, image="debian-13", locations=("nbg1",), max_nodes=3)

    assert template.record(other) == template.record(pool())


def test_labels_and_taints_are_marked_apart() -> None:
    both = template.marks(template.record(pool(labels=LABELS, taints=TAINTS)))
    bare = template.marks(template.record(pool(labels=LABELS)))

    assert both is not None
    assert bare is not None
    assert both[0] == bare[0]
    assert both[1] != bare[1]


def test_records_of_other_rules_are_not_read() -> None:
    known = template.record(pool())

    for text in ("", "1", "1.ab", f"2{known[1:]}", "edited"):
        assert template.marks(text) is None


def test_up_to_two_dropped_labels_are_found_among_others() -> None:
    made = template.labels_mark(frozenset(LABELS))
    others = [("zone", str(number)) for number in range(20)]

    one = template.dropped([*others, LABELS[0]], frozenset(LABELS[1:]), made, template.labels_mark)
    two = template.dropped([*others, *LABELS], frozenset(), made, template.labels_mark)
    none = template.dropped(others, frozenset(), made, template.labels_mark)

    assert (one, two, none) == (LABELS[:1], LABELS, ())
