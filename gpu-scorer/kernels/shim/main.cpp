// Runs the kernels of a model on the CPU, one after the other as the driver does.
//
// In: seed of the threads' order (u64); counts of names, lists a name, features, text bytes and passes (u32 each); ends,
// slots, ends of lists, features (u32), text; then of each pass: kernel (0 seed, 1 table, 2 deep, 3 stack), counts of the
// shape's numbers, of weights and of rows (u32 each), shape (i32), weights (f32), rows (i8). Out: one logit (f32) a
// name, those of the last pass. All little-endian.
#include "cuda_cpu.h"

// The kernels come second: they need what the shim defines. Each has helpers of its own.
namespace seed {
#include "../seed.cu"
}
namespace table {
#include "../table.cu"
}
namespace deep {
#include "../deep.cu"
}
namespace stack {
#include "../stack.cu"
}

template <typename T>
static std::vector<T> read_many(size_t count) {
    std::vector<T> values(count);
    if (fread(values.data(), sizeof(T), count, stdin) != count) {
        fprintf(stderr, "input ends early\n");
        exit(2);
    }
    return values;
}

static unsigned int names;
static std::vector<unsigned char> text;
static std::vector<unsigned int> ends, slots, list_ends, features;
static std::vector<int> shape;
static std::vector<float> weights, members, logits;
static std::vector<signed char> rows;

static void run_seed() { seed::seed_logits(text.data(), ends.data(), names, weights.data(), logits.data()); }
static void run_table() {
    table::table_logits(text.data(), ends.data(), names, shape.data(), weights.data(), logits.data());
}
static void run_deep() {
    deep::deep_logits(text.data(), ends.data(), names, shape.data(), weights.data(), logits.data());
}
static void run_stack() {
    stack::stack_logits(slots.data(), list_ends.data(), features.data(), names, shape.data(), weights.data(),
                        rows.data(), members.data(), logits.data());
}

int main() {
    uint64_t order = read_many<uint64_t>(1)[0];
    std::vector<uint32_t> counts = read_many<uint32_t>(5);
    names = counts[0];
    const size_t lists = counts[1];
    ends = read_many<unsigned int>(names);
    slots = read_many<unsigned int>(lists == 0 ? 0 : names);
    list_ends = read_many<unsigned int>(names * lists);
    features = read_many<unsigned int>(counts[2]);
    text = read_many<unsigned char>(counts[3]);
    for (uint32_t pass = 0; pass < counts[4]; pass++) {
        members.insert(members.end(), logits.begin(), logits.end());
        logits.assign(names, 0.0f);
        std::vector<uint32_t> sizes = read_many<uint32_t>(4);
        shape = read_many<int>(sizes[1]);
        weights = read_many<float>(sizes[2]);
        rows = read_many<signed char>(sizes[3]);
        void (*const kernels[])() = {run_seed, run_table, run_deep, run_stack};
        cuda_cpu::launch(3, 256, order, kernels[sizes[0]]);
    }
    fwrite(logits.data(), sizeof(float), logits.size(), stdout);
    return 0;
}
