"""Fonts for the characters that a picture shows: found among those of this machine, or said to be missing, once."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import matplotlib
from matplotlib import font_manager
from transformers.utils.logging import get_logger

logger = get_logger(__name__)

# tried first, as they have most scripts; then whatever there is, by name
PREFERRED = (
    "Noto Sans CJK",
    "Noto Sans",
    "NanumGothic",
    "Nanum",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "Hiragino Sans",
    "Yu Gothic",
    "Microsoft YaHei",
    "PingFang",
    "Arial Unicode",
    "Unifont",
)
_told: set[str] = set()


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Let pictures drawn and saved in the block use fonts that have the characters of texts.

    Characters that no font here has are told in one line with what to install, once a process, in place of a warning of matplotlib for
    each.
    """
    wanted = {character for text in texts for character in text if not character.isspace() and character.isprintable()}
    families, missing = find_families(wanted)
    if new := missing - _told:
        _told.update(new)
        shown = "".join(sorted(new)[:10])
        logger.warning(
            f"No font here has {len(new)} characters of the pictures, such as {shown!r}; they are shown as boxes. Install one that does, "
            "such as Noto Sans CJK (Debian: apt-get install fonts-noto-cjk)."
        )
    with warnings.catch_warnings(), matplotlib.rc_context({"font.family": families}):
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        yield


def find_families(characters: set[str]) -> tuple[list[str], set[str]]:
    """Return families that together have as many of the characters as can be had, the default first, and what none has."""
    families = [str(family) for family in matplotlib.rcParams["font.family"]]
    missing = characters - _covered(font_manager.findfont(font_manager.FontProperties()), characters)
    missing = _add_families(families, missing)
    if missing:
        # what was installed after matplotlib listed the fonts
        for path in set(font_manager.findSystemFonts()) - {entry.fname for entry in font_manager.fontManager.ttflist}:
            with suppress(OSError, RuntimeError):
                font_manager.fontManager.addfont(path)
        missing = _add_families(families, missing)
    return families, missing


def _add_families(families: list[str], missing: set[str]) -> set[str]:
    """Add families that have some of what is missing; return what still is."""
    for entry in sorted(font_manager.fontManager.ttflist, key=_rank):
        if not missing:
            break
        # other faces have the same characters as the plain one, and the last resort has a box for each
        if entry.name in families or entry.style != "normal" or entry.name.startswith("Last Resort"):
            continue
        found = _covered(entry.fname, missing)
        if found:
            families.append(entry.name)
            missing = missing - found
    return missing


def _rank(entry: font_manager.FontEntry) -> tuple[int, int, str]:
    place = next((index for index, name in enumerate(PREFERRED) if entry.name.startswith(name)), len(PREFERRED))
    return place, abs(int(entry.weight) - 400) if str(entry.weight).isdigit() else 300, entry.name


def _covered(path: str, characters: set[str]) -> set[str]:
    """Return the characters that a font file has; none of a file that cannot be read."""
    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):
        return set()
    return {character for character in characters if font.get_char_index(ord(character))}
