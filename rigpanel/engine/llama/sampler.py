# SPDX-License-Identifier: MIT
"""llama.cpp's samplers in its own order, with a grammar that costs next to nothing."""

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
from llama_cpp.llama_grammar import json_schema_to_gbnf

from rigpanel.engine.llama.vocabulary import Vocabulary
from rigpanel.engine.messages import EngineError, Sampling
from rigpanel.engine.sampling import DEEPEST_GRAMMAR, LONGEST_GRAMMAR, check_grammar, nesting

RANDOM_SEED = 0xFFFFFFFF
"""LLAMA_DEFAULT_SEED: llama.cpp draws one."""
MIROSTAT_M = 100
"""Tokens Mirostat 1 estimates from; llama.cpp's own figure."""
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""As llama_token_data."""


class Sampler:
    """Chooses tokens for one reply; freed with `close`. Raises EngineError for a bad grammar."""

    def __init__(
        self, vocabulary: Vocabulary, n_ctx: int, sampling: Sampling, prompt: Sequence[int]
    ) -> None:
        self._vocabulary = vocabulary
        self._n_ctx = n_ctx
        self._sampling = sampling
        self._chain: Any = None
        self._grammar: Any = None
        text = _grammar_of(sampling)
        if text:
            self._grammar = _open_grammar(vocabulary, text)
            self._candidates = np.empty(vocabulary.n_tokens, _CANDIDATE)
            self._ids = np.arange(vocabulary.n_tokens, dtype=np.int32)
        try:
            self._open_chain(prompt)
        except BaseException:
            self.close()
            raise

    def _open_chain(self, prompt: Sequence[int]) -> None:
        self._chain = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        for link in self._links():
            llama_cpp.llama_sampler_chain_add(self._chain, link)
        look_back = self._look_back()
        for token in prompt[-look_back:] if look_back else ():
            llama_cpp.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        """Free llama.cpp's side of it."""
        for sampler in (self._chain, self._grammar):
            if sampler is not None:
                llama_cpp.llama_sampler_free(sampler)
        self._chain = self._grammar = None

    def sample(self, context: Any, index: int, *, free: bool = False) -> int:
        """Return the next token, taken note of; from the output of the batch's token `index`.

        A `free` one is none of the grammar's business.
        """
        if self._grammar is None or free:
            return int(llama_cpp.llama_sampler_sample(self._chain, context, index))
        token = self._choose(context, index)
        if not self._allows(token):
            token = self._choose(context, index, within_grammar=True)
        llama_cpp.llama_sampler_accept(self._grammar, token)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def _choose(self, context: Any, index: int, *, within_grammar: bool = False) -> int:
        """Sample without taking note, from all tokens or from those the grammar allows."""
        candidates = self._candidates
        logits = llama_cpp.llama_get_logits_ith(context, index)
        candidates["id"] = self._ids
        candidates["logit"] = np.ctypeslib.as_array(logits, (len(candidates),))
        listed = _as_list(candidates)
        if within_grammar:
            llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(listed))
            if not (candidates["logit"] > -math.inf).any():
                raise EngineError(
                    "No token of this model fits what the grammar allows next. Mend the grammar, "
                    "or leave it out."
                )
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(listed))
        token = int(listed.data[listed.selected].id)  # The chain has sorted and shortened it.
        if within_grammar and not self._allows(token):
            raise EngineError(
                "The logit bias forbids all that the grammar allows next. Take one of them out."
            )
        return token

    def _allows(self, token: int) -> bool:
        one = np.array([(token, 1.0, 0.0)], _CANDIDATE)
        listed = _as_list(one)
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(listed))
        return bool(one["logit"][0] > -math.inf)

    def _links(self) -> list[Any]:
        """Return the chain's samplers in llama.cpp's order; those that are off are left out."""
        chosen, n_vocab = self._sampling, self._vocabulary.n_tokens
        links = [*self._biases(), *self._penalties()]
        if chosen.temperature <= 0:
            return [*links, llama_cpp.llama_sampler_init_greedy()]
        seed = RANDOM_SEED if chosen.seed is None else chosen.seed
        warm = llama_cpp.llama_sampler_init_temp(chosen.temperature)
        tau, eta = chosen.mirostat_tau, chosen.mirostat_eta
        if chosen.mirostat == 1:
            last = llama_cpp.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, MIROSTAT_M)
            return [*links, warm, last]
        if chosen.mirostat == 2:
            return [*links, warm, llama_cpp.llama_sampler_init_mirostat_v2(seed, tau, eta)]
        if chosen.top_k > 0:
            links.append(llama_cpp.llama_sampler_init_top_k(chosen.top_k))
        if chosen.typical_p < 1:
            links.append(llama_cpp.llama_sampler_init_typical(chosen.typical_p, 1))
        if chosen.top_p < 1:
            links.append(llama_cpp.llama_sampler_init_top_p(chosen.top_p, 1))
        if chosen.min_p > 0:
            links.append(llama_cpp.llama_sampler_init_min_p(chosen.min_p, 1))
        if chosen.xtc_probability > 0:
            links.append(
                llama_cpp.llama_sampler_init_xtc(
                    chosen.xtc_probability, chosen.xtc_threshold, 1, seed
                )
            )
        return [*links, warm, llama_cpp.llama_sampler_init_dist(seed)]

    def _biases(self) -> list[Any]:
        vocabulary, chosen = self._vocabulary, self._sampling
        added: dict[int, float] = {}
        for bias in chosen.logit_bias:
            for token in vocabulary.tokenize(bias.text, whole=False):
                added[token] = added.get(token, 0.0) + bias.bias
        if chosen.ignore_eos:
            added |= dict.fromkeys(vocabulary.ends(), -math.inf)
        if not added:
            return []
        biases = (llama_cpp.llama_logit_bias * len(added))()
        for slot, (token, value) in zip(biases, added.items(), strict=True):
            slot.token, slot.bias = token, value
        return [llama_cpp.llama_sampler_init_logit_bias(vocabulary.n_tokens, len(added), biases)]

    def _penalties(self) -> list[Any]:
        vocabulary, chosen = self._vocabulary, self._sampling
        links = []
        if self._repeats():
            links.append(
                llama_cpp.llama_sampler_init_penalties(
                    vocabulary.n_tokens,
                    self._resolved(chosen.repeat_last_n),
                    chosen.repeat_penalty,
                    chosen.frequency_penalty,
                    chosen.presence_penalty,
                )
            )
        if chosen.dry_multiplier > 0:
            breakers = [text.encode() for text in chosen.dry_sequence_breakers]
            links.append(
                llama_cpp.llama_sampler_init_dry(
                    vocabulary.handle,
                    chosen.dry_multiplier,
                    chosen.dry_base,
                    chosen.dry_allowed_length,
                    self._resolved(chosen.dry_penalty_last_n),
                    (ctypes.c_char_p * len(breakers))(*breakers),
                    len(breakers),
                )
            )
        return links

    def _repeats(self) -> bool:
        chosen = self._sampling
        off = (chosen.repeat_penalty, chosen.presence_penalty, chosen.frequency_penalty)
        return off != (1.0, 0.0, 0.0)

    def _look_back(self) -> int:
        """Return how many of the prompt's last tokens the penalties want to know."""
        chosen = self._sampling
        repeats = self._resolved(chosen.repeat_last_n) if self._repeats() else 0
        dry = self._resolved(chosen.dry_penalty_last_n) if chosen.dry_multiplier > 0 else 0
        return max(repeats, dry)

    def _resolved(self, last_n: int) -> int:
        return self._n_ctx if last_n < 0 else min(last_n, self._n_ctx)


def _as_list(candidates: Any) -> Any:
    pointer = candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
    return llama_cpp.llama_token_data_array(pointer, len(candidates), -1, False)


def _grammar_of(sampling: Sampling) -> str:
    if not sampling.json_schema:
        return sampling.grammar
    try:
        grammar: str = json_schema_to_gbnf(sampling.json_schema)
    except Exception as error:  # whatever the converter stumbles on is the schema's fault
        raise EngineError(
            f"The JSON schema cannot be turned into a grammar ({error or type(error).__name__}). "
            "See whether it is JSON, and a schema."
        ) from error
    if len(grammar) > LONGEST_GRAMMAR or nesting(grammar) > DEEPEST_GRAMMAR:
        raise EngineError("The JSON schema makes too large a grammar. Take a simpler one.")
    check_grammar(grammar)
    return grammar


def _open_grammar(vocabulary: Vocabulary, text: str) -> Any:
    grammar = llama_cpp.llama_sampler_init_grammar(vocabulary.handle, text.encode(), b"root")
    if not grammar:
        raise EngineError(
            "llama.cpp cannot read the grammar. It must be GBNF, have a rule named root, name no "
            "rule that it does not have, and no rule may begin with itself."
        )
    return grammar
