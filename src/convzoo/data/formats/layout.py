"""Patterns for the paths of pictures in an archive, such as `{split}/{class}/*.jpg`."""

import re

from convzoo.errors import ConvzooError

TOKEN = re.compile(r"\{[^{}]*,[^{}]*\}|\*|[^*{}]+")
VISIBLE = r"(?!\.)"  # hidden files, and those that macOS adds to archives, begin with a dot


class LayoutError(ConvzooError):
    """A layout that is not a valid pattern."""


def compiled(layout: str) -> re.Pattern[str]:
    """A regular expression for whole paths, with the groups `split` and `class` if the layout has them.

    `{split}` and `{class}` match one folder, `**` any number of folders, `*` any characters but /, and `{jpg,png}` one
    of these; the first three never match a name that begins with a dot. The case of an extension does not matter.
    Raises LayoutError.
    """
    *folders, file = layout.split("/")
    stem, dot, extension = file.rpartition(".")
    parts = [_folder(layout, folder) for folder in folders]
    if dot:
        parts.append(rf"{_glob(layout, stem)}\.(?i:{_glob(layout, extension)})")
    else:
        parts.append(_glob(layout, file))
    try:
        return re.compile("".join(parts))
    except re.error:
        raise LayoutError(f"layout {layout}: has {{split}} or {{class}} more than once") from None


def below_classes(layout: str) -> re.Pattern[str] | None:
    """A regular expression for all paths below a folder that names a class, with the groups of the layout and `rest`.

    None if the layout has no classes. Raises LayoutError.
    """
    folders = layout.split("/")[:-1]
    if "{class}" not in folders:
        return None
    parts = [_folder(layout, folder) for folder in folders[: folders.index("{class}") + 1]]
    return re.compile(f"{''.join(parts)}(?P<rest>.*)", re.DOTALL)


def _folder(layout: str, text: str) -> str:
    if text == "**":
        return f"(?:{VISIBLE}[^/]+/)*"
    if text in ("{split}", "{class}"):
        return f"(?P<{text[1:-1]}>{VISIBLE}[^/]+)/"
    return _glob(layout, text) + "/"


def _glob(layout: str, text: str) -> str:
    tokens = TOKEN.findall(text)
    if not text or text in (".", "..") or "**" in text or "".join(tokens) != text:
        raise LayoutError(
            f"layout {layout}: {text!r} cannot be understood; expected folders and a file with / between them: "
            "{split} and {class} for whole folders, ** for any folders, * within a name, {jpg,png} for one of these"
        )
    return VISIBLE * text.startswith("*") + "".join(map(_token, tokens))


def _token(token: str) -> str:
    if token == "*":
        return "[^/]*"
    if token.startswith("{"):
        return f"(?:{'|'.join(map(re.escape, token[1:-1].split(',')))})"
    return re.escape(token)
