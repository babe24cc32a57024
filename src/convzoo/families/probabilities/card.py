"""What the cards of all networks that predict class probabilities say."""

from collections import Counter

from convzoo.cards.family import Comparison
from convzoo.cards.markdown import code, image_count, in_brackets
from convzoo.shipping.network_files import NetworkFiles
from convzoo.text import percent

USAGE = "predict {} photo.png"
MAIN_LABEL = "accuracy on the test images"
MOST = 0.5  # accuracy below which a network is weak, however many classes there are
CONFIDENT = 0.9  # probability from which a wrong prediction counts as a confident one
PICTURE = "confusion.png"
CAPTIONS = {
    "augmented_batch": "A batch of training images after the random changes of one epoch.",
    "calibration": "How often predictions of each probability are correct; ideally, as often as the dashed line shows.",
    "classes": "Precision, recall and F1 of each class on the test images.",
    "confusion": "What the network predicts for the test images of each class; the diagonal is correct.",
    "mistakes": "The wrong predictions on test images that the network is most confident of.",
    "superclasses": "What the network predicts for the test images of each superclass.",
}


def task(files: NetworkFiles, images: str, data: str) -> str:
    """Return what the network does."""
    classes = files.export.get("classes") or []
    return f"Classifies {images} of {data}" + (f" into {len(classes)} classes{in_brackets(classes)}" if classes else "")


def result(files: NetworkFiles, value: str) -> str:
    """Return what it reached."""
    count = files.numbers.get("test_images")
    return f"{value} of {f'{count:,} ' if count else ''}test images correct"


def comparison(files: NetworkFiles) -> Comparison | None:
    """Compare the accuracy with guessing; a network is weak if most of its predictions are wrong."""
    classes = files.export.get("classes") or []
    if not classes:
        return None
    sentence = f"Guessing one of {len(classes)} classes reaches {percent(1 / len(classes), 1)}."
    is_weak = files.numbers["test_accuracy"] < MOST
    return Comparison(f"Most predictions are wrong. {sentence}" if is_weak else sentence, is_weak)


def intended_use(files: NetworkFiles, data: str) -> list[str]:
    """Return what the network is for and what it is not for."""
    accuracy = files.numbers.get("test_accuracy")
    errors = (
        f"; {percent(1 - accuracy, 1)} of the test images are predicted wrongly" if accuracy not in (None, 1) else ""
    )
    return [
        f"For: classifying images like those of {data}.",
        'Not for: other images. It predicts one of its classes for any image, and has no "none of them".',
        f"Not for: decisions that nobody reviews{errors}.",
    ]


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """Return lines about the worst classes, the mistakes on test and the calibration."""
    lines, metrics = [], files.metrics
    scores = {name: row for name, row in metrics.get("classes", {}).items() if row.get("recall", 1) < 1}
    worst = sorted(scores, key=lambda name: (scores[name]["recall"], name))[:most]
    if worst:
        recalls = [f"{code(name)} ({percent(scores[name]['recall'], 1)}{image_count(scores[name])})" for name in worst]
        lines.append(f"The hardest classes, with the share of their test images that is correct: {', '.join(recalls)}.")
    predictions = files.rows("plots/confusion.csv", "id", "actual", "predicted", "probability")
    mistakes = [row for row in predictions if row["actual"] != row["predicted"]]
    if mistakes:
        lines += _mistakes(mistakes, len(predictions), most)
    elif predictions:
        lines.append(f"It makes no mistake on {len(predictions):,} test images; on more images it may make some.")
    if "test_calibration_error" in metrics:
        error = percent(metrics["test_calibration_error"], 1)
        lines.append(f"Its probabilities are {error} too high or too low on average (expected calibration error).")
    return lines


def failures(files: NetworkFiles) -> list[str]:
    """Return the accuracy if its interval reaches down to the share of the most frequent class on test."""
    metrics, actual = files.numbers, Counter(row["actual"] for row in files.rows("plots/confusion.csv", "actual"))
    if "test_accuracy" not in metrics or not actual:
        return []
    [(name, count)] = actual.most_common(1)
    chance, low = count / actual.total(), metrics.get("test_accuracy_low", metrics["test_accuracy"])
    if low > chance:
        return []
    interval = f" (lower end of its interval {percent(low)})" if "test_accuracy_low" in metrics else ""
    return [
        f"no better than always predicting {code(name)}, which is right for {percent(chance)} of the test images: "
        f"accuracy {percent(metrics['test_accuracy'])}{interval}"
    ]


def _mistakes(mistakes: list[dict[str, str]], count: int, most: int) -> list[str]:
    pairs = Counter((row["actual"], row["predicted"]) for row in mistakes)
    confusions = [
        f"{code(actual)} for {code(predicted)} ({times:,} {'times' if times > 1 else 'time'})"
        for (actual, predicted), times in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    ]
    by_confidence = sorted(mistakes, key=lambda row: (-float(row["probability"]), row["id"]))
    hard_examples = [
        f"{code(row['id'])} (a {code(row['actual'])}, predicted as {code(row['predicted'])} with "
        f"{percent(float(row['probability']), 1)})"
        for row in by_confidence[: (most + 1) // 2]
    ]
    confident = sum(float(row["probability"]) >= CONFIDENT for row in mistakes)
    return [
        f"It is wrong on {len(mistakes):,} of {count:,} test images. It most often takes {', '.join(confusions)}.",
        f"Its most confident mistakes (`plots/mistakes.png`): {', '.join(hard_examples)}.",
        f"Wrong predictions with a probability of {100 * CONFIDENT:.0f} % or more: {confident:,} of {len(mistakes):,}.",
    ]
