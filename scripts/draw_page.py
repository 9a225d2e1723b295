"""Draw docs/images/page.png, the page of `hf-rnn demo` at the width of a screen and of a phone: `python scripts/draw_page.py FOLDER`.

FOLDER is what `hf-rnn demo` wrote, with the text to show as its first example. Chromium waits for nothing that a page computes, and its
virtual time would show a model that takes none: the page is served with a picture in it that comes late.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from matplotlib.image import imread, imsave

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "page.png"
HEIGHT, WIDTHS, GAP = 680, (720, 390), 24
# after which a page is drawn as it is
SECONDS = 240
# presses the first example so often, every so many milliseconds, that the time shown is a median; then says how long a turn really took and
# lets the picture come that is late
TURNS, EVERY = 101, 80
PRESS = f"""<img src="late.png" alt="" hidden><script>
let turn = 0, start = 0;
const timer = setInterval(() => {{
  const first = document.querySelector("#examples button");
  if (turn === 0) start = performance.now();
  if (turn === {TURNS}) {{ clearInterval(timer); document.activeElement.blur(); fetch("done?" + (performance.now() - start) / turn); }}
  else if (first) {{ turn++; first.click(); }}
}}, {EVERY});
</script>"""

# of a machine at rest no turn is late by more than this share
LATE = 0.25
DONE, TURNED = threading.Event(), list[float]()


class Late(SimpleHTTPRequestHandler):
    """Serves a page that presses its first example, and a picture that comes late."""

    def do_GET(self) -> None:
        """Answer a request."""
        if self.path == "/late.png":
            DONE.wait(SECONDS)
        elif self.path.startswith("/done?"):
            TURNED.append(float(self.path.partition("?")[2]))
            DONE.set()
        if self.path != "/":
            super().do_GET()
            return
        text = (Path(self.directory) / "index.html").read_text(encoding="utf-8")
        # its policy would forbid the script
        lines = [line for line in text.splitlines() if "Content-Security-Policy" not in line]
        content = "\n".join(lines).replace("</main>", f"</main>{PRESS}").encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def shoot(address: str, width: int, path: Path) -> None:
    """Write a picture of a page; windows are at least 500 wide, so a narrower one stands in a frame."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    size = f"--window-size={max(width, 500)},{HEIGHT}"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size, f"--screenshot={path}"]
    if width < 500:
        frame = path.with_suffix(".html")
        frame.write_text(f'<body style="margin:0"><iframe src="{address}" style="border:0;width:{width}px;height:{HEIGHT}px"></iframe>')
        address = frame.as_uri()
    subprocess.run([chromium, *flags, address], check=True, capture_output=True, timeout=SECONDS * 2)


def main() -> None:
    """Draw the picture."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Late, directory=sys.argv[1])) as server, tempfile.TemporaryDirectory() as work:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        parts = []
        for width in WIDTHS:
            DONE.clear()
            shoot(f"http://127.0.0.1:{server.server_port}/", width, Path(work) / f"{width}.png")
            parts.append(imread(Path(work) / f"{width}.png")[:HEIGHT, :width, :3])
        server.shutdown()
    if len(TURNED) < len(WIDTHS) or max(TURNED) > (1 + LATE) * EVERY:
        found = ", ".join(f"{turned:.0f}" for turned in TURNED) or "none ended"
        raise SystemExit(
            f"Turns should take {EVERY} ms ({found}): the machine is too busy for a picture with a time. Draw again when it is at rest."
        )
    gap = np.full((HEIGHT, GAP, 3), 0.8, dtype=np.float32)
    imsave(OUTPUT, np.concatenate([parts[0], gap, parts[1]], axis=1))


if __name__ == "__main__":
    main()
