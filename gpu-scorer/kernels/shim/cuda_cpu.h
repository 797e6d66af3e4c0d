// Runs a CUDA kernel's source on the CPU: a thread is a ucontext fiber, a block runs its fibers in rounds.
//
// A fiber runs until it meets a barrier (__syncthreads, __syncwarp, a shuffle). The order of a round is
// shuffled from a seed, so that a missing barrier shows as a result that depends on the seed.
// DNSVET_NO_SYNCWARP and DNSVET_NO_SYNCTHREADS take barriers out, to show that it does.
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct float4 {
    float x, y, z, w;
};

namespace cuda_cpu {

struct Index {
    unsigned int x, y, z;
};
enum Wait { Ready, Block, Warp, Done };

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    Index thread;
    Wait wait;
    uint32_t slot;
};

static std::vector<Fiber> fibers;
static Fiber *current;
static ucontext_t scheduler;
static Index block_index, block_size, grid_size;
static void (*body)();

static inline void pause(Wait wait) {
    current->wait = wait;
    swapcontext(&current->context, &scheduler);
}

static void enter() {
    body();
    current->wait = Done;
    swapcontext(&current->context, &scheduler);
}

static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Sets those fibers free that have all met the same barrier; false if none is left to run.
static bool release() {
    size_t ready = 0, done = 0, at_block = 0;
    for (size_t warp = 0; warp < fibers.size(); warp += 32) {
        size_t lanes = fibers.size() - warp < 32 ? fibers.size() - warp : 32, at_warp = 0, over = 0;
        for (size_t i = warp; i < warp + lanes; i++) {
            at_warp += fibers[i].wait == Warp;
            over += fibers[i].wait == Done;
        }
        if (at_warp > 0 && at_warp == lanes) {
            for (size_t i = warp; i < warp + lanes; i++) fibers[i].wait = Ready;
        } else if (at_warp > 0 && over > 0) {
            fprintf(stderr, "a lane ended while others of its warp wait\n");
            exit(3);
        }
        for (size_t i = warp; i < warp + lanes; i++) {
            ready += fibers[i].wait == Ready;
            done += fibers[i].wait == Done;
            at_block += fibers[i].wait == Block;
        }
    }
    if (ready == 0 && at_block == fibers.size()) {
        for (Fiber &fiber : fibers) fiber.wait = Ready;
        return true;
    }
    if (ready == 0 && done < fibers.size()) {
        fprintf(stderr, "threads wait at different barriers\n");
        exit(3);
    }
    return ready > 0;
}

// Runs `kernel` for each thread of each block, in an order drawn from `seed` (0: ascending).
static void launch(unsigned int blocks, unsigned int threads, uint64_t seed, void (*kernel)()) {
    body = kernel;
    grid_size = {blocks, 1, 1};
    block_size = {threads, 1, 1};
    std::vector<size_t> order(threads);
    for (size_t i = 0; i < threads; i++) order[i] = i;
    for (unsigned int block = 0; block < blocks; block++) {
        block_index = {block, 0, 0};
        fibers.resize(threads);
        for (unsigned int i = 0; i < threads; i++) {
            Fiber &fiber = fibers[i];
            fiber.stack.resize(64 << 10);
            fiber.thread = {i, 0, 0};
            fiber.wait = Ready;
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = fiber.stack.data();
            fiber.context.uc_stack.ss_size = fiber.stack.size();
            fiber.context.uc_link = &scheduler;
            makecontext(&fiber.context, enter, 0);
        }
        do {
            for (size_t i = threads - 1; seed != 0 && i > 0; i--) {
                size_t other = next_random(&seed) % (i + 1), held = order[i];
                order[i] = order[other];
                order[other] = held;
            }
            for (size_t i : order) {
                if (fibers[i].wait != Ready) continue;
                current = &fibers[i];
                swapcontext(&scheduler, &current->context);
            }
        } while (release());
    }
}

template <typename T> static inline T shuffle(T value, unsigned int lane) {
    static_assert(sizeof(T) == sizeof(uint32_t), "a shuffle moves 32 bits");
    memcpy(&current->slot, &value, sizeof value);
    pause(Warp);
    const Fiber *first = &fibers[current->thread.x & ~31u];
    memcpy(&value, &first[lane & 31].slot, sizeof value);
    pause(Warp);
    return value;
}

}  // namespace cuda_cpu

#define threadIdx (cuda_cpu::current->thread)
#define blockIdx (cuda_cpu::block_index)
#define blockDim (cuda_cpu::block_size)
#define gridDim (cuda_cpu::grid_size)

static inline void __syncthreads() {
#ifndef DNSVET_NO_SYNCTHREADS
    cuda_cpu::pause(cuda_cpu::Block);
#endif
}
static inline void __syncwarp(unsigned int) {
#ifndef DNSVET_NO_SYNCWARP
    cuda_cpu::pause(cuda_cpu::Warp);
#endif
}
template <typename T> static inline T __shfl_sync(unsigned int, T value, unsigned int lane) {
    return cuda_cpu::shuffle(value, lane);
}
template <typename T> static inline T __shfl_xor_sync(unsigned int, T value, unsigned int mask) {
    return cuda_cpu::shuffle(value, (threadIdx.x & 31) ^ mask);
}
