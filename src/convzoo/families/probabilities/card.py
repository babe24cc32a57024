"""What the cards of all networks that predict class probabilities say."""

from collections import Counter

from convzoo.cards.markdown import code, image_count, percent
from convzoo.shipping.network_files import NetworkFiles

USAGE = "predict {} photo.png"
CONFIDENT = 0.9  # probability from which a wrong prediction counts as a confident one


def intended_use(files: NetworkFiles, data: str) -> list[str]:
    """Return what the network is for and what it is not for."""
    accuracy = files.numbers.get("test_accuracy")
    errors = f"; {percent(1 - accuracy)} of its predictions on test are wrong" if accuracy not in (None, 1) else ""
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
        recalls = [f"{code(name)} {percent(scores[name]['recall'])}{image_count(scores[name])}" for name in worst]
        lines.append(f"Classes with the lowest recall on test: {', '.join(recalls)}.")
    predictions = files.rows("plots/confusion.csv", "id", "actual", "predicted", "probability")
    mistakes = [row for row in predictions if row["actual"] != row["predicted"]]
    if mistakes:
        lines += _mistakes(mistakes, len(predictions), most)
    elif predictions:
        lines.append(f"No mistake on {len(predictions):,} test images, which does not prove that it makes none.")
    if "test_calibration_error" in metrics:
        error = percent(metrics["test_calibration_error"])
        lines.append(f"Its probabilities differ from the share of correct predictions by {error} on average.")
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
    interval = f", with its interval from {percent(low)}" if "test_accuracy_low" in metrics else ""
    return [
        f"no better than always predicting {code(name)}, which is right for {percent(chance)} of the test images: "
        f"accuracy {percent(metrics['test_accuracy'])}{interval}"
    ]


def _mistakes(mistakes: list[dict[str, str]], count: int, most: int) -> list[str]:
    pairs = Counter((row["actual"], row["predicted"]) for row in mistakes)
    confusions = [
        f"{code(actual)} as {code(predicted)} {times}x"
        for (actual, predicted), times in sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    ]
    by_confidence = sorted(mistakes, key=lambda row: (-float(row["probability"]), row["id"]))
    hard_examples = [
        f"{code(row['id'])} ({code(row['actual'])}, predicted {code(row['predicted'])} "
        f"at {percent(float(row['probability']))})"
        for row in by_confidence[: max(3, most // 2)]
    ]
    confident = sum(float(row["probability"]) >= CONFIDENT for row in mistakes)
    return [
        f"Wrong: {len(mistakes):,} of {count:,} test images, most often {', '.join(confusions)}.",
        f"Most confident mistakes (`plots/mistakes.png`): {', '.join(hard_examples)}.",
        f"Confident and wrong: {confident:,} of the {len(mistakes):,} mistakes have a probability of "
        f"{100 * CONFIDENT:.0f} % or more.",
    ]
