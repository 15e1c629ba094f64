"""How a profile fits a machine, with the arithmetic: the cards, the sequences, the threads. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from workers.engine.hardware import Gpu, Hardware
from workers.engine.profiles import Profile

# More sequences at once than this gain a CPU, and llama.cpp, little, and slow down each other.
CPU_SEQUENCES = 16
# More layers than any model has: all of them.
ALL_LAYERS = 999
WITHOUT_OFFLOAD = (
    "llama.cpp as the registry has it can't use a GPU: set REDRAFT_LLAMA_SERVER to a llama-server that can (its "
    "`--list-devices` names the card)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A profile, its GPUs, how many sequences their memory holds, and the arithmetic in words.

    The last four fields are for llama.cpp: `threads` (0: the engine's own default), `tensor_split` (the share of each
    of `gpus`, in their order; empty: one GPU or none), `gpu_layers` (how many layers lie on GPUs) and `context_tokens`
    (the KV of all slots together).
    """

    profile: Profile
    gpus: tuple[Gpu, ...] = ()
    max_num_seqs: int = CPU_SEQUENCES
    why: str = ""
    threads: int = 0
    tensor_split: tuple[float, ...] = ()
    gpu_layers: int = 0
    context_tokens: int = 0

    @property
    def ram_gib(self) -> float:
        """What it takes of the machine's memory beside GPUs; 0 where nobody has measured that."""
        if self.profile.engine == "llama.cpp" and not self.gpus:
            return _cpu_need_gib(self.profile, self.max_num_seqs)
        return _vllm_cpu_gib(self.profile) if self.profile.engine == "vllm-cpu" else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a profile can't run here."""

    why: str


