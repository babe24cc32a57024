"""Adds blocks to the sections of params.yaml, as text, so that all comments and the layout stay as they are."""

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from convzoo.errors import SettingsError


def with_blocks(params: str, blocks: str) -> str:
    """The text `params` with the blocks of each section of the text `blocks` at the end of its section of that name.

    Raises SettingsError if `params` has no such section, or none with a block on a line of its own.
    """
    sections, newline = _sections(params), "\r\n" if "\r\n" in params else "\n"
    added = _sections(blocks)
    if missing := [name for name in added if not _is_block(sections.get(name))]:
        raise SettingsError(
            f"params.yaml: {', '.join(missing)}: expected a section with a block in it; restore it: git checkout "
            "params.yaml"
        )
    # From the end of the text to its start, so that the positions that are still to come stay right.
    for name in sorted(added, key=lambda name: sections[name].start_mark.index, reverse=True):
        text = blocks[_line_start(blocks, added[name].start_mark.index) : _line_end(blocks, _last(added[name]))]
        end = _line_end(params, _last(sections[name]))
        before = params[:end] if params[:end].endswith("\n") else params[:end] + newline
        params = before + text.replace("\n", newline) + params[end:]
    return params


def _sections(text: str) -> dict[str, Node]:
    return {key.value: value for key, value in YAML(typ="safe", pure=True).compose(text).value}


def _is_block(node: Node | None) -> bool:
    return isinstance(node, MappingNode) and not node.flow_style and bool(node.value)


def _last(node: Node) -> int:
    """The position behind the last value in a section; ruamel's own marks are behind the comments below it."""
    position = node.start_mark.index
    while isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        if isinstance(node, MappingNode):
            position, last = last[0].end_mark.index, last[1]
        node = last
    is_empty = node.start_mark.index == node.end_mark.index  # null, for which the position is that of its key
    return position if is_empty else node.end_mark.index


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1
