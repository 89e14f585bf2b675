"""Front ends hear what the reference hears."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from transformers import (
    ParakeetFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

import blocks
from blocks import AudioError, ConfigError, LogMel, NormedLogMel, NormedWaveform
from blocks.audio.spectrum import mel_filters

SPEECH = Path(__file__).parents[3] / "shared" / "data" / "jfk.flac"
RATE = {"sampling_rate": 16000}


def noise(*lengths: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(n, generator=draw).cumsum(0) * 0.01 for n in lengths]


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    if not SPEECH.exists():
        pytest.skip("the folder shared/data beside the repository is absent")
    for package in ("soundfile", "soxr"):
        pytest.importorskip(package, reason="the extra [audio] is not installed")
    return blocks.read_audio(SPEECH)


@pytest.mark.parametrize("mels", [80, 128])
def test_whisper_on_speech(speech: torch.Tensor, mels: int) -> None:
    theirs = WhisperFeatureExtractor(feature_size=mels)
    wanted = theirs(speech.numpy(), **RATE, return_tensors="pt").input_features
    frames, real = LogMel(mels=mels)(speech)
    assert real is None and frames.shape == (1, 3000, mels)
    torch.testing.assert_close(frames.transpose(1, 2), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 8000, 480_000, 600_000])
def test_whisper_cuts_and_fills(length: int) -> None:
    waves = noise(length, 5000)
    theirs = WhisperFeatureExtractor()([w.numpy() for w in waves], **RATE, return_tensors="pt")
    frames, real = LogMel()(waves)
    assert real is None
    torch.testing.assert_close(frames.mT, theirs.input_features, atol=2e-5, rtol=0)


def test_whisper_of_any_length() -> None:
    (wave,) = noise(600_123)
    theirs = WhisperFeatureExtractor()
    how: Any = {"truncation": False, "padding": "longest", "return_tensors": "pt"}
    wanted = theirs(wave.numpy(), **RATE, **how).input_features
    frames, _ = LogMel().whole()(wave)
    torch.testing.assert_close(frames.mT, wanted, atol=2e-5, rtol=0)
    with pytest.raises(AudioError, match="several lengths"):
        LogMel(seconds=None)(noise(9000, 8000))


@pytest.mark.parametrize("options", [{}, {"n_fft": 200, "hop_length": 100, "chunk_length": 2}])
def test_whisper_options(options: dict[str, int]) -> None:
    (wave,) = noise(20_000)
    theirs = WhisperFeatureExtractor(feature_size=20, **options)
    wanted = theirs(wave.numpy(), **RATE, return_tensors="pt").input_features
    ours = LogMel(
        mels=20,
        fft=options.get("n_fft", 400),
        hop=options.get("hop_length", 160),
        seconds=options.get("chunk_length", 30),
    )
    torch.testing.assert_close(ours(wave)[0].mT, wanted, atol=2e-5, rtol=0)


def test_parakeet_on_speech(speech: torch.Tensor) -> None:
    waves = [speech[: 16000 * 3], speech[50_000:60_123]]
    theirs = ParakeetFeatureExtractor(feature_size=128)
    got = theirs([w.numpy() for w in waves], **RATE, return_tensors="pt")
    frames, real = NormedLogMel(mels=128)(waves)
    assert real is not None
    # The reference has one more frame, which it says is not real.
    assert not got.attention_mask[:, -1].any()
    assert torch.equal(real, got.attention_mask[:, :-1])
    torch.testing.assert_close(frames, got.input_features[:, :-1], atol=2e-5, rtol=0)


@pytest.mark.parametrize("emphasis", [0.0, 0.5])
def test_parakeet_options(emphasis: float) -> None:
    waves = noise(8000, 3200)
    options: Any = {"feature_size": 20, "n_fft": 256, "win_length": 200, "hop_length": 80}
    options["preemphasis"] = emphasis
    got = ParakeetFeatureExtractor(**options)([w.numpy() for w in waves], **RATE)
    frames, _ = NormedLogMel(mels=20, fft=256, window=200, hop=80, emphasis=emphasis)(waves)
    torch.testing.assert_close(frames, got["input_features"][:, :-1], atol=2e-4, rtol=0)


def test_wav2vec2(speech: torch.Tensor) -> None:
    waves = [speech[:30_000], speech[50_000:60_123]]
    theirs = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    got = theirs([w.numpy() for w in waves], padding=True, **RATE, return_tensors="pt")
    frames, real = NormedWaveform()(waves)
    assert real is not None and torch.equal(real, got.attention_mask.bool())
    torch.testing.assert_close(frames[..., 0], got.input_values, atol=1e-5, rtol=0)
    raw, _ = NormedWaveform(normalize=False)(waves[0])
    assert torch.equal(raw[0, :, 0], waves[0])


def test_forms_of_a_waveform() -> None:
    (wave,) = noise(4000)
    made = NormedWaveform()
    wanted = made(wave)[0]
    for form in (wave[None], [wave], wave.numpy(), wave.tolist(), (wave.double(),)):
        torch.testing.assert_close(made(form)[0], wanted)


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (torch.zeros(0), "nothing to hear"),
        ([], "nothing to hear"),
        ([torch.ones(3), torch.zeros(0)], "nothing to hear"),
        (torch.tensor([0.0, float("nan")]), "not finite"),
        (torch.zeros(1, 2, 3), r"not \[1, 2, 3\]"),
        (torch.ones(9, dtype=torch.int16), "between -1 and 1"),
        (torch.ones(9, dtype=torch.bool), "bool"),
        ("speech.wav", "str is no waveform"),
        (None, "NoneType is no waveform"),
    ],
)
def test_no_waveform(audio: Any, reason: str) -> None:
    for made in (LogMel(), NormedLogMel(), NormedWaveform()):
        with pytest.raises(AudioError, match=reason):
            made(audio)


def test_too_short() -> None:
    with pytest.raises(AudioError, match="at least 320"):
        NormedLogMel()(torch.zeros(319))
    with pytest.raises(AudioError, match="at least 201"):
        LogMel(seconds=None)(torch.zeros(200))


@pytest.mark.parametrize("kind", [LogMel, NormedLogMel, NormedWaveform])
def test_sizes_that_make_nothing(kind: Any) -> None:
    with pytest.raises(AudioError, match="rate"):
        kind(rate=0)
    with pytest.raises(blocks.SpecError, match="rate"):
        kind(rate=1.5)
    assert kind(rate=8000) != kind() and hash(kind()) == hash(kind())


SAVED = [
    (WhisperFeatureExtractor(feature_size=128), LogMel(mels=128)),
    (WhisperFeatureExtractor(chunk_length=10, hop_length=80), LogMel(seconds=10, hop=80)),
    (ParakeetFeatureExtractor(), NormedLogMel()),
    (ParakeetFeatureExtractor(preemphasis=None), NormedLogMel(emphasis=0.0)),
    (Wav2Vec2FeatureExtractor(), NormedWaveform()),
    (Wav2Vec2FeatureExtractor(do_normalize=False), NormedWaveform(normalize=False)),
]


@pytest.mark.parametrize(("theirs", "ours"), SAVED)
def test_reads_what_the_reference_saves(tmp_path: Path, theirs: Any, ours: Any) -> None:
    theirs.save_pretrained(tmp_path)
    assert blocks.read_features(tmp_path) == ours
    said = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").unlink()
    both = {"feature_extractor": said, "processor_class": "Whatever"}
    (tmp_path / "processor_config.json").write_text(json.dumps(both))
    assert blocks.read_features(tmp_path) == ours


def write(folder: Path, **fields: Any) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(fields))
    return folder


WHISPER = {"feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "Whisper"}


def test_older_files(tmp_path: Path) -> None:
    filters = WhisperFeatureExtractor().mel_filters
    for table in (filters, filters.T):
        rounded = numpy.round(table, 8).tolist()
        folder = write(tmp_path, **WHISPER, mel_filters=rounded, n_samples=480_000)
        assert blocks.read_features(folder) == LogMel()
    oldest = {"do_normalize": True, "feature_size": 1, "padding_value": 0.0}
    assert blocks.read_features(write(tmp_path, **oldest)) == NormedWaveform()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (WHISPER | {"mel_filters": numpy.ones((80, 201)).tolist()}, "mel_filters"),
        (WHISPER | {"mel_filters": [[1.0], "x"]}, "mel_filters"),
        (WHISPER | {"n_samples": 5}, "n_samples"),
        (WHISPER | {"nb_max_frames": 5}, "nb_max_frames"),
        (WHISPER | {"dither": 0.1}, "dither"),
        (WHISPER | {"padding_side": "left"}, "padding_side"),
        (WHISPER | {"hop_lenght": 100}, "hop_lenght"),
        ({"feature_extractor_type": "SeamlessM4TFeatureExtractor"}, "feature_extractor_type"),
        ({"image_processor_type": "CLIPImageProcessor"}, "feature_extractor_type"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        blocks.read_features(write(tmp_path, **fields))


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="preprocessor_config"):
        blocks.read_features(tmp_path)


@pytest.mark.parametrize(("mels", "fft", "high"), [(80, 400, 8000.0), (128, 512, 4000.0)])
def test_mel_filters(mels: int, fft: int, high: float) -> None:
    from transformers.audio_utils import mel_filter_bank

    how: Any = {"norm": "slaney", "mel_scale": "slaney"}
    wanted = mel_filter_bank(fft // 2 + 1, mels, 0.0, high, 16000, **how)
    found = mel_filters(mels, fft, 16000, high)
    torch.testing.assert_close(found.double().T, torch.from_numpy(wanted), atol=1e-8, rtol=1e-6)
