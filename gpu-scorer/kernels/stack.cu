// A stack's bags, its suffix' word and the sum of all members, one name a warp.
//
//   lists of features -> rows of 16 bytes, summed in integers -> x scale / sqrt(features) -> hidden units ──┐
//   crossed features  -> bytes, summed in integers -> bound x tanh(. / bound) ──────────────────────────────┼─> logit
//   logits of the members that were run before ─────────────────────────────────────────────────────────────┘
//
// Four lanes read the four quarters of a row, so that a warp sums eight rows at a time; sums of integers are exact,
// whatever the order. Then a lane is one or two hidden units.
//
// Features come in lists: list l of name i is features[list_ends[i x lists + l - 1] .. list_ends[i x lists + l]]. List
// 0 are the crossed features, which are as many as those of the reading that the suffix' word is of; the others are
// what bags read. Each feature is below 2^FEATURE_BITS; a table of fewer rows leaves the low bits out.
//
// `shape` is: members run before, lists, bits of the crossed features' table, bags; then of each bag its list, bits of
// its table, hidden units. `weights` are: bias, the suffix' bound, what a step of a crossed row is worth, the suffix
// terms, the weight of each member that was run before; then of each bag scale, hidden [dimension][unit], hidden bias,
// output (times the bag's weight). `rows` are the bags' in their order, then the crossed ones. `members` holds one
// logit a name for each member that was run before.

#define STACK_THREADS 256
#define STACK_WARPS (STACK_THREADS / 32)
#define ALL_LANES 0xffffffffu
#define DIMENSIONS 16
#define QUARTERS (DIMENSIONS / 4)
#define FEATURE_BITS 20
#define SUFFIX_TERMS 4096

// What a byte of a row stands for, of bags and of crossed features alike.
static __device__ __forceinline__ int worth(signed char byte) { return byte; }

static __device__ __forceinline__ float relu(float value) { return value > 0.0f ? value : 0.0f; }

// Over lanes `from` apart and farther.
template <typename T> static __device__ __forceinline__ T sum_lanes(T value, int from) {
    for (int mask = from; mask < 32; mask *= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, mask);
    }
    return value;
}

extern "C" __global__ void __launch_bounds__(STACK_THREADS)
stack_logits(const unsigned int *__restrict__ slots, const unsigned int *__restrict__ list_ends,
             const unsigned int *__restrict__ features, unsigned int names, const int *__restrict__ shape,
             const float *__restrict__ weights, const signed char *__restrict__ rows,
             const float *__restrict__ members, float *__restrict__ logits) {
    __shared__ float4 shared_values[STACK_WARPS][QUARTERS];

    const unsigned int lane = threadIdx.x & 31;
    const unsigned int warp = threadIdx.x >> 5;
    const unsigned int quarter = lane % QUARTERS;
    const unsigned int before = (unsigned int)shape[0];
    const unsigned int lists = (unsigned int)shape[1];
    const int crossed_bits = shape[2];
    const int bags = shape[3];
    float4 *values = shared_values[warp];

    for (unsigned int name = blockIdx.x * STACK_WARPS + warp; name < names; name += gridDim.x * STACK_WARPS) {
        const unsigned int first = name * lists;
        // This lane's part of the logit.
        float part = 0.0f;
        const float *own = weights + 3 + SUFFIX_TERMS + before;
        const signed char *own_rows = rows;
        for (int bag = 0; bag < bags; bag++) {
            const unsigned int list = first + (unsigned int)shape[4 + 3 * bag];
            const int bits = shape[5 + 3 * bag];
            const int units = shape[6 + 3 * bag];
            const unsigned int start = list_ends[list - 1];
            const unsigned int end = list_ends[list];
            const int *quarters = (const int *)own_rows;
            int sums[4] = {0, 0, 0, 0};
#pragma unroll 4
            for (unsigned int at = start + lane / QUARTERS; at < end; at += 32 / QUARTERS) {
                const int word = quarters[(features[at] >> (FEATURE_BITS - bits)) * QUARTERS + quarter];
#pragma unroll
                for (int byte = 0; byte < 4; byte++) {
                    sums[byte] += worth((signed char)(word >> (8 * byte)));
                }
            }
#pragma unroll
            for (int byte = 0; byte < 4; byte++) {
                sums[byte] = sum_lanes(sums[byte], QUARTERS);
            }
            if (lane < QUARTERS) {
                const float share = 1.0f / sqrtf((float)(end > start ? end - start : 1));
                const float *scale = own + quarter * 4;
                values[quarter] = {(float)sums[0] * scale[0] * share, (float)sums[1] * scale[1] * share,
                                   (float)sums[2] * scale[2] * share, (float)sums[3] * scale[3] * share};
            }
            __syncwarp(ALL_LANES);
            const float *hidden = own + DIMENSIONS;
            const float *biases = hidden + DIMENSIONS * units;
            const float *output = biases + units;
            for (int unit = (int)lane; unit < units; unit += 32) {
                float sum = biases[unit];
#pragma unroll
                for (int i = 0; i < QUARTERS; i++) {
                    const float4 value = values[i];
                    const float *column = hidden + i * 4 * units + unit;
                    sum += value.x * column[0];
                    sum += value.y * column[units];
                    sum += value.z * column[2 * units];
                    sum += value.w * column[3 * units];
                }
                part += relu(sum) * output[unit];
            }
            // The next bag's values take the place of these.
            __syncwarp(ALL_LANES);
            own = output + units;
            own_rows += (unsigned int)DIMENSIONS << bits;
        }

        const unsigned int start = first == 0 ? 0 : list_ends[first - 1];
        const unsigned int end = list_ends[first];
        int crossed = 0;
        for (unsigned int at = start + lane; at < end; at += 32) {
            crossed += worth(own_rows[features[at] >> (FEATURE_BITS - crossed_bits)]);
        }
        crossed = sum_lanes(crossed, 1);
        for (unsigned int member = lane; member < before; member += 32) {
            part += members[member * names + name] * weights[3 + SUFFIX_TERMS + member];
        }
        part = sum_lanes(part, 1);
        if (lane == 0) {
            const float bound = weights[1];
            const float root = sqrtf((float)(end > start ? end - start : 1));
            const float unbound = weights[3 + slots[name]] + (float)crossed * weights[2] / root;
            logits[name] = weights[0] + bound * tanhf(unbound / bound) + part;
        }
    }
}
