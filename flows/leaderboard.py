"""Which kind of model reads digits best? A subflow for each, with a Dask cluster of its own, and retries in both.

A task that fails is tried again on the same cluster; a subflow whose cluster was lost is tried again on a new one, and
with a result storage it keeps what it had. `shaky` makes the first attempt of every task fail, as networks do.
On a laptop: `python -m flows.leaderboard`.
"""

from statistics import mean
from typing import Annotated, Literal

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.runtime import task_run
from pydantic import Field
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from ephemeral_dask import ephemeral_dask

Model = Literal["bayes", "neighbours"]
MODELS: dict[Model, ClassifierMixin] = {"bayes": GaussianNB(), "neighbours": KNeighborsClassifier()}


@task(retries=2, retry_delay_seconds=1)
def score(model: Model, fold: int, folds: int, shaky: bool) -> float:
    """Return the accuracy on one part of the digits, after training on the others."""
    if shaky and task_run.run_count == 1:
        raise ConnectionError("the first attempt fails, as was asked for")
    images, digits = load_digits(return_X_y=True)
    known, unseen = list(StratifiedKFold(folds).split(images, digits))[fold]
    return float(MODELS[model].fit(images[known], digits[known]).score(images[unseen], digits[unseen]))


@flow(retries=1, task_runner=ephemeral_dask(maximum=2, worker_cpu="200m", worker_memory="768Mi"))
def evaluate(model: Model, folds: int = 5, shaky: bool = False) -> float:
    """Return a model's mean accuracy over the folds."""
    return mean(score.map(model, range(folds), folds=folds, shaky=shaky).result())


@flow
def leaderboard(
    models: tuple[Model, ...] = ("bayes", "neighbours"),
    folds: Annotated[int, Field(ge=2, le=10)] = 5,
    shaky: bool = False,
) -> list[Model]:
    """Return the models, the best first."""
    scores = {model: evaluate(model, folds, shaky) for model in models}
    ranking = sorted(scores, key=lambda model: -scores[model])
    create_table_artifact([{"model": each, "accuracy": scores[each]} for each in ranking], "leaderboard")
    return ranking


if __name__ == "__main__":
    leaderboard(shaky=True)
