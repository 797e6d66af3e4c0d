// The table CNN, 32 names a block, all layers in one kernel.
//
//   tokens -> for each slice of 16 filters: table in shared memory -> windows -> relu -> max and mean
//          -> its 32 inputs of the hidden layer, added to sums in registers -> relu -> logit
//
// A thread first is one filter of two names, then one hidden unit of sixteen: so neither the pooled features
// (up to 1,024 a name) nor the hidden layer's weights need more room than one slice takes. Windows that see
// padding only have one value, computed once.
//
// Names come packed, name i is text[ends[i - 1] .. ends[i]], and cut to what the tokenizer scores. `shape`
// is: convolutions, hidden units, then width and filters of each. Weights are in the artifact's order: bias
// and table [tap][token][filter] of each convolution; then hidden bias, hidden [input][unit], output, its
// bias.

#define TABLE_THREADS 256
#define NAMES 32
#define SLICE 16
#define STAGED_WIDTH 8
#define ALPHABET 41
#define TEXT_BYTES 64
#define TOKENS (TEXT_BYTES + 2)
#define UNITS 128
// Names of a row, with four more so that a warp's stores meet fewer bank conflicts.
#define POOLED_STRIDE (NAMES + 4)
#define ALL_LANES 0xffffffffu

static __device__ __forceinline__ float relu(float value) { return value > 0.0f ? value : 0.0f; }

// core::model::tokenizer::token
static __device__ __forceinline__ unsigned char token_of(unsigned char byte) {
    if (byte >= 'a' && byte <= 'z') return byte - 'a' + 14;
    if (byte >= 'A' && byte <= 'Z') return byte - 'A' + 14;
    if (byte >= '0' && byte <= '9') return byte - '0' + 4;
    return byte == '.' ? 1 : byte == '-' ? 2 : byte == '_' ? 3 : 40;
}

struct Pooled {
    float maximum, total;
};

// Maximum and sum of one filter over the first `live` windows; the width is known, so the window's tokens
// stay in registers and move on by one.
template <int WIDTH>
static __device__ __forceinline__ Pooled pool(const float *rows, const unsigned char *tokens, int live, float bias) {
    Pooled pooled = {0.0f, 0.0f};
    int window[WIDTH];
#pragma unroll
    for (int tap = 0; tap + 1 < WIDTH; tap++) {
        window[tap + 1] = tokens[tap] * SLICE;
    }
    for (int start = 0; start < live; start++) {
#pragma unroll
        for (int tap = 0; tap + 1 < WIDTH; tap++) {
            window[tap] = window[tap + 1];
        }
        window[WIDTH - 1] = tokens[start + WIDTH - 1] * SLICE;
        float sum = bias;
#pragma unroll
        for (int tap = 0; tap < WIDTH; tap++) {
            sum += rows[tap * ALPHABET * SLICE + window[tap]];
        }
        sum = relu(sum);
        pooled.maximum = pooled.maximum > sum ? pooled.maximum : sum;
        pooled.total += sum;
    }
    return pooled;
}

// The same for any width, from a table in global memory.
static __device__ Pooled pool_wide(const float *rows, int stride, const unsigned char *tokens, int width, int live,
                                   float bias) {
    Pooled pooled = {0.0f, 0.0f};
    for (int start = 0; start < live; start++) {
        float sum = bias;
        for (int tap = 0; tap < width; tap++) {
            sum += rows[(tap * ALPHABET + tokens[start + tap]) * stride];
        }
        sum = relu(sum);
        pooled.maximum = pooled.maximum > sum ? pooled.maximum : sum;
        pooled.total += sum;
    }
    return pooled;
}

