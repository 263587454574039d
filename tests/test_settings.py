"""What the environment says to a gateway."""

from pathlib import Path

from gateway.settings import read_settings, weights_folder


def test_raw_models_and_the_folder_of_weights_are_two_settings() -> None:
    settings = read_settings({"HOMEPORT_MODELS": "openai/*, openai/gpt-4o", "HOME": "/home/ada"})
    assert settings.models == ("openai/*", "openai/gpt-4o")
    assert weights_folder(settings.environment) == Path("/home/ada/.cache/homeport/models")
    settings = read_settings({"HOMEPORT_WEIGHTS": "/srv/weights"})
    assert settings.models == ()
    assert weights_folder(settings.environment) == Path("/srv/weights")
