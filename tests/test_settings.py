"""What the environment says to a gateway."""

from pathlib import Path

import pytest

from gateway.settings import SettingsError, read_settings, weights_folder


def test_raw_models_and_the_folder_of_weights_are_two_settings() -> None:
    settings = read_settings({"HOMEPORT_MODELS": "openai/*, openai/gpt-4o", "HOME": "/home/ada"})
    assert settings.models == ("openai/*", "openai/gpt-4o")
    assert weights_folder(settings.environment) == Path("/home/ada/.cache/homeport/models")
    settings = read_settings({"HOMEPORT_WEIGHTS": "/srv/weights"})
    assert settings.models == ()
    assert weights_folder(settings.environment) == Path("/srv/weights")


def test_scripts_have_no_other_name_that_a_wildcard_would_match(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("models: ['play/*']\nproviders:\n  play: {litellm_provider: scripted}\n")
    with pytest.raises(SettingsError, match=r"gateway.yaml:3.*scripted/FILE.yaml"):
        read_settings({}, config)


def test_a_url_is_no_host_that_client_servers_can_list(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("client_servers:\n  hosts: ['http://127.0.0.1/']\n")
    with pytest.raises(SettingsError, match=r"gateway.yaml:2.*is a URL; give the name of the host"):
        read_settings({}, config)
