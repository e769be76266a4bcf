/* SPDX-License-Identifier: MIT
 * The least that llama.cpp needs to write a reply: what the engine is measured against.
 * bare_loop MODEL THREADS N_CTX N_BATCH MMAP, then a line "N_PROMPT N_GEN" each for one reply; answers
 * "PREFILL_S DECODE_S". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "llama.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void be_quiet(enum ggml_log_level level, const char *text, void *data) {
    (void)level, (void)text, (void)data;
}

static struct llama_sampler *make_chain(const struct llama_vocab *vocab) {
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    int n_vocab = llama_vocab_n_tokens(vocab), n_ends = 0;
    llama_logit_bias *ends = calloc(n_vocab, sizeof *ends);
    for (llama_token token = 0; token < n_vocab; token++)
        if (llama_vocab_is_eog(vocab, token)) ends[n_ends++] = (llama_logit_bias){token, -INFINITY};
    llama_sampler_chain_add(chain, llama_sampler_init_logit_bias(n_vocab, n_ends, ends));
    free(ends);
    llama_sampler_chain_add(chain, llama_sampler_init_top_k(40));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p(0.95f, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_min_p(0.05f, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(0.8f));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(1));
    return chain;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    llama_log_set(be_quiet, NULL);
    llama_backend_init();
    struct llama_model_params how = llama_model_default_params();
    how.load_mode = atoi(argv[5]);
    struct llama_model *model = llama_model_load_from_file(argv[1], how);
    struct llama_context_params params = llama_context_default_params();
    params.n_threads = params.n_threads_batch = atoi(argv[2]);
    params.n_ctx = atoi(argv[3]);
    params.n_batch = params.n_ubatch = atoi(argv[4]);
    params.n_outputs_max = 1;
    params.swa_full = false;
    params.no_perf = true;
    struct llama_context *context = model ? llama_init_from_model(model, params) : NULL;
    if (!context) return 1;
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    llama_token *prompt = calloc(params.n_ctx, sizeof *prompt);
    int n_prompt, n_gen;
    puts("ready");
    fflush(stdout);
    while (scanf("%d %d", &n_prompt, &n_gen) == 2) {
        struct llama_sampler *chain = make_chain(vocab);
        llama_memory_clear(llama_get_memory(context), true);
        for (int i = 0; i < n_prompt; i++) prompt[i] = 300 + i % 200;
        double begun = now();
        for (int at = 0; at < n_prompt; at += params.n_batch) {
            int rest = n_prompt - at, count = rest < (int)params.n_batch ? rest : (int)params.n_batch;
            if (llama_decode(context, llama_batch_get_one(prompt + at, count))) return 1;
        }
        llama_synchronize(context);
        double read = now();
        for (int i = 0; i < n_gen; i++) {
            llama_token token = llama_sampler_sample(chain, context, -1);
            if (i + 1 < n_gen && llama_decode(context, llama_batch_get_one(&token, 1))) return 1;
        }
        printf("%.6f %.6f\n", read - begun, now() - read);
        fflush(stdout);
        llama_sampler_free(chain);
    }
    return 0;
}
