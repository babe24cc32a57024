"""Promotion of a classifier: the same as for all networks that predict class probabilities."""

from convzoo.families.probabilities import promote as probabilities

evaluator = probabilities.evaluator
