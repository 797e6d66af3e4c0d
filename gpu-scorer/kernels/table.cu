// The table CNN, 64 names a block, all layers in one kernel.
//
//   tokens -> for each slice of 16 filters: table in shared memory -> windows -> relu -> max and mean
//          -> its 32 inputs of the hidden layer, added to sums in registers -> relu -> logit
//
// A thread first is four filters of one name, then four (or eight) hidden units of four names: so neither the
// pooled features (up to 1,024 a name) nor the hidden layer's weights need more room than one slice takes, and
// both are read from shared memory sixteen bytes at a time, which is what bounds the kernel. A block's names are
// sorted by length, so that the names of a warp end together. Windows that see padding only have one value,
// computed once.
//
// Names come packed, name i is text[ends[i - 1] .. ends[i]], and cut to what the tokenizer scores. `shape`
// is: convolutions, hidden units, then width and filters of each. Weights are in the artifact's order: bias
// and table [tap][token][filter] of each convolution; then hidden bias, hidden [input][unit], output, its
// bias. Filters and units are multiples of 16, so that all but the last is aligned to 16 bytes.

#define TABLE_THREADS 256
#define NAMES 64
#define SLICE 16
#define QUADS (SLICE / 4)
#define STAGED_WIDTH 8
#define ALPHABET 41
#define TEXT_BYTES 64
#define TOKENS (TEXT_BYTES + 2)
// Tokens of a row: an odd number of words, so that the rows of a warp's names start at different banks.
#define TOKEN_ROW (TOKENS + 2)
#define UNITS 128
// Names of a row, with four more so that a warp's stores meet fewer bank conflicts.
#define POOLED_STRIDE (NAMES + 4)
// Units that one thread sums in one of its two shares.
#define TILE 4

static __device__ __forceinline__ float relu(float value) { return value > 0.0f ? value : 0.0f; }
static __device__ __forceinline__ float larger(float a, float b) { return a > b ? a : b; }

static __device__ __forceinline__ void add(float4 *sum, float4 value) {
    sum->x += value.x;
    sum->y += value.y;
    sum->z += value.z;
    sum->w += value.w;
}

static __device__ __forceinline__ void add_scaled(float4 *sum, float4 values, float weight) {
    sum->x += values.x * weight;
    sum->y += values.y * weight;
    sum->z += values.z * weight;
    sum->w += values.w * weight;
}

// core::model::tokenizer::token
static __device__ __forceinline__ unsigned char token_of(unsigned char byte) {
    if (byte >= 'a' && byte <= 'z') return byte - 'a' + 14;
    if (byte >= 'A' && byte <= 'Z') return byte - 'A' + 14;
    if (byte >= '0' && byte <= '9') return byte - '0' + 4;
    return byte == '.' ? 1 : byte == '-' ? 2 : byte == '_' ? 3 : 40;
}

// Of four filters over windows, relu applied.
struct Pooled {
    float4 maximum, total;
};

static __device__ __forceinline__ void take(Pooled *pooled, float4 sum, float times) {
    sum.x = relu(sum.x);
    sum.y = relu(sum.y);
    sum.z = relu(sum.z);
    sum.w = relu(sum.w);
    pooled->maximum.x = larger(pooled->maximum.x, sum.x);
    pooled->maximum.y = larger(pooled->maximum.y, sum.y);
    pooled->maximum.z = larger(pooled->maximum.z, sum.z);
    pooled->maximum.w = larger(pooled->maximum.w, sum.w);
    add_scaled(&pooled->total, sum, times);
}

// Four filters over the first `live` windows, of which there is one at least. The width is known, so the
// window's tokens stay in registers and move on by one.
template <int WIDTH>
static __device__ __forceinline__ Pooled pool(const float4 *rows, const unsigned char *tokens, int live, float4 bias) {
    Pooled pooled = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
    int window[WIDTH];
#pragma unroll
    for (int tap = 0; tap + 1 < WIDTH; tap++) {
        window[tap] = tokens[tap] * QUADS;
    }
    for (int start = 0; start < live; start++) {
        window[WIDTH - 1] = tokens[start + WIDTH - 1] * QUADS;
        float4 sum = bias;
#pragma unroll
        for (int tap = 0; tap < WIDTH; tap++) {
            add(&sum, rows[tap * ALPHABET * QUADS + window[tap]]);
        }
        take(&pooled, sum, 1.0f);
#pragma unroll
        for (int tap = 0; tap + 1 < WIDTH; tap++) {
            window[tap] = window[tap + 1];
        }
    }
    return pooled;
}

