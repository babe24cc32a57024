"""Every family made small; one that is listed here joins the tests that hold for all of them.

tests/families/conftest.py has the fixtures for them.
"""

from helpers.small.autoencoder import AUTOENCODER
from helpers.small.classifier import CLASSIFIER
from helpers.small.dcgan import DCGAN
from helpers.small.family import COMPUTE
from helpers.small.transfer import TRANSFER

FAMILIES = {family.name: family for family in (CLASSIFIER, AUTOENCODER, DCGAN, TRANSFER)}

__all__ = ["AUTOENCODER", "CLASSIFIER", "COMPUTE", "DCGAN", "FAMILIES", "TRANSFER"]
