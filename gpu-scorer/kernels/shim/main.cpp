// Scores names with a kernel on the CPU: kernels/table.cu with DNSVET_TABLE, else kernels/seed.cu.
//
// In: seed of the threads' order (u64); counts of names, of the shape's numbers, of weights and of text bytes
// (u32 each); ends (u32), shape (i32), weights (f32), text. Out: one logit (f32) a name. All little-endian.
#include "cuda_cpu.h"
// The kernel comes second: it needs what the shim defines.
#ifdef DNSVET_TABLE
#include "../table.cu"
#else
#include "../seed.cu"
#endif

template <typename T>
static std::vector<T> read_many(size_t count) {
    std::vector<T> values(count);
    if (fread(values.data(), sizeof(T), count, stdin) != count) {
        fprintf(stderr, "input ends early\n");
        exit(2);
    }
    return values;
}

static std::vector<unsigned char> text;
static std::vector<unsigned int> ends;
static std::vector<int> shape;
static std::vector<float> weights, logits;

static void kernel() {
    unsigned int names = (unsigned int)ends.size();
#ifdef DNSVET_TABLE
    table_logits(text.data(), ends.data(), names, shape.data(), weights.data(), logits.data());
#else
    seed_logits(text.data(), ends.data(), names, weights.data(), logits.data());
#endif
}

int main() {
    uint64_t seed = read_many<uint64_t>(1)[0];
    std::vector<uint32_t> counts = read_many<uint32_t>(4);
    ends = read_many<unsigned int>(counts[0]);
    shape = read_many<int>(counts[1]);
    weights = read_many<float>(counts[2]);
    text = read_many<unsigned char>(counts[3]);
    logits.resize(counts[0]);
    cuda_cpu::launch(3, 256, seed, kernel);
    fwrite(logits.data(), sizeof(float), logits.size(), stdout);
    return 0;
}
