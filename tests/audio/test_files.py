"""Sound files become waveforms, and what is none says so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import blocks
from blocks import AudioError, read_audio
from blocks.audio import files

SPEECH = Path(__file__).parents[3] / "shared" / "data" / "jfk.flac"
soundfile = pytest.importorskip("soundfile", reason="the extra [audio] is not installed")
pytest.importorskip("soxr", reason="the extra [audio] is not installed")


def write(path: Path, samples: Any, rate: int = 16000, **how: Any) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


def wave(*shape: int) -> numpy.ndarray:
    return numpy.random.default_rng(1).uniform(-0.5, 0.5, shape).astype("float32")


def test_a_file_as_it_is(tmp_path: Path) -> None:
    samples = wave(1000)
    for name, subtype in (("a.wav", "FLOAT"), ("b.wav", "PCM_24"), ("c.flac", "PCM_24")):
        found = read_audio(write(tmp_path / name, samples, subtype=subtype))
        assert found.dtype == torch.float32 and found.shape == (1000,)
        torch.testing.assert_close(found, torch.from_numpy(samples), atol=1e-6, rtol=0)
    assert torch.equal(read_audio(str(tmp_path / "a.wav")), torch.from_numpy(samples))


def test_channels_are_averaged(tmp_path: Path) -> None:
    samples = wave(1000, 3)
    found = read_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    torch.testing.assert_close(found, torch.from_numpy(samples.mean(1)))


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_resampled_as_the_reference_does(tmp_path: Path, rate: int) -> None:
    from transformers.audio_utils import load_audio

    path = write(tmp_path / "a.wav", wave(3001, 2), rate)
    wanted = torch.from_numpy(load_audio(str(path), 16000, backend="soundfile"))
    assert torch.equal(read_audio(path), wanted)


def test_a_tone_stays_the_tone(tmp_path: Path) -> None:
    def tone(rate: int) -> numpy.ndarray:
        return numpy.sin(2 * numpy.pi * 440 * numpy.arange(rate) / rate).astype("float32") / 2

    found = read_audio(write(tmp_path / "a.wav", tone(48000), 48000, subtype="FLOAT"), 16000)
    assert found.shape == (16000,)
    middle = slice(1000, -1000)  # a filter rings at the ends
    torch.testing.assert_close(
        found[middle], torch.from_numpy(tone(16000))[middle], atol=1e-3, rtol=0
    )


def test_speech() -> None:
    if not SPEECH.exists():
        pytest.skip("the folder shared/data beside the repository is absent")
    found = read_audio(SPEECH)
    assert found.shape == (176_000,) and 0.3 < float(found.abs().max()) < 1


def refused(path: Path, reason: str, **how: Any) -> AudioError:
    with pytest.raises(AudioError, match=reason) as caught:
        read_audio(path, **how)
    return caught.value


def test_what_unpacks_to_far_more_than_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence = write(tmp_path / "a.flac", numpy.zeros(200_000, "float32"))
    slow = write(tmp_path / "a.wav", wave(1000), 999)
    assert len(read_audio(silence)) == 200_000
    monkeypatch.setattr(files, "_LONGEST", 1000)
    monkeypatch.setattr(files, "_PACKED", 1)
    assert refused(silence, "far more samples").file == str(silence)
    assert refused(slow, "999 samples a second").file == str(slow)


def test_what_is_no_sound(tmp_path: Path) -> None:
    text = tmp_path / "a.wav"
    text.write_text("no sound at all")
    assert refused(text, "can't be read as sound").file == str(text)
    text.write_bytes(b"")
    refused(text, "can't be read as sound")
    refused(tmp_path, "no such file")
    refused(tmp_path / "b.wav", "no such file")


def test_empty_and_broken_samples(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.wav", wave(0)), "holds no samples")
    for bad in (numpy.nan, numpy.inf):
        samples = wave(50)
        samples[7] = bad
        refused(write(tmp_path / "b.wav", samples, subtype="FLOAT"), "not finite")
        refused(write(tmp_path / "c.wav", samples, 8000, subtype="FLOAT"), "not finite")


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", wave(1000))
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = (2**31 - 8).to_bytes(4, "little")
    path.write_bytes(data)
    assert len(read_audio(path)) == 1000
    data[24:28] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, "can't be read as sound|samples a second")


@pytest.mark.parametrize("rate", [0, -1, 16000.0, True, 2**30])
def test_rates_that_are_none(tmp_path: Path, rate: Any) -> None:
    assert (
        refused(write(tmp_path / "a.wav", wave(9)), "samples a second", rate=rate).field == "rate"
    )


@pytest.mark.parametrize("package", ["soundfile", "soxr"])
def test_without_the_extra(tmp_path: Path, monkeypatch: Any, package: str) -> None:
    path = write(tmp_path / "a.wav", wave(100), 8000)
    monkeypatch.setitem(sys.modules, package, None)
    assert "blocks[audio]" in str(refused(path, package))
    assert blocks.LogMel()(torch.zeros(100))[0].shape == (1, 3000, 80)
