"""What only classifiers with superclasses are measured by: functions of arrays."""

import numpy as np


def superclass_probabilities(probabilities: np.ndarray, superclass_of: np.ndarray) -> np.ndarray:
    """The probability of each superclass (N, S): the sum of its classes'. `superclass_of` (K,) is below S.

    The superclass with the largest sum need not be that of the most probable class.
    """
    found = np.zeros((int(superclass_of.max()) + 1, len(probabilities)))
    np.add.at(found, superclass_of, probabilities.T)
    return found.T
