"""Every learner by name: forests and regressions of scikit-learn, and all nets."""

from __future__ import annotations

from p2pfd.learning.learner import AnyLearner

FORMS = ("forest", "logistic")


def learner_of(name: str, classes: int) -> AnyLearner:
    """The learner of this name; PlanError lists the names that exist. Only what is asked for is imported."""
    if name == "forest":
        from p2pfd.learning.forest import Forests

        return Forests(classes)
    if name == "logistic":
        from p2pfd.learning.logistic import Logistic

        return Logistic(classes)
    from p2pfd.learning.models import model_of

    return model_of(name, classes, also=FORMS)
