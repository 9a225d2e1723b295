"""Print the lowest versions that pyproject.toml allows of everything together; fail where a lower bound is not among them.

Example:
    .venv/bin/python .ci/lowest_versions.py [EXTRA] > constraints.txt
"""

import re
import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
# torch is that of CI: its older releases come with gigabytes of CUDA
PINNED = ROOT / ".ci" / "constraints.txt"


def resolve(extra: str | None) -> list[tuple[str, str, str]]:
    """Return name, lowest version and who asks for it, of direct dependencies, and the newest of what those need in turn."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--no-header"]
    command += ["--annotation-style", "line", "--python", sys.executable, "--constraint", str(PINNED), "pyproject.toml"]
    command += ["--extra", extra] if extra else []
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(r"^([\w.-]+)==(\S+)(.*)", lines, re.M)


def main(extra: str | None = None) -> None:
    """Print the versions, or exit with the bounds that are lower than anything to be had."""
    pinned = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", PINNED.read_text(), re.M)}
    bounds: dict[str, list[str]] = {}
    for name, bound in re.findall(r'"([\w.-]+)>=([\w.]+)[,"]', (ROOT / "pyproject.toml").read_text()):
        bounds.setdefault(canonicalize_name(name), []).append(bound)
    found = resolve(extra)
    untrue = [
        f"{name}: pyproject.toml says {' and '.join(bounds[name])}, the lowest that goes with the rest is {version}"
        for name, version, source in found
        if "(pyproject.toml)" in source and name not in pinned and Version(version) not in map(Version, bounds[name])
    ]
    if untrue:
        sys.exit("\n".join(["lower bounds that are too low:", *untrue]))
    print("\n".join(f"{name}=={version}" for name, version, _ in found))


if __name__ == "__main__":
    main(*sys.argv[1:])
