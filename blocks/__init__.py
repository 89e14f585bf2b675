# fmt: off
"""Take any published architecture apart, put another part in, load the public weights.

Written by `make index` from the `__all__` of every module: edit the modules, never this file.
A name is imported when it is first used, so that `import blocks` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks._version import __version__ as __version__

if TYPE_CHECKING:
    __all__: list[str]
    from blocks import testing as testing
    from blocks.attention.additive import AdditiveAttention as AdditiveAttention
    from blocks.attention.arranged import Arranged as Arranged
    from blocks.attention.chunked import ChunkAttention as ChunkAttention
    from blocks.attention.circle import CircleAttention as CircleAttention
    from blocks.attention.clip import Clip as Clip
    from blocks.attention.compressive import InfiniState as InfiniState
    from blocks.attention.cross import CrossAttention as CrossAttention
    from blocks.attention.crossmemory import CrossState as CrossState
    from blocks.attention.gate import OutputGate as OutputGate
    from blocks.attention.gist import Gist as Gist
    from blocks.attention.gq import GQAttention as GQAttention
    from blocks.attention.infini import InfiniAttention as InfiniAttention
    from blocks.attention.latent import LatentAttention as LatentAttention
    from blocks.attention.longformer import LongformerAttention as LongformerAttention
    from blocks.attention.lsh import LSHAttention as LSHAttention
    from blocks.attention.lshmemory import LSHState as LSHState
    from blocks.attention.marks import BeforeToken as BeforeToken
    from blocks.attention.marks import FirstToken as FirstToken
    from blocks.attention.marks import Marks as Marks
    from blocks.attention.mask import Both as Both
    from blocks.attention.mask import Causal as Causal
    from blocks.attention.mask import Chunk as Chunk
    from blocks.attention.mask import Full as Full
    from blocks.attention.mask import Mask as Mask
    from blocks.attention.mask import Prefix as Prefix
    from blocks.attention.mask import Window as Window
    from blocks.attention.memory import KVState as KVState
    from blocks.attention.near import NearChunks as NearChunks
    from blocks.attention.past import Past as Past
    from blocks.attention.relation import TypeRelation as TypeRelation
    from blocks.attention.relative import RelativeAttention as RelativeAttention
    from blocks.attention.ring import KVRing as KVRing
    from blocks.attention.scale import Scale as Scale
    from blocks.attention.seen import Seen as Seen
    from blocks.attention.softcap import SoftCap as SoftCap
    from blocks.attention.symmetric import SymmetricWindow as SymmetricWindow
    from blocks.attention.turned import TurnedAttention as TurnedAttention
    from blocks.attention.windows import GaussianWindow as GaussianWindow
    from blocks.attention.windows import WindowState as WindowState
    from blocks.audio.files import read_audio as read_audio
    from blocks.audio.logmel import LogMel as LogMel
    from blocks.audio.normed import NormedLogMel as NormedLogMel
    from blocks.audio.preprocessor import FrontEnd as FrontEnd
    from blocks.audio.preprocessor import read_features as read_features
    from blocks.audio.waveform import NormedWaveform as NormedWaveform
    from blocks.conv.causal import CausalConv as CausalConv
    from blocks.conv.causal import TailState as TailState
    from blocks.conv.module import ConvModule as ConvModule
    from blocks.conv.molecules import Molecules as Molecules
    from blocks.conv.shift import TokenShift as TokenShift
    from blocks.conv.stem import ConvStem as ConvStem
    from blocks.conv.subsampling import Subsampling as Subsampling
    from blocks.edit import at as at
    from blocks.edit import replace as replace
    from blocks.edit import rewrite as rewrite
    from blocks.edit import walk as walk
    from blocks.embedding.adaptive import AdaptiveEmbedding as AdaptiveEmbedding
    from blocks.embedding.entropy import EntropyPatches as EntropyPatches
    from blocks.embedding.equal import EqualPatches as EqualPatches
    from blocks.embedding.hashed import HashedEmbedding as HashedEmbedding
    from blocks.embedding.joined import JoinedEmbedding as JoinedEmbedding
    from blocks.embedding.media import MediaTokens as MediaTokens
    from blocks.embedding.ngrams import NGramEmbedding as NGramEmbedding
    from blocks.embedding.onehot import OneHot as OneHot
    from blocks.embedding.pixels import PatchEmbedding as PatchEmbedding
    from blocks.embedding.query import QueryEmbedding as QueryEmbedding
    from blocks.embedding.repeated import RepeatedEmbedding as RepeatedEmbedding
    from blocks.embedding.token import TokenEmbedding as TokenEmbedding
    from blocks.embedding.types import TypeEmbedding as TypeEmbedding
    from blocks.errors import AudioError as AudioError
    from blocks.errors import BlocksError as BlocksError
    from blocks.errors import CheckpointError as CheckpointError
    from blocks.errors import ConfigError as ConfigError
    from blocks.errors import GenerationError as GenerationError
    from blocks.errors import HubError as HubError
    from blocks.errors import SpecError as SpecError
    from blocks.errors import TokenizerError as TokenizerError
    from blocks.generation.banning import BadWords as BadWords
    from blocks.generation.banning import Suppressed as Suppressed
    from blocks.generation.banning import SuppressedFirst as SuppressedFirst
    from blocks.generation.beams import beam_search as beam_search
    from blocks.generation.cache import PromptCache as PromptCache
    from blocks.generation.draft import Draft as Draft
    from blocks.generation.draftmodel import DraftModel as DraftModel
    from blocks.generation.dreams import dream as dream
    from blocks.generation.filling import Filling as Filling
    from blocks.generation.filling import fill_mask as fill_mask
    from blocks.generation.forcing import ForcedFirst as ForcedFirst
    from blocks.generation.forcing import ForcedLast as ForcedLast
    from blocks.generation.forcing import MinLength as MinLength
    from blocks.generation.forcing import MinNewTokens as MinNewTokens
    from blocks.generation.forcing import Renormalize as Renormalize
    from blocks.generation.lookup import PromptLookup as PromptLookup
    from blocks.generation.loop import generate as generate
    from blocks.generation.loop import stream as stream
    from blocks.generation.repeating import NoRepeatNGram as NoRepeatNGram
    from blocks.generation.repeating import NoSourceNGram as NoSourceNGram
    from blocks.generation.repeating import RepetitionPenalty as RepetitionPenalty
    from blocks.generation.sampling import Sampler as Sampler
    from blocks.generation.sentences import embed as embed
    from blocks.generation.speech import transcribe as transcribe
    from blocks.generation.strokes import handwrite as handwrite
    from blocks.generation.timestamps import Timestamps as Timestamps
    from blocks.generation.transcript import Segment as Segment
    from blocks.generation.transcript import Transcript as Transcript
    from blocks.heads.adaptive import AdaptiveHead as AdaptiveHead
    from blocks.heads.language import LMHead as LMHead
    from blocks.heads.masked import MaskedHead as MaskedHead
    from blocks.heads.mix import LayerMix as LayerMix
    from blocks.heads.mixture import MixtureDensityHead as MixtureDensityHead
    from blocks.heads.mixture import StrokeMixture as StrokeMixture
    from blocks.heads.pooler import Pooler as Pooler
    from blocks.heads.pretraining import Pretraining as Pretraining
    from blocks.heads.pretraining import PretrainingHead as PretrainingHead
    from blocks.heads.search import SpanSearch as SpanSearch
    from blocks.heads.search import SpanSearchHead as SpanSearchHead
    from blocks.heads.sentence import SentenceHead as SentenceHead
    from blocks.heads.sequence import SequenceHead as SequenceHead
    from blocks.heads.span import SpanHead as SpanHead
    from blocks.heads.token import TokenHead as TokenHead
    from blocks.hub.checksums import verify as verify
    from blocks.hub.defaults import GenerationDefaults as GenerationDefaults
    from blocks.hub.family import Family as Family
    from blocks.hub.inspection import inspect as inspect
    from blocks.hub.keys import Join as Join
    from blocks.hub.keys import Keys as Keys
    from blocks.hub.keys import Rename as Rename
    from blocks.hub.keys import Row as Row
    from blocks.hub.keys import Rule as Rule
    from blocks.hub.keys import Stack as Stack
    from blocks.hub.keys import Transpose as Transpose
    from blocks.hub.load import from_pretrained as from_pretrained
    from blocks.hub.package import packaged as packaged
    from blocks.hub.peft.reading import load_adapter as load_adapter
    from blocks.hub.peft.writing import save_adapter as save_adapter
    from blocks.hub.pointwise import Pointwise as Pointwise
    from blocks.hub.provenance import Provenance as Provenance
    from blocks.hub.publish import push_to_hub as push_to_hub
    from blocks.hub.reference import export as export
    from blocks.hub.report import Inspection as Inspection
    from blocks.hub.save import save_pretrained as save_pretrained
    from blocks.mlp.activations import Activation as Activation
    from blocks.mlp.activations import activation as activation
    from blocks.mlp.clamped import ClampedGLU as ClampedGLU
    from blocks.mlp.gated import GatedMLP as GatedMLP
    from blocks.mlp.maxout import Maxout as Maxout
    from blocks.mlp.plain import MLP as MLP
    from blocks.mlp.xielu import XIELU as XIELU
    from blocks.models.adapters import trainable as trainable
    from blocks.models.aligned import alignment as alignment
    from blocks.models.bytelatent import ByteLatentLM as ByteLatentLM
    from blocks.models.causal import CausalLM as CausalLM
    from blocks.models.characters import CharacterEncoder as CharacterEncoder
    from blocks.models.conditioned import Conditioned as Conditioned
    from blocks.models.encoder import Encoder as Encoder
    from blocks.models.encoder_decoder import EncoderDecoder as EncoderDecoder
    from blocks.models.final_states import FinalStates as FinalStates
    from blocks.models.gpt3_shapes import gpt3 as gpt3
    from blocks.models.graves import graves_handwriting as graves_handwriting
    from blocks.models.graves import graves_text as graves_text
    from blocks.models.handwriting import Handwriting as Handwriting
    from blocks.models.hearing import FrameEncoder as FrameEncoder
    from blocks.models.mambabyte_shapes import mamba_byte as mamba_byte
    from blocks.models.masked import MaskedLM as MaskedLM
    from blocks.models.megabyte import MegaByte as MegaByte
    from blocks.models.palm_shapes import palm as palm
    from blocks.models.places import addresses as addresses
    from blocks.models.places import find as find
    from blocks.models.reader import SourceReader as SourceReader
    from blocks.models.shift import ShiftRight as ShiftRight
    from blocks.models.stack import LayerStack as LayerStack
    from blocks.models.streams import two_streams as two_streams
    from blocks.models.translators import bahdanau as bahdanau
    from blocks.models.translators import sutskever as sutskever
    from blocks.moe.moe import MoE as MoE
    from blocks.moe.sigmoid_router import SigmoidRouter as SigmoidRouter
    from blocks.moe.softmax_router import SoftmaxRouter as SoftmaxRouter
    from blocks.moe.sparse_mixer_router import SparseMixerRouter as SparseMixerRouter
    from blocks.moe.topk_router import TopKRouter as TopKRouter
    from blocks.norm.batch import BatchNorm as BatchNorm
    from blocks.norm.gated import GatedRMSNorm as GatedRMSNorm
    from blocks.norm.layer import LayerNorm as LayerNorm
    from blocks.norm.qk import QKNorm as QKNorm
    from blocks.norm.rms import RMSNorm as RMSNorm
    from blocks.norm.time import TimeNorm as TimeNorm
    from blocks.ops.duality import ssd as ssd
    from blocks.ops.flash import flash_attend as flash_attend
    from blocks.ops.recurrence import scan as scan
    from blocks.positions.alibi import ALiBi as ALiBi
    from blocks.positions.axial import AxialPositions as AxialPositions
    from blocks.positions.convolved import ConvPositions as ConvPositions
    from blocks.positions.learned import LearnedPositions as LearnedPositions
    from blocks.positions.llama3 import Llama3Scaling as Llama3Scaling
    from blocks.positions.longrope import LongRoPEScaling as LongRoPEScaling
    from blocks.positions.queryscale import QueryScale as QueryScale
    from blocks.positions.relative import RelativeBias as RelativeBias
    from blocks.positions.rope import RoPE as RoPE
    from blocks.positions.scaling import DynamicScaling as DynamicScaling
    from blocks.positions.scaling import LinearScaling as LinearScaling
    from blocks.positions.scaling import Scaling as Scaling
    from blocks.positions.sinusoidal import SinusoidalPositions as SinusoidalPositions
    from blocks.positions.yarn import YarnScaling as YarnScaling
    from blocks.recurrent.attending import Attending as Attending
    from blocks.recurrent.channel_mix import RWKVChannelMix as RWKVChannelMix
    from blocks.recurrent.corrected import DeltaState as DeltaState
    from blocks.recurrent.exchange import from_torch as from_torch
    from blocks.recurrent.exchange import to_torch as to_torch
    from blocks.recurrent.gated_delta_net import GatedDeltaNet as GatedDeltaNet
    from blocks.recurrent.gru import GRU as GRU
    from blocks.recurrent.handed import Handed as Handed
    from blocks.recurrent.linear_attention import LinearAttention as LinearAttention
    from blocks.recurrent.looking import LookingState as LookingState
    from blocks.recurrent.lstm import LSTM as LSTM
    from blocks.recurrent.rglru import RGLRU as RGLRU
    from blocks.recurrent.rglru import RGLRUState as RGLRUState
    from blocks.recurrent.rnn import RNN as RNN
    from blocks.recurrent.rtrbm import RTRBM as RTRBM
    from blocks.recurrent.rwkv import RWKV as RWKV
    from blocks.recurrent.rwkv import WKVState as WKVState
    from blocks.recurrent.skipping import SkipStack as SkipStack
    from blocks.recurrent.stacked import CellState as CellState
    from blocks.recurrent.stacked import HiddenState as HiddenState
    from blocks.recurrent.written import LinearState as LinearState
    from blocks.spec import Slot as Slot
    from blocks.spec import Spec as Spec
    from blocks.speed.prepare import optimize as optimize
    from blocks.ssm.hippo import hippo_dplr as hippo_dplr
    from blocks.ssm.hippo import hippo_legs as hippo_legs
    from blocks.ssm.mamba import Mamba as Mamba
    from blocks.ssm.mamba2 import Mamba2 as Mamba2
    from blocks.ssm.memory import Mamba2State as Mamba2State
    from blocks.ssm.memory import MambaState as MambaState
    from blocks.ssm.memory import S4State as S4State
    from blocks.ssm.s4 import S4 as S4
    from blocks.ssm.s4d import S4D as S4D
    from blocks.state import Clock as Clock
    from blocks.state import Content as Content
    from blocks.state import State as State
    from blocks.step import Step as Step
    from blocks.surgery.adapting import add_adapter as add_adapter
    from blocks.surgery.adapting import merge_adapter as merge_adapter
    from blocks.surgery.differing.comparing import Difference as Difference
    from blocks.surgery.differing.comparing import diff as diff
    from blocks.surgery.ejecting.writing import eject as eject
    from blocks.surgery.explaining import Explanation as Explanation
    from blocks.surgery.explaining import explain as explain
    from blocks.surgery.factorising import Factorisation as Factorisation
    from blocks.surgery.factorising import factorise as factorise
    from blocks.surgery.inside.activity import ActivationStatistics as ActivationStatistics
    from blocks.surgery.inside.activity import Activity as Activity
    from blocks.surgery.inside.activity import activation_statistics as activation_statistics
    from blocks.surgery.inside.lens import LogitLens as LogitLens
    from blocks.surgery.inside.lens import logit_lens as logit_lens
    from blocks.surgery.inside.maps import AttentionMaps as AttentionMaps
    from blocks.surgery.inside.maps import attention_maps as attention_maps
    from blocks.surgery.inside.patching import ablate as ablate
    from blocks.surgery.inside.patching import patch as patch
    from blocks.surgery.inside.watching import Captured as Captured
    from blocks.surgery.inside.watching import capture as capture
    from blocks.surgery.inside.watching import hook_points as hook_points
    from blocks.surgery.picturing import draw as draw
    from blocks.surgery.swapping.exchanging import swap as swap
    from blocks.surgery.swapping.swapped import SwapReport as SwapReport
    from blocks.text.bytes import byte_tokenizer as byte_tokenizer
    from blocks.text.characters import character_tokenizer as character_tokenizer
    from blocks.text.detokenize import Detokenizer as Detokenizer
    from blocks.text.infill import INFILL as INFILL
    from blocks.text.infill import Sentinels as Sentinels
    from blocks.text.infill import from_infill as from_infill
    from blocks.text.infill import infill_prompt as infill_prompt
    from blocks.text.infill import to_infill as to_infill
    from blocks.text.tokenizer import Tokenizer as Tokenizer
    from blocks.training.kernels import use_kernels as use_kernels
    from blocks.training.next_token import next_token_loss as next_token_loss
    from blocks.wiring.chain import Chain as Chain
    from blocks.wiring.checkpointed import Checkpointed as Checkpointed
    from blocks.wiring.dora import DoRA as DoRA
    from blocks.wiring.dropout import Dropout as Dropout
    from blocks.wiring.factored import Factored as Factored
    from blocks.wiring.gated import GatedMixer as GatedMixer
    from blocks.wiring.linear import Linear as Linear
    from blocks.wiring.lora import LoRA as LoRA
    from blocks.wiring.lowrank import LowRank as LowRank
    from blocks.wiring.normed import Normed as Normed
    from blocks.wiring.packed import PackedLinear as PackedLinear
    from blocks.wiring.parallel import Parallel as Parallel
    from blocks.wiring.residual import Residual as Residual
    from blocks.wiring.resized import Resized as Resized
    from blocks.wiring.reversible import Reversible as Reversible
    from blocks.wiring.taps import Load as Load
    from blocks.wiring.taps import Save as Save
    from blocks.wiring.wide import Widen as Widen
    from blocks.written import from_json as from_json
    from blocks.written import to_json as to_json
else:
    _SUBMODULES = ('testing',)
    _HOME = {
        "ALiBi": "blocks.positions.alibi",
        "Activation": "blocks.mlp.activations",
        "ActivationStatistics": "blocks.surgery.inside.activity",
        "Activity": "blocks.surgery.inside.activity",
        "AdaptiveEmbedding": "blocks.embedding.adaptive",
        "AdaptiveHead": "blocks.heads.adaptive",
        "AdditiveAttention": "blocks.attention.additive",
        "Arranged": "blocks.attention.arranged",
        "Attending": "blocks.recurrent.attending",
        "AttentionMaps": "blocks.surgery.inside.maps",
        "AudioError": "blocks.errors",
        "AxialPositions": "blocks.positions.axial",
        "BadWords": "blocks.generation.banning",
        "BatchNorm": "blocks.norm.batch",
        "BeforeToken": "blocks.attention.marks",
        "BlocksError": "blocks.errors",
        "Both": "blocks.attention.mask",
        "ByteLatentLM": "blocks.models.bytelatent",
        "Captured": "blocks.surgery.inside.watching",
        "Causal": "blocks.attention.mask",
        "CausalConv": "blocks.conv.causal",
        "CausalLM": "blocks.models.causal",
        "CellState": "blocks.recurrent.stacked",
        "Chain": "blocks.wiring.chain",
        "CharacterEncoder": "blocks.models.characters",
        "CheckpointError": "blocks.errors",
        "Checkpointed": "blocks.wiring.checkpointed",
        "Chunk": "blocks.attention.mask",
        "ChunkAttention": "blocks.attention.chunked",
        "CircleAttention": "blocks.attention.circle",
        "ClampedGLU": "blocks.mlp.clamped",
        "Clip": "blocks.attention.clip",
        "Clock": "blocks.state",
        "Conditioned": "blocks.models.conditioned",
        "ConfigError": "blocks.errors",
        "Content": "blocks.state",
        "ConvModule": "blocks.conv.module",
        "ConvPositions": "blocks.positions.convolved",
        "ConvStem": "blocks.conv.stem",
        "CrossAttention": "blocks.attention.cross",
        "CrossState": "blocks.attention.crossmemory",
        "DeltaState": "blocks.recurrent.corrected",
        "Detokenizer": "blocks.text.detokenize",
        "Difference": "blocks.surgery.differing.comparing",
        "DoRA": "blocks.wiring.dora",
        "Draft": "blocks.generation.draft",
        "DraftModel": "blocks.generation.draftmodel",
        "Dropout": "blocks.wiring.dropout",
        "DynamicScaling": "blocks.positions.scaling",
        "Encoder": "blocks.models.encoder",
        "EncoderDecoder": "blocks.models.encoder_decoder",
        "EntropyPatches": "blocks.embedding.entropy",
        "EqualPatches": "blocks.embedding.equal",
        "Explanation": "blocks.surgery.explaining",
        "Factored": "blocks.wiring.factored",
        "Factorisation": "blocks.surgery.factorising",
        "Family": "blocks.hub.family",
        "Filling": "blocks.generation.filling",
        "FinalStates": "blocks.models.final_states",
        "FirstToken": "blocks.attention.marks",
        "ForcedFirst": "blocks.generation.forcing",
        "ForcedLast": "blocks.generation.forcing",
        "FrameEncoder": "blocks.models.hearing",
        "FrontEnd": "blocks.audio.preprocessor",
        "Full": "blocks.attention.mask",
        "GQAttention": "blocks.attention.gq",
        "GRU": "blocks.recurrent.gru",
        "GatedDeltaNet": "blocks.recurrent.gated_delta_net",
        "GatedMLP": "blocks.mlp.gated",
        "GatedMixer": "blocks.wiring.gated",
        "GatedRMSNorm": "blocks.norm.gated",
        "GaussianWindow": "blocks.attention.windows",
        "GenerationDefaults": "blocks.hub.defaults",
        "GenerationError": "blocks.errors",
        "Gist": "blocks.attention.gist",
        "Handed": "blocks.recurrent.handed",
        "Handwriting": "blocks.models.handwriting",
        "HashedEmbedding": "blocks.embedding.hashed",
        "HiddenState": "blocks.recurrent.stacked",
        "HubError": "blocks.errors",
        "INFILL": "blocks.text.infill",
        "InfiniAttention": "blocks.attention.infini",
        "InfiniState": "blocks.attention.compressive",
        "Inspection": "blocks.hub.report",
        "Join": "blocks.hub.keys",
        "JoinedEmbedding": "blocks.embedding.joined",
        "KVRing": "blocks.attention.ring",
        "KVState": "blocks.attention.memory",
        "Keys": "blocks.hub.keys",
        "LMHead": "blocks.heads.language",
        "LSHAttention": "blocks.attention.lsh",
        "LSHState": "blocks.attention.lshmemory",
        "LSTM": "blocks.recurrent.lstm",
        "LatentAttention": "blocks.attention.latent",
        "LayerMix": "blocks.heads.mix",
        "LayerNorm": "blocks.norm.layer",
        "LayerStack": "blocks.models.stack",
        "LearnedPositions": "blocks.positions.learned",
        "Linear": "blocks.wiring.linear",
        "LinearAttention": "blocks.recurrent.linear_attention",
        "LinearScaling": "blocks.positions.scaling",
        "LinearState": "blocks.recurrent.written",
        "Llama3Scaling": "blocks.positions.llama3",
        "LoRA": "blocks.wiring.lora",
        "Load": "blocks.wiring.taps",
        "LogMel": "blocks.audio.logmel",
        "LogitLens": "blocks.surgery.inside.lens",
        "LongRoPEScaling": "blocks.positions.longrope",
        "LongformerAttention": "blocks.attention.longformer",
        "LookingState": "blocks.recurrent.looking",
        "LowRank": "blocks.wiring.lowrank",
        "MLP": "blocks.mlp.plain",
        "Mamba": "blocks.ssm.mamba",
        "Mamba2": "blocks.ssm.mamba2",
        "Mamba2State": "blocks.ssm.memory",
        "MambaState": "blocks.ssm.memory",
        "Marks": "blocks.attention.marks",
        "Mask": "blocks.attention.mask",
        "MaskedHead": "blocks.heads.masked",
        "MaskedLM": "blocks.models.masked",
        "Maxout": "blocks.mlp.maxout",
        "MediaTokens": "blocks.embedding.media",
        "MegaByte": "blocks.models.megabyte",
        "MinLength": "blocks.generation.forcing",
        "MinNewTokens": "blocks.generation.forcing",
        "MixtureDensityHead": "blocks.heads.mixture",
        "MoE": "blocks.moe.moe",
        "Molecules": "blocks.conv.molecules",
        "NGramEmbedding": "blocks.embedding.ngrams",
        "NearChunks": "blocks.attention.near",
        "NoRepeatNGram": "blocks.generation.repeating",
        "NoSourceNGram": "blocks.generation.repeating",
        "Normed": "blocks.wiring.normed",
        "NormedLogMel": "blocks.audio.normed",
        "NormedWaveform": "blocks.audio.waveform",
        "OneHot": "blocks.embedding.onehot",
        "OutputGate": "blocks.attention.gate",
        "PackedLinear": "blocks.wiring.packed",
        "Parallel": "blocks.wiring.parallel",
        "Past": "blocks.attention.past",
        "PatchEmbedding": "blocks.embedding.pixels",
        "Pointwise": "blocks.hub.pointwise",
        "Pooler": "blocks.heads.pooler",
        "Prefix": "blocks.attention.mask",
        "Pretraining": "blocks.heads.pretraining",
        "PretrainingHead": "blocks.heads.pretraining",
        "PromptCache": "blocks.generation.cache",
        "PromptLookup": "blocks.generation.lookup",
        "Provenance": "blocks.hub.provenance",
        "QKNorm": "blocks.norm.qk",
        "QueryEmbedding": "blocks.embedding.query",
        "QueryScale": "blocks.positions.queryscale",
        "RGLRU": "blocks.recurrent.rglru",
        "RGLRUState": "blocks.recurrent.rglru",
        "RMSNorm": "blocks.norm.rms",
        "RNN": "blocks.recurrent.rnn",
        "RTRBM": "blocks.recurrent.rtrbm",
        "RWKV": "blocks.recurrent.rwkv",
        "RWKVChannelMix": "blocks.recurrent.channel_mix",
        "RelativeAttention": "blocks.attention.relative",
        "RelativeBias": "blocks.positions.relative",
        "Rename": "blocks.hub.keys",
        "Renormalize": "blocks.generation.forcing",
        "RepeatedEmbedding": "blocks.embedding.repeated",
        "RepetitionPenalty": "blocks.generation.repeating",
        "Residual": "blocks.wiring.residual",
        "Resized": "blocks.wiring.resized",
        "Reversible": "blocks.wiring.reversible",
        "RoPE": "blocks.positions.rope",
        "Row": "blocks.hub.keys",
        "Rule": "blocks.hub.keys",
        "S4": "blocks.ssm.s4",
        "S4D": "blocks.ssm.s4d",
        "S4State": "blocks.ssm.memory",
        "Sampler": "blocks.generation.sampling",
        "Save": "blocks.wiring.taps",
        "Scale": "blocks.attention.scale",
        "Scaling": "blocks.positions.scaling",
        "Seen": "blocks.attention.seen",
        "Segment": "blocks.generation.transcript",
        "SentenceHead": "blocks.heads.sentence",
        "Sentinels": "blocks.text.infill",
        "SequenceHead": "blocks.heads.sequence",
        "ShiftRight": "blocks.models.shift",
        "SigmoidRouter": "blocks.moe.sigmoid_router",
        "SinusoidalPositions": "blocks.positions.sinusoidal",
        "SkipStack": "blocks.recurrent.skipping",
        "Slot": "blocks.spec",
        "SoftCap": "blocks.attention.softcap",
        "SoftmaxRouter": "blocks.moe.softmax_router",
        "SourceReader": "blocks.models.reader",
        "SpanHead": "blocks.heads.span",
        "SpanSearch": "blocks.heads.search",
        "SpanSearchHead": "blocks.heads.search",
        "SparseMixerRouter": "blocks.moe.sparse_mixer_router",
        "Spec": "blocks.spec",
        "SpecError": "blocks.errors",
        "Stack": "blocks.hub.keys",
        "State": "blocks.state",
        "Step": "blocks.step",
        "StrokeMixture": "blocks.heads.mixture",
        "Subsampling": "blocks.conv.subsampling",
        "Suppressed": "blocks.generation.banning",
        "SuppressedFirst": "blocks.generation.banning",
        "SwapReport": "blocks.surgery.swapping.swapped",
        "SymmetricWindow": "blocks.attention.symmetric",
        "TailState": "blocks.conv.causal",
        "TimeNorm": "blocks.norm.time",
        "Timestamps": "blocks.generation.timestamps",
        "TokenEmbedding": "blocks.embedding.token",
        "TokenHead": "blocks.heads.token",
        "TokenShift": "blocks.conv.shift",
        "Tokenizer": "blocks.text.tokenizer",
        "TokenizerError": "blocks.errors",
        "TopKRouter": "blocks.moe.topk_router",
        "Transcript": "blocks.generation.transcript",
        "Transpose": "blocks.hub.keys",
        "TurnedAttention": "blocks.attention.turned",
        "TypeEmbedding": "blocks.embedding.types",
        "TypeRelation": "blocks.attention.relation",
        "WKVState": "blocks.recurrent.rwkv",
        "Widen": "blocks.wiring.wide",
        "Window": "blocks.attention.mask",
        "WindowState": "blocks.attention.windows",
        "XIELU": "blocks.mlp.xielu",
        "YarnScaling": "blocks.positions.yarn",
        "ablate": "blocks.surgery.inside.patching",
        "activation": "blocks.mlp.activations",
        "activation_statistics": "blocks.surgery.inside.activity",
        "add_adapter": "blocks.surgery.adapting",
        "addresses": "blocks.models.places",
        "alignment": "blocks.models.aligned",
        "at": "blocks.edit",
        "attention_maps": "blocks.surgery.inside.maps",
        "bahdanau": "blocks.models.translators",
        "beam_search": "blocks.generation.beams",
        "byte_tokenizer": "blocks.text.bytes",
        "capture": "blocks.surgery.inside.watching",
        "character_tokenizer": "blocks.text.characters",
        "diff": "blocks.surgery.differing.comparing",
        "draw": "blocks.surgery.picturing",
        "dream": "blocks.generation.dreams",
        "eject": "blocks.surgery.ejecting.writing",
        "embed": "blocks.generation.sentences",
        "explain": "blocks.surgery.explaining",
        "export": "blocks.hub.reference",
        "factorise": "blocks.surgery.factorising",
        "fill_mask": "blocks.generation.filling",
        "find": "blocks.models.places",
        "flash_attend": "blocks.ops.flash",
        "from_infill": "blocks.text.infill",
        "from_json": "blocks.written",
        "from_pretrained": "blocks.hub.load",
        "from_torch": "blocks.recurrent.exchange",
        "generate": "blocks.generation.loop",
        "gpt3": "blocks.models.gpt3_shapes",
        "graves_handwriting": "blocks.models.graves",
        "graves_text": "blocks.models.graves",
        "handwrite": "blocks.generation.strokes",
        "hippo_dplr": "blocks.ssm.hippo",
        "hippo_legs": "blocks.ssm.hippo",
        "hook_points": "blocks.surgery.inside.watching",
        "infill_prompt": "blocks.text.infill",
        "inspect": "blocks.hub.inspection",
        "load_adapter": "blocks.hub.peft.reading",
        "logit_lens": "blocks.surgery.inside.lens",
        "mamba_byte": "blocks.models.mambabyte_shapes",
        "merge_adapter": "blocks.surgery.adapting",
        "next_token_loss": "blocks.training.next_token",
        "optimize": "blocks.speed.prepare",
        "packaged": "blocks.hub.package",
        "palm": "blocks.models.palm_shapes",
        "patch": "blocks.surgery.inside.patching",
        "push_to_hub": "blocks.hub.publish",
        "read_audio": "blocks.audio.files",
        "read_features": "blocks.audio.preprocessor",
        "replace": "blocks.edit",
        "rewrite": "blocks.edit",
        "save_adapter": "blocks.hub.peft.writing",
        "save_pretrained": "blocks.hub.save",
        "scan": "blocks.ops.recurrence",
        "ssd": "blocks.ops.duality",
        "stream": "blocks.generation.loop",
        "sutskever": "blocks.models.translators",
        "swap": "blocks.surgery.swapping.exchanging",
        "to_infill": "blocks.text.infill",
        "to_json": "blocks.written",
        "to_torch": "blocks.recurrent.exchange",
        "trainable": "blocks.models.adapters",
        "transcribe": "blocks.generation.speech",
        "two_streams": "blocks.models.streams",
        "use_kernels": "blocks.training.kernels",
        "verify": "blocks.hub.checksums",
        "walk": "blocks.edit",
    }
    __all__ = sorted([*_HOME, *_SUBMODULES, "__version__"])

    def __getattr__(name: str):
        from importlib import import_module

        if name in _SUBMODULES:
            return import_module(f"blocks.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'blocks' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOME[name]), name)
        return value

    def __dir__() -> list[str]:
        return __all__