def fit(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """How a profile fits on as few GPUs as possible, or on the processor, or why not."""
    if profile.engine == "vllm-cpu":
        return _vllm_on_cpu(profile, hardware)
    if profile.engine == "llama.cpp":
        return _llama_cpp(profile, hardware)
    choice = _tensor_parallel(profile, hardware)
    if isinstance(choice, Refusal) and profile.speculation and profile.speculation.weights_gib:
        # If only the drafter does not fit, it is left out.
        plain = _tensor_parallel(profile.model_copy(update={"speculation": None}), hardware)
        if isinstance(plain, Choice):
            return dataclasses.replace(plain, why=f"{plain.why}; its drafter would not fit: {choice.why}")
    return choice


def name_cards(hardware: Hardware) -> str:
    """The cards in words."""
    names = (f"{gpu.memory_gib:.0f} GiB {gpu.name} ({gpu.compute_capability:g})" for gpu in hardware.gpus)
    return ", ".join(names) or "no GPU"


def _vllm_on_cpu(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """In bf16 where the processor has kernels for it; elsewhere in float32, since a step in bf16 takes three times as
    long there (31 ms for one sequence and 496 for sixteen, against 28 and 169, with AVX2)."""
    dtype = _dtype(profile)
    in_float32 = dtype == "float32" or (dtype in ("", "auto", "bfloat16") and not hardware.cpu.has_bf16)
    if in_float32:
        profile = profile.model_copy(update={"argv": _in_float32(profile.argv)})
    need = _vllm_cpu_gib(profile)
    if hardware.ram_gib < need:
        return Refusal(why=f"it needs {need:g} GiB of memory, this machine has {hardware.ram_gib:.1f}")
    width = "in float32, since this processor has no kernels for bf16" if in_float32 else f"in {dtype or 'bf16'}"
    why = f"vLLM on the CPU {width}, in {need:g} GiB of memory"
    return Choice(profile=profile, max_num_seqs=profile.max_num_seqs or CPU_SEQUENCES, why=why)


def _vllm_cpu_gib(profile: Profile) -> float:
    return profile.ram_gib + (profile.float32_gib if _dtype(profile) == "float32" else 0.0)


def _dtype(profile: Profile) -> str:
    argv = profile.argv
    values = [part.removeprefix("--dtype=") for part in argv if part.startswith("--dtype=")]
    values += [argv[at + 1] for at, part in enumerate(argv[:-1]) if part == "--dtype"]
    return values[-1] if values else ""


def _in_float32(argv: Sequence[str]) -> tuple[str, ...]:
    kept = [
        part
        for at, part in enumerate(argv)
        if not part.startswith("--dtype") and not (at and argv[at - 1] == "--dtype")
    ]
    return ("--dtype", "float32", *kept)


def _llama_cpp(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """On cards where llama.cpp can use them and they hold all of it, else on the processor if it may."""
    choice = _by_layers(profile, hardware)
    return _llama_cpp_on_cpu(profile, hardware) if isinstance(choice, Refusal) and profile.on_cpu else choice


def _llama_cpp_on_cpu(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """One core is left to everything else: llama.cpp's threads wait for each other by spinning, so two threads beside
    one busy process on two cores write half as much as one (51 tok/s against 82, SmolLM2, sixteen requests)."""
    threads = max(1, hardware.cpu.cores - 1)
    batched = threads >= profile.batch_threads
    most = profile.max_num_seqs or CPU_SEQUENCES
    slots = most if batched else min(most, 2)
    while slots > 1 and _cpu_need_gib(profile, slots) > hardware.ram_gib:
        slots -= 1
    need = _cpu_need_gib(profile, slots)
    if need > hardware.ram_gib:
        return Refusal(why=f"it needs {need:.1f} GiB of memory, this machine has {hardware.ram_gib:.1f}")
    demand, tokens = profile.demand, slots * profile.max_model_len
    why = (
        f"llama.cpp on the CPU with {_count(threads, 'thread')} ({_count(hardware.cpu.cores, 'core')}, one for all "
        f"else) and {_count(slots, 'slot')}, in {need:.1f} GiB of memory ({demand.memory.weights_gib:g} weights + "
        f"{demand.sequence_gib(tokens):.1f} KV for {tokens} tokens + {demand.memory.overhead_gib:g})"
    )
    if not batched:
        profile = profile.model_copy(update={"width": 1})
        why += f"; one candidate at a time, since a batch gains nothing on {_count(threads, 'thread')}"
    return Choice(profile=profile, max_num_seqs=slots, threads=threads, context_tokens=tokens, why=why)


def _cpu_need_gib(profile: Profile, slots: int) -> float:
    memory = profile.demand.memory
    return memory.weights_gib + slots * profile.demand.sequence_gib(profile.max_model_len) + memory.overhead_gib


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _by_layers(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """llama.cpp splits by whole layers, each with its KV, so that cards may be unequal; each card needs the overhead,
    and room for one layer more than its share, since shares are rounded to layers."""
    if isinstance(capable := _capable(profile, hardware), Refusal):
        return capable
    if not hardware.offload:
        return Refusal(why=WITHOUT_OFFLOAD)
    memory, demand = profile.demand.memory, profile.demand
    need = memory.weights_gib + demand.sequence_gib(profile.max_model_len)
    largest = sorted(capable, key=lambda gpu: (-gpu.left_gib, gpu.index))
    counts = [profile.gpus] if profile.gpus else list(range(1, profile.max_gpus + 1))
    for count in (count for count in counts if count <= len(largest)):
        cards = tuple(sorted(largest[:count], key=lambda gpu: gpu.index))
        rooms = [max(0.0, _usable_gib(profile, gpu) - memory.overhead_gib) for gpu in cards]
        rounding = count * need / memory.layers if count > 1 else 0.0
        if need + rounding <= sum(rooms) and all(rooms):
            return _share_layers(profile, cards, rooms, sum(rooms) - rounding)
    each = ", ".join(f"{_usable_gib(profile, gpu):.1f}" for gpu in largest)
    words = demand.words(profile.max_model_len)
    return Refusal(
        why=f"it needs {need + memory.overhead_gib:.1f} GiB on GPUs ({words}); usable are {each} GiB "
        f"({profile.gpu_memory_utilization:.0%} of what is free on {name_cards(hardware)})"
    )


def _share_layers(profile: Profile, cards: tuple[Gpu, ...], rooms: Sequence[float], room: float) -> Choice:
    demand, memory = profile.demand, profile.demand.memory
    each = demand.sequence_gib(memory.live_tokens)
    fitting = max(1, min(CPU_SEQUENCES, int((room - memory.weights_gib) / each)))
    slots = min(profile.max_num_seqs or fitting, fitting)
    tokens = max(profile.max_model_len, slots * memory.live_tokens)
    split = tuple(round(share / sum(rooms), 2) for share in rooms) if len(cards) > 1 else ()
    usable = " + ".join(f"{_usable_gib(profile, gpu):.1f}" for gpu in cards)
    why = (
        f"llama.cpp with all layers on {_count(len(cards), 'card')}: {demand.words(profile.max_model_len)} of {usable} "
        f"GiB usable; {room - memory.weights_gib:.1f} GiB for KV hold {_count(slots, 'slot')} and {tokens} tokens"
    )
    if split:
        why += f"; layers split {' : '.join(f'{share:.0%}' for share in split)} by free memory"
    return Choice(
        profile=profile,
        gpus=cards,
        max_num_seqs=slots,
        tensor_split=split,
        gpu_layers=ALL_LAYERS,
        context_tokens=tokens,
        why=why,
    )


def _usable_gib(profile: Profile, gpu: Gpu) -> float:
    """In steps of half a GiB, so that a window more or less does not change the engine's command."""
    return int(gpu.left_gib * profile.gpu_memory_utilization * 2) / 2


def _capable(profile: Profile, hardware: Hardware) -> list[Gpu] | Refusal:
    demand = profile.demand
    if not hardware.gpus:
        whole = f"{demand.need_gib(profile.max_model_len, 1):.1f} GiB on a GPU ({demand.words(profile.max_model_len)})"
        return Refusal(why=f"it needs {whole}; there is no GPU")
    capable = [gpu for gpu in hardware.gpus if gpu.compute_capability >= profile.capability]
    if not capable:
        what = "llama.cpp" if profile.engine == "llama.cpp" else str(profile.weights_type)
        what += " with a KV cache in fp8" if profile.kv_dtype == "fp8" else ""
        requirement = f"a GPU of compute capability {profile.capability:g} or more for {what}"
        return Refusal(why=f"it needs {requirement}, this machine has {name_cards(hardware)}")
    return capable


def _tensor_parallel(profile: Profile, hardware: Hardware) -> Choice | Refusal:
    """Each GPU of a tensor-parallel group has the same share, so the smallest GPU counts."""
    if isinstance(capable := _capable(profile, hardware), Refusal):
        return capable
    demand = profile.demand
    counts = [profile.gpus] if profile.gpus else list(range(1, profile.max_gpus + 1))
    divisible = [count for count in counts if demand.memory.heads % count == 0]
    if not divisible:
        return Refusal(why=f"its {demand.memory.heads} attention heads do not divide by {profile.gpus} cards")
    largest = sorted(capable, key=lambda gpu: (-gpu.memory_gib, gpu.index))
    divisible = [count for count in divisible if count <= len(largest)]
    if not divisible:
        return Refusal(why=f"it needs {profile.gpus} cards, this machine has {name_cards(hardware)}")
    for count in divisible:
        needs = demand.need_gib(profile.max_model_len, count)
        has = largest[count - 1].memory_gib * profile.gpu_memory_utilization
        if needs <= has:
            return _choose_sequences(profile, tuple(sorted(largest[:count], key=lambda gpu: gpu.index)), has)
    each = " or ".join(
        f"{demand.need_gib(profile.max_model_len, count):.1f} GiB on each of {count}" for count in divisible
    )
    needs_words = f"{each} ({demand.words(profile.max_model_len)})"
    return Refusal(why=f"it needs {needs_words}; this machine has {_usable(profile, hardware)}")


def _choose_sequences(profile: Profile, gpus: tuple[Gpu, ...], has: float) -> Choice | Refusal:
    demand, count, live = profile.demand, len(gpus), profile.demand.memory.live_tokens
    room, sequence_gib = demand.room_gib(has, count), demand.sequence_gib(live)
    if profile.max_num_seqs * sequence_gib > room:
        requirement = f"max_num_seqs {profile.max_num_seqs} × {sequence_gib:.2f} GiB ({live} live tokens)"
        needed_gib = profile.max_num_seqs * sequence_gib
        return Refusal(why=f"{requirement} is {needed_gib:.1f} GiB of KV, and {room:.1f} GiB are left for it")
    count_fitting = profile.max_num_seqs or demand.sequences(has, count)
    needs = demand.need_gib(profile.max_model_len, count)
    why = (
        f"{needs:.1f} GiB needed on each of {count}, {has:.1f} GiB usable ({demand.words(profile.max_model_len)}); "
        f"{room:.1f} GiB for KV hold {count_fitting} sequences of {live} tokens at {sequence_gib:.2f} GiB"
    )
    return Choice(profile=profile, gpus=gpus, max_num_seqs=count_fitting, why=why)


def _usable(profile: Profile, hardware: Hardware) -> str:
    shares = ", ".join(f"{gpu.memory_gib * profile.gpu_memory_utilization:.1f}" for gpu in hardware.gpus)
    return f"{shares} GiB usable ({profile.gpu_memory_utilization:.0%} of {name_cards(hardware)})"