extern "C" __global__ void __launch_bounds__(TABLE_THREADS, 2)
table_logits(const unsigned char *__restrict__ text, const unsigned int *__restrict__ ends, unsigned int names,
             const int *__restrict__ shape, const float *__restrict__ weights, float *__restrict__ logits) {
    __shared__ float staged[STAGED_WIDTH * ALPHABET * SLICE];
    __shared__ float4 pooled4[2 * SLICE * POOLED_STRIDE / 4];
    __shared__ unsigned char tokens[NAMES][TOKENS + 2];
    __shared__ int lengths[NAMES];
    __shared__ float partial[TABLE_THREADS / 32][16];

    const int thread = threadIdx.x;
    const int banks = shape[0];
    const int units = shape[1];
    float *pooled = (float *)pooled4;

    const float *hidden_bias = weights;
    int inputs = 0;
    for (int bank = 0; bank < banks; bank++) {
        const int width = shape[2 + 2 * bank];
        const int filters = shape[3 + 2 * bank];
        hidden_bias += filters * (1 + width * ALPHABET);
        inputs += 2 * filters;
    }
    const float *hidden = hidden_bias + units;
    const float *output = hidden + inputs * units;

    // As a filter: one of 16, of two names. As a hidden unit: one of 128, of 16 names.
    const int filter = thread & 15;
    const int unit = thread & (UNITS - 1);
    const int side = thread >> 7;

    for (unsigned int first = blockIdx.x * NAMES; first < names; first += gridDim.x * NAMES) {
        __syncthreads();
        {
            const unsigned int name = first + (thread >> 3);
            unsigned int start = 0;
            int length = 0;
            if (name < names) {
                start = name == 0 ? 0 : ends[name - 1];
                length = (int)(ends[name] - start);
                length = length > TEXT_BYTES ? TEXT_BYTES : length;
            }
            for (int i = thread & 7; i < TOKENS + 2; i += 8) {
                tokens[thread >> 3][i] = i >= 1 && i <= length ? token_of(text[start + i - 1]) : 0;
            }
            if ((thread & 7) == 0) {
                lengths[thread >> 3] = length;
            }
        }

        float sums[16];
#pragma unroll
        for (int i = 0; i < 16; i++) {
            sums[i] = unit < units ? hidden_bias[unit] : 0.0f;
        }

        const float *bias = weights;
        int input = 0;
        for (int bank = 0; bank < banks; bank++) {
            const int width = shape[2 + 2 * bank];
            const int filters = shape[3 + 2 * bank];
            const int windows = TOKENS - width + 1;
            const float *table = bias + filters;
            for (int slice = 0; slice < filters; slice += SLICE) {
                __syncthreads();
                if (width <= STAGED_WIDTH) {
                    for (int i = thread; i < width * ALPHABET * SLICE; i += TABLE_THREADS) {
                        staged[i] = table[(i >> 4) * filters + slice + (i & 15)];
                    }
                }
                __syncthreads();

                const float own_bias = bias[slice + filter];
                const float *rows = staged + filter;
                float padding = own_bias;
                for (int tap = 0; tap < width; tap++) {
                    padding += table[tap * ALPHABET * filters + slice + filter];
                }
                padding = relu(padding);
                for (int name = thread >> 4; name < NAMES; name += TABLE_THREADS / 16) {
                    const unsigned char *own = tokens[name];
                    const int live = windows < lengths[name] + 1 ? windows : lengths[name] + 1;
                    Pooled value;
                    switch (width) {
                        case 1: value = pool<1>(rows, own, live, own_bias); break;
                        case 2: value = pool<2>(rows, own, live, own_bias); break;
                        case 3: value = pool<3>(rows, own, live, own_bias); break;
                        case 4: value = pool<4>(rows, own, live, own_bias); break;
                        case 5: value = pool<5>(rows, own, live, own_bias); break;
                        case 6: value = pool<6>(rows, own, live, own_bias); break;
                        case 7: value = pool<7>(rows, own, live, own_bias); break;
                        case 8: value = pool<8>(rows, own, live, own_bias); break;
                        default: value = pool_wide(table + slice + filter, filters, own, width, live, own_bias);
                    }
                    if (live < windows) {
                        value.maximum = value.maximum > padding ? value.maximum : padding;
                        value.total += padding * (float)(windows - live);
                    }
                    pooled[filter * POOLED_STRIDE + name] = value.maximum;
                    pooled[(SLICE + filter) * POOLED_STRIDE + name] = value.total / (float)windows;
                }
                __syncthreads();

                if (unit < units) {
                    for (int i = 0; i < 2 * SLICE; i++) {
                        const int from = input + slice + (i < SLICE ? i : filters + i - SLICE);
                        const float weight = hidden[from * units + unit];
                        const float4 *values = pooled4 + (i * POOLED_STRIDE + side * 16) / 4;
#pragma unroll
                        for (int quarter = 0; quarter < 4; quarter++) {
                            const float4 four = values[quarter];
                            sums[quarter * 4 + 0] += four.x * weight;
                            sums[quarter * 4 + 1] += four.y * weight;
                            sums[quarter * 4 + 2] += four.z * weight;
                            sums[quarter * 4 + 3] += four.w * weight;
                        }
                    }
                }
            }
            input += 2 * filters;
            bias = table + width * ALPHABET * filters;
        }

        const float own_output = unit < units ? output[unit] : 0.0f;
#pragma unroll
        for (int i = 0; i < 16; i++) {
            float value = relu(sums[i]) * own_output;
            value += __shfl_xor_sync(ALL_LANES, value, 16);
            value += __shfl_xor_sync(ALL_LANES, value, 8);
            value += __shfl_xor_sync(ALL_LANES, value, 4);
            value += __shfl_xor_sync(ALL_LANES, value, 2);
            value += __shfl_xor_sync(ALL_LANES, value, 1);
            if ((thread & 31) == 0) {
                partial[thread >> 5][i] = value;
            }
        }
        __syncthreads();
        if (thread < NAMES && first + thread < names) {
            float logit = output[units];
            for (int warp = 0; warp < 4; warp++) {
                logit += partial[(thread >> 4) * 4 + warp][thread & 15];
            }
            logits[first + thread] = logit;
        }
    }
}
