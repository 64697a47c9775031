"""IDX files: read, looked for, refused."""

from __future__ import annotations

import gzip
import os
import struct
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.data import idx
from counterfoil.data.idx import FILES, FashionMnist, Mnist, read_idx

MNIST = Path(os.environ.get("COUNTERFOIL_DATA", "absent")) / "mnist"


def idx_bytes(values: np.ndarray) -> bytes:
    return (
        struct.pack(">HBB", 0, 8, values.ndim)
        + struct.pack(f">{values.ndim}I", *values.shape)
        + values.astype(np.uint8).tobytes()
    )


def write_set(folder: Path, *, packed: bool, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(FILES):
        n = 40 if i < 2 else 20
        values = np.arange(first, first + n * 4).reshape(n, 2, 2) % 256 if i % 2 == 0 else np.arange(n) % 10
        content = idx_bytes(values)
        (folder / (f"{name}.gz" if packed else name)).write_bytes(
            gzip.compress(content) if packed else content
        )
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(idx.urllib.request, "urlopen", refuse)
    monkeypatch.setenv("COUNTERFOIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COUNTERFOIL_DATA", raising=False)


@pytest.mark.parametrize("packed", [False, True])
def test_values_and_labels(tmp_path: Path, packed: bool) -> None:
    data = Mnist(root=write_set(tmp_path / "set", packed=packed), val_fraction=0.25)
    assert (len(data.train), len(data.val), len(data.test)) == (30, 10, 20)
    assert data.test.images[1].flatten().tolist() == [4, 5, 6, 7]
    assert data.test.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert (data.channels, data.size) == (1, 2)


def test_fashion_has_its_names(tmp_path: Path) -> None:
    data = FashionMnist(root=write_set(tmp_path, packed=True))
    assert data.class_names[9] == "Ankle boot"


def test_places_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    write_set(shared / "mnist", packed=True, first=7)
    monkeypatch.setenv("COUNTERFOIL_DATA", str(shared))
    assert Mnist().test.images[0, 0, 0, 0] == 7
    assert Mnist(root=shared).test.images[0, 0, 0, 0] == 7
    with pytest.raises(UserError, match="fashion_mnist"):
        FashionMnist().setup()
    write_set(tmp_path / "cache" / "fashion_mnist", packed=True, first=9)
    assert FashionMnist().test.images[0, 0, 0, 0] == 9


def test_root_does_not_change_the_identity(tmp_path: Path) -> None:
    one = write_set(tmp_path / "one", packed=True)
    two, other = (
        write_set(tmp_path / name, packed=False, first=i) for i, name in enumerate(("two", "other"))
    )
    assert Mnist(root=one).identity == Mnist(root=two).identity != FashionMnist(root=two).identity
    assert Mnist(root=other).identity != Mnist(root=one).identity, "two sets of one name"
    labels = other / FILES[1]
    before = Mnist(root=other).identity
    labels.write_bytes(idx_bytes(9 - read_idx(labels, 1).numpy()))
    assert Mnist(root=other).identity != before, "labels are content"


def test_the_published_files_are_known_by_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Mnist(root=write_set(tmp_path / "one", packed=True))
    monkeypatch.setattr(Mnist, "published", data.identity["content"])
    assert "content" not in Mnist(root=write_set(tmp_path / "two", packed=False)).identity
    assert "content" in Mnist(root=write_set(tmp_path / "other", packed=False, first=1)).identity


@pytest.mark.skipif(not (MNIST / f"{FILES[0]}.gz").is_file(), reason="needs COUNTERFOIL_DATA")
def test_mnist_is_known_by_its_name() -> None:
    assert "content" not in Mnist(root=MNIST).identity


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write_set(tmp_path, packed=True) / f"{FILES[3]}.gz").unlink()
    with pytest.raises(UserError, match=f"has no {FILES[3]}; put .*data=digits"):
        Mnist(root=tmp_path).setup()
    with pytest.raises(UserError, match="not a folder"):
        Mnist(root=tmp_path / "absent").setup()


def test_without_network_one_error_names_everything() -> None:
    with pytest.raises(UserError) as caught:
        Mnist().setup()
    for part in (*FILES, "cache/mnist", "data.root", "data=digits", "no network in tests"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_download_checks_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_set(tmp_path / "server", packed=True)
    fetched = []

    def read(url: str, label: str) -> bytes:
        fetched.append(url)
        if "first" in url:
            return b"an error page"
        return (source / label).read_bytes()

    monkeypatch.setattr(idx, "_read_url", read)
    monkeypatch.setattr(Mnist, "mirrors", ("http://first/", "http://second/"))
    with pytest.raises(UserError, match="checksum"):
        Mnist().setup()
    sums = tuple(idx.hashlib.md5((source / f"{name}.gz").read_bytes()).hexdigest() for name in FILES)
    monkeypatch.setattr(Mnist, "md5", sums)
    assert len(Mnist().test) == 20
    count = len(fetched)
    assert len(Mnist().test) == 20
    assert len(fetched) == count
    assert not list((tmp_path / "cache").rglob("*.partial"))


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_files_are_refused(tmp_path: Path, packed: bool) -> None:
    content = idx_bytes(np.zeros((3, 4, 4)))
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(content)[:-9] if packed else content[:-1])
    with pytest.raises(UserError, match=r"images .*get it again"):
        read_idx(path, ndim=3)


def test_lengths_and_types_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(idx_bytes(np.zeros((3, 4, 4)))[:-1])
    with pytest.raises(
        UserError, match=r"file is damaged: 64 bytes expected for shape \(3, 4, 4\), found 63"
    ):
        read_idx(path, ndim=3)
    path.write_bytes(idx_bytes(np.zeros((3, 4, 4))))
    with pytest.raises(UserError, match="file holds an array of 3 dimensions, expected 1"):
        read_idx(path, ndim=1)
    for content in (b"", bytes((0, 0, 13, 1, 0, 0, 0, 1, 0)), bytes((0, 0, 8, 0)), bytes((0, 0, 8, 3, 0))):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"no IDX file of bytes: it begins with .*expected 00 00 08"):
            read_idx(path, ndim=1)


def test_images_and_labels_must_belong_together(tmp_path: Path) -> None:
    write_set(tmp_path, packed=False)
    (tmp_path / FILES[1]).write_bytes(idx_bytes(np.zeros(39)))
    with pytest.raises(UserError, match=r"40 images .* 39 labels"):
        Mnist(root=tmp_path).setup()
    (tmp_path / FILES[1]).write_bytes(idx_bytes(np.full(40, 12)))
    with pytest.raises(UserError, match="label 12; expected 0 to 9"):
        Mnist(root=tmp_path).setup()


def test_read_idx_gives_a_writable_tensor(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(idx_bytes(np.arange(6).reshape(2, 3)))
    values = read_idx(tmp_path / "file", ndim=2)
    values += 1
    assert torch.equal(values, torch.arange(1, 7, dtype=torch.uint8).reshape(2, 3))
