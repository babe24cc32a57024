"""CIFAR-100 as picture files: the folders are its hundred classes, and the superclasses come from a table."""

from pathlib import Path
from typing import Any

from convzoo.data.formats import pictures
from convzoo.data.formats.parts import Published
from convzoo.settings.data import PrepareSettings
from convzoo.text import first_names

# https://www.cs.toronto.edu/~kriz/cifar.html, in the spelling and the order of coarse_label_names.txt in the binary
# archive. In fine_label_names.txt, the classes are sorted.
SUPERCLASSES = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}


def read(raw: Path, source: dict[str, Any], settings: PrepareSettings, decoded: Path | None = None) -> Published:
    """What `pictures.read` returns, with the superclasses of CIFAR-100.

    Raises PicturesError also for folders that are not the hundred classes.
    """
    published = pictures.read(raw, source, settings, decoded)
    if settings.classes == []:
        return published
    parents = {name: number for number, names in enumerate(SUPERCLASSES.values()) for name in names}
    missing, unknown = sorted(parents.keys() - {*published.classes}), sorted({*published.classes} - parents.keys())
    if missing or unknown:
        raise pictures.PicturesError(
            f"{raw}: its folders are not the classes of CIFAR-100 (missing: {first_names(missing) or 'none'}; unknown: "
            f"{first_names(unknown) or 'none'}), expected the {len(parents)} published names; rename the folders, or "
            "give the source in params.yaml the format `pictures`"
        )
    return published._replace(
        superclasses=list(SUPERCLASSES), superclass_of=[parents[name] for name in published.classes]
    )
