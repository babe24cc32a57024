"""The result of a network: main metric, limits of params.yaml, and measurements that its training failed by."""

import pytest

from convzoo.cards.outcome import outcome_of
from convzoo.files import write_json
from convzoo.shipping.network_files import NetworkFiles

CLASSIFIER = {"test_accuracy": 0.75, "test_accuracy_low": 0.6}
WORKING = {
    "classifier": CLASSIFIER,
    "transfer": CLASSIFIER | {"test_features_accuracy": 0.7},
    "autoencoder": {"test_psnr": 26.5, "test_pca_psnr": 26.0, "test_psnr_above_pca": 0.5},
    "dcgan": {"test_kid": 1.5, "test_precision": 0.1, "test_recall": 0.02},
}
# Metrics that differ from WORKING, and what is said about them.
FAILING = [
    (
        "classifier",
        {"test_accuracy_low": 0.5},
        "always predicting `bar`, which is right for 50.00 % of the test images",
    ),
    (
        "classifier",
        {"test_accuracy": 0.2, "test_accuracy_low": 0.1},
        "accuracy 20.00 % (lower end of its interval 10.00 %)",
    ),
    ("transfer", {"test_accuracy_low": 0.5}, "always predicting `bar`"),
    (
        "transfer",
        {"test_features_accuracy": 0.8, "test_gain": -0.05, "test_gain_p_value": 0.04},
        "accuracy 75.00 %, the head alone on the untouched backbone 80.00 %",
    ),
    ("autoencoder", {"test_psnr_above_pca": 0.0, "test_psnr": 26.0}, "than PCA with as many components: PSNR 26.00 dB"),
    ("dcgan", {"test_precision": 0.0}, "precision 0: "),
    ("dcgan", {"test_recall": 0.0}, "recall 0: "),
]


@pytest.fixture
def files_of(tmp_path):
    """Makes the files of a network with these metrics; half of its test images are bars."""

    def make(family: str, metrics: dict, **kept: object) -> NetworkFiles:
        (tmp_path / "plots").mkdir()
        (tmp_path / "plots/confusion.csv").write_text("id,actual\n1,bar\n2,cross\n3,bar\n4,square\n")
        write_json(tmp_path / "extra/kept.json", {"epoch": 4, "val_diversity": 0.5, "alarms": []} | kept)
        identity = {"params": {"family": family, "collapse": {"diversity": 0.1}}}
        return NetworkFiles("net", tmp_path, family, identity, {"dataset": "shapes"}, metrics, {}, {})

    return make


@pytest.mark.parametrize("family", WORKING)
def test_a_network_that_works_has_no_failure(files_of, family):
    outcome = outcome_of(files_of(family, WORKING[family]), {})
    assert not outcome.failures and outcome.is_good and outcome.required == ""


@pytest.mark.parametrize(("family", "changes", "message"), FAILING)
def test_a_network_that_failed_by_its_own_measures_says_so(files_of, family, changes, message):
    outcome = outcome_of(files_of(family, WORKING[family] | changes), {})
    (failure,) = outcome.failures
    assert message in failure and not outcome.is_good


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"val_diversity": 0.09}, "vary 9.00 % as much as real images, below collapse.diversity (10.00 %)"),
        ({"alarms": ["epoch 2: of another epoch", "epoch 4: the samples are alike"]}, "epoch 4: the samples are alike"),
    ],
)
def test_a_generator_that_collapsed_in_the_epoch_that_was_kept_says_so(files_of, kept, message):
    (failure,) = outcome_of(files_of("dcgan", WORKING["dcgan"], **kept), {}).failures
    assert message in failure


def test_a_loss_by_fine_tuning_that_may_be_chance_is_no_failure(files_of):
    lost = {"test_features_accuracy": 0.8, "test_gain": -0.05, "test_gain_p_value": 0.05}
    assert not outcome_of(files_of("transfer", WORKING["transfer"] | lost), {}).failures


@pytest.mark.parametrize(
    ("family", "limits", "required", "good"),
    [
        ("classifier", {"floors": {"accuracy": 0.75}}, "at least 75.00 %", True),
        ("classifier", {"floors": {"accuracy": 0.751}}, "at least 75.10 %", False),
        ("classifier", {"floors": {"accuracy": None, "class_recall": 0.9}}, "", True),
        ("autoencoder", {"floors": {"psnr": 27}}, "at least 27.00 dB", False),
        ("dcgan", {"ceilings": {"kid": 1.5, "latency": 50}}, "at most 1.5", True),
        ("dcgan", {"ceilings": {"kid": 1}}, "at most 1", False),
    ],
)
def test_the_main_metric_is_compared_with_the_limits_of_the_promotion(files_of, family, limits, required, good):
    outcome = outcome_of(files_of(family, WORKING[family]), {"promotion": {"net": limits}})
    assert (outcome.required, outcome.is_good) == (required, good)


def test_a_network_without_its_main_metric_is_not_good(files_of):
    outcome = outcome_of(files_of("autoencoder", {}), {})
    assert (outcome.metric, outcome.value_text, outcome.is_good) == ("test_psnr", "unknown", False)
