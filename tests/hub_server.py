"""A small Hub on 127.0.0.1: repositories with revisions, large files by the LFS protocol, atomic commits, downloads."""

import base64
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

TOKEN = "hf_secretTokenOfTheTests0123456789"


class Repository:
    """Revisions, each a dictionary of files; the last one is main. `sdk` is that of a Space."""

    def __init__(self, private, sdk=None):
        self.private, self.sdk = private, sdk
        self.revisions = [{}]

    def sha(self, index=-1):
        """Return the name of a revision."""
        index = index % len(self.revisions)
        return hashlib.sha1(str(index).encode()).hexdigest()

    def files(self, revision):
        """Return the files of a revision or of main, or None."""
        if revision == "main":
            return self.revisions[-1]
        return next((files for index, files in enumerate(self.revisions) if self.sha(index) == revision), None)


class Hub(ThreadingHTTPServer):
    """The server and all it holds.

    Attributes:
        repositories (`dict`): By "user/name".
        blobs (`dict`): Large files by SHA-256.
        uploads (`list`): SHA-256 of every large file that was sent.
        fail (`str`): Requests whose path contains this get an error.
        requests (`list`): Method and path of every request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.blobs, self.uploads, self.requests, self.fail = {}, {}, [], [], None

    @property
    def url(self):
        """Return the endpoint."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Stay silent."""

    def handle(self):
        """Serve until the client goes away, as clients that are done do."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def answer(self, content, status=200, headers=None):
        """Send JSON or bytes."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message):
        """Send an error as the Hub words it."""
        self.answer({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})

    def run(self):
        """Route the request."""
        path = unquote(urlparse(self.path).path)
        self.server.requests.append(f"{self.command} {path}")
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:
            # who was sending has gone
            self.close_connection = True
            return
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.server.fail and self.server.fail in path:
            self.refuse(400, "BadRequest", "the disk is full")
            return
        writes = self.command in ("POST", "PUT") and "/lfs-store/" not in path and not path.endswith("/paths-info")
        if writes and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "Unauthorized", "Invalid username or password.")
            return
        for pattern, method in ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                method(self, body, *match.groups())
                return
        self.refuse(404, "EntryNotFound", f"no route for {self.command} {path}")

    do_GET = do_POST = do_PUT = do_HEAD = run  # noqa: N815

    def whoami(self, body):
        """Say who has the token."""
        self.answer({"type": "user", "name": "tester", "orgs": [], "auth": {}})

    def create(self, body):
        """Make a repository."""
        wanted = json.loads(body)
        name = f"{wanted.get('organization') or 'tester'}/{wanted['name']}"
        if name in self.server.repositories:
            self.answer({"error": "You already created this model repo", "url": f"{self.server.url}/{name}"}, 409)
            return
        self.server.repositories[name] = Repository(wanted.get("visibility") == "private" or wanted.get("private"), wanted.get("sdk"))
        kind = "spaces/" if wanted.get("type") == "space" else ""
        self.answer({"url": f"{self.server.url}/{kind}{name}"})

    def validate(self, body):
        """Take any card."""
        self.answer({"errors": [], "warnings": []})

    def preupload(self, body, name, revision):
        """Say how each file is to be sent."""
        files = [
            {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular", "shouldIgnore": False}
            for file in json.loads(body)["files"]
        ]
        self.answer({"files": files})

    def batch(self, body, name):
        """Say where to put large files that are not here."""
        objects = []
        for entry in json.loads(body)["objects"]:
            known = entry["oid"] in self.server.blobs
            actions = {} if known else {"actions": {"upload": {"href": f"{self.server.url}/lfs-store/{entry['oid']}"}}}
            objects.append({**entry, **actions})
        self.answer({"transfer": "basic", "objects": objects})

    def store(self, body, oid):
        """Take a large file."""
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.blobs[oid] = body
        self.server.uploads.append(oid)
        self.answer({})

    def commit(self, body, name, revision):
        """Add a revision, or nothing at all."""
        repository = self.server.repositories[name]
        files = dict(repository.revisions[-1])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        repository.revisions.append(files)
        kind = "spaces/" if repository.sdk else ""
        url = f"{self.server.url}/{kind}{name}/commit/{repository.sha()}"
        self.answer({"success": True, "commitUrl": url, "commitOid": repository.sha(), "hookOutput": ""})

    def find(self, name, revision):
        """Return a repository and the files of a revision, or answer that there are none."""
        repository = self.server.repositories.get(name)
        allowed = repository and (not repository.private or self.headers.get("Authorization") == f"Bearer {TOKEN}")
        if not allowed:
            self.refuse(404, "RepoNotFound", "Repository not found")
            return None, None
        files = repository.files(revision)
        if files is None:
            self.refuse(404, "RevisionNotFound", "Revision not found")
        return repository, files

    def info(self, body, name, revision=None):
        """Describe a repository."""
        repository, files = self.find(name, revision or "main")
        if files is not None:
            siblings = [{"rfilename": path} for path in sorted(files)]
            self.answer({"id": name, "sha": repository.sha(), "private": bool(repository.private), "siblings": siblings, "tags": []})

    def tree(self, body, name, revision, folder):
        """List the files of a revision."""
        _, files = self.find(name, revision)
        if files is not None:
            entries = [
                {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()} for path, data in files.items()
            ]
            self.answer([entry for entry in entries if entry["path"].startswith((folder or "").strip("/"))])

    def resolve(self, body, name, revision, path):
        """Send a file."""
        repository, files = self.find(name, revision)
        if files is None:
            return
        headers = {"X-Repo-Commit": repository.sha() if revision == "main" else revision}
        if path not in files:
            self.answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound", **headers})
            return
        data = files[path]
        self.answer(data, headers={**headers, "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Content-Type": "application/octet-stream"})


LARGE = (".safetensors", ".png", ".onnx", ".gz")
ROUTES = (
    (r"GET /api/whoami-v2", Handler.whoami),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (r"POST /api/(?:models|spaces)/([^/]+/[^/]+)/preupload/(.+)", Handler.preupload),
    (r"POST /(?:spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /lfs-store/(\w+)", Handler.store),
    (r"POST /api/(?:models|spaces)/([^/]+/[^/]+)/commit/(.+)", Handler.commit),
    (r"GET /api/(?:models|spaces)/([^/]+/[^/]+)", Handler.info),
    (r"GET /api/(?:models|spaces)/([^/]+/[^/]+)/revision/([^/]+)", Handler.info),
    (r"GET /api/(?:models|spaces)/([^/]+/[^/]+)/tree/([^/]+)(/.*)?", Handler.tree),
    (r"(?:GET|HEAD) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)", Handler.resolve),
)


@contextlib.contextmanager
def running_hub():
    """Run a Hub while the block runs."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def run(server, code, home, with_package=True):
    """Run code in a process of its own that knows the Hub and the token; return what it printed, both streams together."""
    code = ("" if with_package else "import sys\nsys.modules['hf_rnn'] = None\n") + textwrap.dedent(code)
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    settings = {"HF_ENDPOINT": server.url, "HF_TOKEN": TOKEN, "HF_HOME": str(home / "home"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=home, env={**environment, **settings, "OMP_NUM_THREADS": "1"}, check=False
    )
    return done.returncode, done.stdout + done.stderr
