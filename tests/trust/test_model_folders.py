"""A model folder that was changed is refused, has another digest, or is the same model."""

from __future__ import annotations

import pytest

from tests.trust import model_folders


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> model_folders.Folders:
    return model_folders.Folders(tmp_path_factory.mktemp("folders"))


@pytest.mark.parametrize("name", model_folders.FOLDERS)
def test_every_folder_comes_to_what_it_should(folders: model_folders.Folders, name: str) -> None:
    assert list(folders.problems(name)) == []


def test_there_are_folders_enough() -> None:
    assert len(model_folders.FOLDERS) >= 40