// The same for any width, from a table in global memory whose rows lie `stride` apart.
static __device__ Pooled pool_wide(const float4 *rows, int stride, const unsigned char *tokens, int width, int live,
                                   float4 bias) {
    Pooled pooled = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
    for (int start = 0; start < live; start++) {
        float4 sum = bias;
        for (int tap = 0; tap < width; tap++) {
            add(&sum, rows[(tap * ALPHABET + tokens[start + tap]) * stride]);
        }
        take(&pooled, sum, 1.0f);
    }
    return pooled;
}

extern "C" __global__ void __launch_bounds__(TABLE_THREADS, 2)
table_logits(const unsigned char *__restrict__ text, const unsigned int *__restrict__ ends, unsigned int names,
             const int *__restrict__ shape, const float *__restrict__ weights, float *__restrict__ logits) {
    // A slice of a convolution's table, then the hidden layer's weights for what it gave.
    __shared__ float4 staged[STAGED_WIDTH * ALPHABET * QUADS];
    // Pooled features of a slice; at the end, parts of logits.
    __shared__ float4 pooled4[2 * SLICE * POOLED_STRIDE / 4];
    __shared__ unsigned char tokens[NAMES][TOKEN_ROW];
    __shared__ int lengths[NAMES];
    // By length: the shortest name first, and how long it is.
    __shared__ int order[NAMES];
    __shared__ int sorted[NAMES];

    const int thread = threadIdx.x;
    const int banks = shape[0];
    const int units = shape[1];
    float *pooled = (float *)pooled4;

    // Where weights of the layers start. Numbers, not addresses: those would take two registers each.
    int hidden_bias = 0;
    int inputs = 0;
    for (int bank = 0; bank < banks; bank++) {
        const int width = shape[2 + 2 * bank];
        const int filters = shape[3 + 2 * bank];
        hidden_bias += filters * (1 + width * ALPHABET);
        inputs += 2 * filters;
    }
    const int hidden = hidden_bias + units;
    const int output = hidden + inputs * units;

    // As filters: four of a slice, of one name.
    const int quad = thread & (QUADS - 1);
    const int row = thread / QUADS;
    // As hidden units: a tile of four, and the one half of all units further on if there are so many, of four
    // names.
    const int tiles = units / TILE;
    const int columns = tiles > 16 ? tiles / 2 : tiles;
    const bool two_tiles = tiles > 16;
    const int tile = thread % columns;
    const int four = thread / columns;
    const bool is_summing = four < NAMES / 4;

    for (unsigned int first = blockIdx.x * NAMES; first < names; first += gridDim.x * NAMES) {
        __syncthreads();
        if (thread < NAMES) {
            const unsigned int name = first + thread;
            int length = 0;
            if (name < names) {
                length = (int)(ends[name] - (name == 0 ? 0 : ends[name - 1]));
                length = length > TEXT_BYTES ? TEXT_BYTES : length;
            }
            lengths[thread] = length;
        }
        __syncthreads();
        if (thread < NAMES) {
            const int own = lengths[thread];
            int place = 0;
            for (int other = 0; other < NAMES; other++) {
                place += lengths[other] < own || (lengths[other] == own && other < thread);
            }
            order[place] = thread;
            sorted[place] = own;
        }
        __syncthreads();
        const int length = sorted[row];
        {
            const unsigned int name = first + order[row];
            const unsigned int start = name == 0 || name >= names ? 0 : ends[name - 1];
            for (int i = quad; i < TOKEN_ROW; i += QUADS) {
                tokens[row][i] = i >= 1 && i <= length ? token_of(text[start + i - 1]) : 0;
            }
        }

        // Of each unit for four names.
        float4 sums[2 * TILE];
#pragma unroll
        for (int i = 0; i < 2 * TILE; i++) {
            const int unit = (i < TILE ? 0 : units / 2) + tile * TILE + i % TILE;
            const float bias = is_summing && (i < TILE || two_tiles) ? weights[hidden_bias + unit] : 0.0f;
            sums[i] = {bias, bias, bias, bias};
        }

        int bias = 0;
        int input = 0;
        for (int bank = 0; bank < banks; bank++) {
            const int width = shape[2 + 2 * bank];
            const int filters = shape[3 + 2 * bank];
            const int windows = TOKENS - width + 1;
            const int live = windows < length + 1 ? windows : length + 1;
            const int stride = filters / 4;
            const float4 *table = (const float4 *)(weights + bias + filters);
            for (int slice = 0; slice < stride; slice += QUADS) {
                __syncthreads();
                if (width <= STAGED_WIDTH) {
                    for (int i = thread; i < width * ALPHABET * QUADS; i += TABLE_THREADS) {
                        staged[i] = table[i / QUADS * stride + slice + i % QUADS];
                    }
                }
                __syncthreads();

                const float4 own_bias = ((const float4 *)(weights + bias))[slice + quad];
                const float4 *rows = staged + quad;
                const unsigned char *own = tokens[row];
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
                    default: value = pool_wide(table + slice + quad, stride, own, width, live, own_bias);
                }
                if (live < windows) {
                    float4 padding = own_bias;
                    for (int tap = 0; tap < width; tap++) {
                        add(&padding, width <= STAGED_WIDTH ? rows[tap * ALPHABET * QUADS]
                                                            : table[tap * ALPHABET * stride + slice + quad]);
                    }
                    take(&value, padding, (float)(windows - live));
                }
                float *maxima = pooled + quad * 4 * POOLED_STRIDE + row;
                maxima[0 * POOLED_STRIDE] = value.maximum.x;
                maxima[1 * POOLED_STRIDE] = value.maximum.y;
                maxima[2 * POOLED_STRIDE] = value.maximum.z;
                maxima[3 * POOLED_STRIDE] = value.maximum.w;
                float *means = maxima + SLICE * POOLED_STRIDE;
                const float share = 1.0f / (float)windows;
                means[0 * POOLED_STRIDE] = value.total.x * share;
                means[1 * POOLED_STRIDE] = value.total.y * share;
                means[2 * POOLED_STRIDE] = value.total.z * share;
                means[3 * POOLED_STRIDE] = value.total.w * share;
                __syncthreads();

                // The slice's maxima are neighbouring inputs, its means are others.
                const float4 *of_maxima = (const float4 *)(weights + hidden + (input + slice * 4) * units);
                const float4 *of_means = of_maxima + filters * tiles;
                for (int i = thread; i < SLICE * tiles; i += TABLE_THREADS) {
                    staged[i] = of_maxima[i];
                    staged[SLICE * tiles + i] = of_means[i];
                }
                __syncthreads();
                if (is_summing) {
                    const float4 *values = pooled4 + four;
                    const float4 *upper = staged + tile;
#pragma unroll 4
                    for (int i = 0; i < 2 * SLICE; i++) {
                        const float4 names4 = values[i * (POOLED_STRIDE / 4)];
                        const float4 one = upper[i * tiles];
                        add_scaled(&sums[0], names4, one.x);
                        add_scaled(&sums[1], names4, one.y);
                        add_scaled(&sums[2], names4, one.z);
                        add_scaled(&sums[3], names4, one.w);
                        if (two_tiles) {
                            const float4 two = upper[i * tiles + tiles / 2];
                            add_scaled(&sums[4], names4, two.x);
                            add_scaled(&sums[5], names4, two.y);
                            add_scaled(&sums[6], names4, two.z);
                            add_scaled(&sums[7], names4, two.w);
                        }
                    }
                }
            }
            input += 2 * filters;
            bias += filters * (1 + width * ALPHABET);
        }

        __syncthreads();
        if (is_summing) {
            float4 part = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
            for (int i = 0; i < 2 * TILE; i++) {
                if (i < TILE || two_tiles) {
                    const float weight = weights[output + (i < TILE ? 0 : units / 2) + tile * TILE + i % TILE];
                    const float4 unit = {relu(sums[i].x), relu(sums[i].y), relu(sums[i].z), relu(sums[i].w)};
                    add_scaled(&part, unit, weight);
                }
            }
            pooled4[tile * (POOLED_STRIDE / 4) + four] = part;
        }
        __syncthreads();
        if (thread < NAMES && first + order[thread] < names) {
            float logit = weights[output + units];
            for (int i = 0; i < columns; i++) {
                logit += pooled[i * POOLED_STRIDE + thread];
            }
            logits[first + order[thread]] = logit;
        }
    }
}
