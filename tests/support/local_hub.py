"""A model hub on loopback that speaks the protocol of huggingface_hub, and misbehaves when told
to.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import torch
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http
from safetensors.torch import load_file

from tests.support import tiny

LARGE = (".safetensors", ".bin")


@dataclass
class Repository:
    """The files of each commit, and the commit that ``main`` means."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""
    gated: bool = False

    def push(self, files: dict[str, bytes]) -> str:
        """A new commit of these files, now ``main``; its id depends on nothing but the files."""
        self.main = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[self.main] = files
        return self.main

    def push_folder(self, folder: Path) -> str:
        return self.push({path.name: path.read_bytes() for path in folder.iterdir()})


@dataclass
class Hub:
    """Repositories by name, what is asked of them, and what goes wrong.

    ``cut``: file to the bytes after which the connection breaks, once for each number. ``garbled``:
    files whose bytes are wrong. ``status``: every answer, if not 0.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut: dict[str, list[int]] = field(default_factory=dict)
    garbled: set[str] = field(default_factory=set)
    status: int = 0
    address: str = ""

    def __getitem__(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    def downloads(self) -> list[str]:
        """The paths of all bodies asked for."""
        return [
            line.split(" ")[1]
            for line in self.asked
            if line.startswith("GET") and "/api/" not in line
        ]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at an address of its own until the block ends."""
    handler = type("Bound", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def use(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the client at a hub and a cache, as HF_ENDPOINT and HF_HOME do when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    for module in (file_download, _http):
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)


class Handler(BaseHTTPRequestHandler):
    """Model information, trees, and files, the large ones through a redirect, as the real hub sends
    them.
    """

    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        self.hub.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        if self.hub.status:
            self.answer(self.hub.status, b"out of order")
        elif parts[:2] == ["api", "models"] and len(parts) >= 4:
            self.about("/".join(parts[2:4]), parts[4:])
        elif parts[0] == "content":
            self.content("/".join(parts[1:3]), parts[3], parts[4])
        elif len(parts) >= 5 and parts[2] == "resolve":
            self.file("/".join(parts[:2]), parts[3], parts[4])
        else:
            self.answer(404, b"{}")

    do_HEAD = do_GET  # noqa: N815

    def files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Commit and files, or None once a refusal has been sent."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if repository.gated:
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        commit = repository.main if revision == "main" else revision
        if commit not in repository.commits:
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        return commit, repository.commits[commit]

    def about(self, name: str, rest: list[str]) -> None:
        found = self.files(name, rest[1] if len(rest) > 1 else "main")
        if found is None:
            return
        commit, files = found
        if rest[:1] == ["tree"]:
            self.answer(
                200, json.dumps([entry(file, data) for file, data in files.items()]).encode()
            )
        else:
            siblings = [{"rfilename": file} for file in files]
            self.answer(
                200,
                json.dumps(
                    {"id": name, "modelId": name, "sha": commit, "siblings": siblings}
                ).encode(),
            )

    def file(self, name: str, revision: str, file: str) -> None:
        found = self.files(name, revision)
        if found is None:
            return
        commit, files = found
        headers = {"X-Repo-Commit": commit}
        if file not in files:
            self.answer(404, b"", headers | {"X-Error-Code": "EntryNotFound"})
        elif file.endswith(LARGE):
            digest, size = hashlib.sha256(files[file]).hexdigest(), str(len(files[file]))
            headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": size}
            elsewhere = self.hub.address.replace(
                "127.0.0.1", "localhost"
            )  # the client treats another host as a store
            self.answer(
                302, b"", headers | {"Location": f"{elsewhere}/content/{name}/{commit}/{file}"}
            )
        else:
            self.send(file, files[file], headers | {"ETag": f'"{git_id(files[file])}"'})

    def content(self, name: str, commit: str, file: str) -> None:
        data = self.hub.repositories[name].commits[commit][file]
        self.send(file, data, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"'})

    def send(self, file: str, data: bytes, headers: dict[str, str]) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        if wanted:
            headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        if file in self.hub.garbled:
            data = bytes(byte ^ 1 for byte in data)
        cut = self.hub.cut.get(file) if self.command == "GET" else None
        self.answer(206 if wanted else 200, data[start:], headers, cut.pop(0) if cut else None)

    def answer(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        self.close_connection |= cut is not None

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def entry(file: str, data: bytes) -> dict[str, Any]:
    """One file as a tree lists it."""
    lfs = {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
    return {
        "type": "file",
        "path": file,
        "size": len(data),
        "oid": git_id(data),
        **(lfs if file.endswith(LARGE) else {}),
    }


def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def as_released(folder: Path) -> dict[str, bytes]:
    """A tiny OPT's files laid out as facebook/opt-1.3b: a pickle of weights, vocabulary and merges,
    add_bos_token.
    """
    saved = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in saved["merges"])])
    weights = folder.parent / f"{folder.name}.bin"
    torch.save(load_file(folder / "model.safetensors"), weights)
    special = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    return {
        "config.json": (folder / "config.json").read_bytes(),
        "pytorch_model.bin": weights.read_bytes(),
        "vocab.json": json.dumps(saved["vocab"]).encode(),
        "merges.txt": merges.encode(),
        "special_tokens_map.json": json.dumps(special).encode(),
        "tokenizer_config.json": json.dumps(
            {
                "tokenizer_class": "GPT2Tokenizer",
                "add_bos_token": True,
                "add_prefix_space": False,
                **special,
            }
        ).encode(),
        "README.md": b"not needed",
        "flax_model.msgpack": b"not needed either",
    }


def stocked(folder: Path) -> Hub:
    """A hub with the models of the shipped suites, tiny and random, under their real names (its
    RoBERTa is a BART).
    """
    hub = Hub()
    for name, make in (("opt-1.3b", tiny.opt), ("opt-125m", tiny.opt), ("opt-350m", tiny.opt350)):
        hub[f"facebook/{name}"].push(as_released(make(folder / name)))
    for name in ("bart-large", "bart-large-cnn"):
        hub[f"facebook/{name}"].push_folder(tiny.bart(folder / name))
    hub["eugenesiow/bart-paraphrase"].push_folder(tiny.bart(folder / "bart-paraphrase", d_model=16))
    hub["FacebookAI/roberta-large"].push_folder(
        tiny.bart(folder / "roberta-large", encoder_layers=17)
    )
    return hub
