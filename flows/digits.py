"""Which random forest reads handwritten digits best? A parallel search over scikit-learn's 1,797 samples.

Each point of a grid is trained once per cross-validation fold, each training a task on the run's own Dask
cluster: sixty tasks of a second, so that the cluster grows. On a laptop: `python -m flows.digits`.
"""

from dataclasses import asdict, dataclass
from itertools import product
from statistics import mean
from typing import Annotated

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from pydantic import Field
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

from ephemeral_dask import ephemeral_dask


@dataclass(frozen=True)
class Score:
    """A forest with `features` looked at per split and `leaf` samples per leaf; its accuracy is in 0..1."""

    features: int
    leaf: int
    accuracy: float


@task
def train(features: int, leaf: int, fold: int, folds: int, trees: int) -> Score:
    """Train on all folds but one, and measure the accuracy on that one."""
    images, digits = load_digits(return_X_y=True)
    known, unseen = list(StratifiedKFold(folds).split(images, digits))[fold]
    forest = RandomForestClassifier(trees, max_features=features, min_samples_leaf=leaf, random_state=0)
    forest.fit(images[known], digits[known])
    return Score(features, leaf, forest.score(images[unseen], digits[unseen]))


@task
def rank(scores: list[Score]) -> list[Score]:
    """Average the scores of each point of the grid over the folds, the best first."""
    points = {(one.features, one.leaf) for one in scores}
    means = [Score(*p, mean(s.accuracy for s in scores if (s.features, s.leaf) == p)) for p in points]
    return sorted(means, key=lambda score: -score.accuracy)


@flow(name="digits", task_runner=ephemeral_dask(maximum=4, worker_cpu="200m", worker_memory="768Mi"))
def search(folds: Annotated[int, Field(ge=2, le=10)] = 5, trees: Annotated[int, Field(ge=1)] = 300) -> Score:
    """Return the best point of the grid with its mean accuracy over the folds."""
    features, leaves, numbers = zip(*product((4, 8, 16, 32), (1, 2, 4), range(folds)), strict=True)
    scores = train.map(features, leaves, numbers, folds=folds, trees=trees)
    ranking = rank.submit(scores).result()  # type: ignore[arg-type]  # futures stand for what they hold
    create_table_artifact([asdict(one) for one in ranking], "digits-search", f"Best: {ranking[0]}")
    get_run_logger().info("The best of %d forests: %s", len(ranking), ranking[0])
    return ranking[0]


if __name__ == "__main__":
    search()
