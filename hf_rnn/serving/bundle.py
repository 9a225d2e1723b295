"""The server as one file that lies beside an exported model and needs neither this package nor PyTorch."""

import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVER_FILE, REQUIREMENTS_FILE = "server.pyz", "requirements-server.txt"
# what loads checkpoints, or writes the file, has no place in it
LEFT_OUT = ("bundle.py", "checkpoints.py")
BESIDE = ("version.py", "data/digests.py", "onnx/standalone/predictor.py")
# packages whose own `__init__` imports more than the server needs
EMPTY = ("", "data/", "onnx/", "onnx/standalone/")
MAIN = """import sys
from pathlib import Path

from hf_rnn.serving.alone import main

sys.exit(main(home=Path(__file__).resolve().parents[1]))
"""
REQUIREMENTS = """-r requirements.txt
anyio>=4,<5
httptools>=0.6,<1
starlette>=0.45,<2
uvicorn>=0.34,<1
uvloop>=0.21,<1; sys_platform != 'win32'
"""


def write_server(folder: str | Path) -> list[str]:
    """Write into the folder of an exported classifier or tagger what serves it over HTTP, wherever its requirements are installed.

    Args:
        folder (`str`): The folder, with what `write_predictor` wrote.

    Returns:
        `list`: Names of the files: an archive of Python, which `python server.pyz` runs, and what it needs.
    """
    serving = Path(__file__).parent
    names = [
        path.relative_to(ROOT).as_posix() for path in sorted([*serving.glob("*.py"), *serving.glob("web/*")]) if path.name not in LEFT_OUT
    ]
    contents = {name: (ROOT / name).read_bytes() for name in (*names, *BESIDE)}
    contents |= {f"{name}__init__.py": b"" for name in EMPTY}
    with zipfile.ZipFile(Path(folder) / SERVER_FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        # without times, so that the same server is the same file
        archive.writestr(zipfile.ZipInfo("__main__.py"), MAIN)
        for name, content in sorted(contents.items()):
            archive.writestr(zipfile.ZipInfo(f"hf_rnn/{name}"), content, zipfile.ZIP_DEFLATED)
    (Path(folder) / REQUIREMENTS_FILE).write_text(REQUIREMENTS, encoding="utf-8")
    return [SERVER_FILE, REQUIREMENTS_FILE]
