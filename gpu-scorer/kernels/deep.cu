// A table CNN with a second convolution, one name a block.
//
//   tokens -> tables of several widths -> relu -> convolution over positions -> relu -> max -> dense -> relu -> logit
//
// First outputs of 32 positions are in the works at a time: their inputs, the first layer's channels of up to 36
// positions, are in shared memory. A warp is four positions, a lane is four channels; so a lane reads four weights at a
// time for all its positions, and the inputs are one for the whole warp. Positions behind the name see padding only
// and give what the first of them gives, so the work follows the name's length.
//
// Names come packed as for table.cu. `shape` is: tables, taps and channels of the second convolution, dense units; then
// width, filters and lead of each table: at position p it sees tokens p - lead and the following, padding where there
// is none. There are as many positions as tokens; the second convolution stays within them. Weights are: bias and table
// [tap][token][filter] of each table; bias and kernel [tap][filter of all tables][channel] of the convolution; bias and
// [channel][unit] of the dense layer; output, its bias. At most 5 taps, 256 filters in all, 128 channels; filters and
// channels are multiples of 4, so that what is read in fours is aligned.

#define DEEP_THREADS 256
#define DEEP_WARPS (DEEP_THREADS / 32)
#define ALL_LANES 0xffffffffu
#define ALPHABET 41
#define TEXT_BYTES 64
#define TOKENS (TEXT_BYTES + 2)
#define OWN_POSITIONS 4
#define CHUNK (DEEP_WARPS * OWN_POSITIONS)
#define MOST_TAPS 5
#define MOST_FILTERS 256
#define MOST_CHANNELS 128

static __device__ __forceinline__ float relu(float value) { return value > 0.0f ? value : 0.0f; }
static __device__ __forceinline__ float larger(float a, float b) { return a > b ? a : b; }

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

extern "C" __global__ void __launch_bounds__(DEEP_THREADS, 2)
deep_logits(const unsigned char *__restrict__ text, const unsigned int *__restrict__ ends, unsigned int names,
            const int *__restrict__ shape, const float *__restrict__ weights, float *__restrict__ logits) {
    // [position][four filters]
    __shared__ float4 inputs[(CHUNK + MOST_TAPS - 1) * (MOST_FILTERS / 4)];
    __shared__ float4 maxima[DEEP_WARPS][MOST_CHANNELS / 4];
    __shared__ float pooled[MOST_CHANNELS];
    __shared__ float parts[DEEP_WARPS];
    __shared__ unsigned char tokens[TOKENS];

    const int thread = threadIdx.x;
    const int lane = thread & 31;
    const int warp = thread >> 5;
    const int tables = shape[0];
    const int taps = shape[1];
    const int channels = shape[2];
    const int units = shape[3];

    int filters = 0;
    int lead = 0;
    int bias = 0;
    for (int table = 0; table < tables; table++) {
        const int *own = shape + 4 + 3 * table;
        bias += own[1] * (1 + own[0] * ALPHABET);
        filters += own[1];
        lead = own[2] > lead ? own[2] : lead;
    }
    const int quads = filters / 4;
    const int columns = channels / 4;
    const float4 *conv_bias = (const float4 *)(weights + bias);
    const float4 *kernel = conv_bias + columns;
    const float *dense_bias = (const float *)(kernel + taps * filters * columns);
    const float *dense = dense_bias + units;
    const float *output = dense + channels * units;

    for (unsigned int name = blockIdx.x; name < names; name += gridDim.x) {
        const unsigned int from = name == 0 ? 0 : ends[name - 1];
        int length = (int)(ends[name] - from);
        length = length > TEXT_BYTES ? TEXT_BYTES : length;
        __syncthreads();
        if (thread < TOKENS) {
            tokens[thread] = thread >= 1 && thread <= length ? token_of(text[from + thread - 1]) : 0;
        }
        // Those that see text, and one more.
        int live = length + lead + 2;
        live = live > TOKENS - taps + 1 ? TOKENS - taps + 1 : live;

        float4 best = {0.0f, 0.0f, 0.0f, 0.0f};
        for (int start = 0; start < live; start += CHUNK) {
            const int count = live - start > CHUNK ? CHUNK : live - start;
            __syncthreads();
            for (int item = thread; item < (count + taps - 1) * quads; item += DEEP_THREADS) {
                const int position = start + item / quads;
                int quad = item % quads;
                const float *own_weights = weights;
                const int *own = shape + 4;
                while (quad >= own[1] / 4) {
                    quad -= own[1] / 4;
                    own_weights += own[1] * (1 + own[0] * ALPHABET);
                    own += 3;
                }
                const int stride = own[1] / 4;
                const float4 *rows = (const float4 *)own_weights + stride + quad;
                float4 sum = ((const float4 *)own_weights)[quad];
                for (int tap = 0; tap < own[0]; tap++) {
                    const int at = position - own[2] + tap;
                    const int token = at >= 0 && at < TOKENS ? tokens[at] : 0;
                    add_scaled(&sum, rows[(tap * ALPHABET + token) * stride], 1.0f);
                }
                inputs[item] = {relu(sum.x), relu(sum.y), relu(sum.z), relu(sum.w)};
            }
            __syncthreads();

            const int first = warp * OWN_POSITIONS;
            if (first < count && lane < columns) {
                float4 sums[OWN_POSITIONS];
#pragma unroll
                for (int i = 0; i < OWN_POSITIONS; i++) {
                    sums[i] = conv_bias[lane];
                }
                for (int tap = 0; tap < taps; tap++) {
                    const float4 *row = kernel + tap * filters * columns + lane;
                    const float4 *values = inputs + (first + tap) * quads;
                    for (int quad = 0; quad < quads; quad++) {
                        const float4 one = row[0];
                        const float4 two = row[columns];
                        const float4 three = row[2 * columns];
                        const float4 four = row[3 * columns];
                        row += 4 * columns;
#pragma unroll
                        for (int i = 0; i < OWN_POSITIONS; i++) {
                            // Behind the last position stands what an earlier chunk left; it is not looked at below.
                            const float4 value = values[i * quads + quad];
                            add_scaled(&sums[i], one, value.x);
                            add_scaled(&sums[i], two, value.y);
                            add_scaled(&sums[i], three, value.z);
                            add_scaled(&sums[i], four, value.w);
                        }
                    }
                }
#pragma unroll
                for (int i = 0; i < OWN_POSITIONS; i++) {
                    if (first + i < count) {
                        // From 0 on, so relu is applied.
                        best.x = larger(best.x, sums[i].x);
                        best.y = larger(best.y, sums[i].y);
                        best.z = larger(best.z, sums[i].z);
                        best.w = larger(best.w, sums[i].w);
                    }
                }
            }
        }

        if (lane < columns) {
            maxima[warp][lane] = best;
        }
        __syncthreads();
        if (thread < channels) {
            float value = 0.0f;
            for (int other = 0; other < DEEP_WARPS; other++) {
                value = larger(value, ((const float *)maxima[other])[thread]);
            }
            pooled[thread] = value;
        }
        __syncthreads();
        float part = 0.0f;
        for (int unit = thread; unit < units; unit += DEEP_THREADS) {
            float sum = dense_bias[unit];
            for (int channel = 0; channel < channels; channel++) {
                sum += pooled[channel] * dense[channel * units + unit];
            }
            part += relu(sum) * output[unit];
        }
        for (int mask = 1; mask < 32; mask *= 2) {
            part += __shfl_xor_sync(ALL_LANES, part, mask);
        }
        if (lane == 0) {
            parts[warp] = part;
        }
        __syncthreads();
        if (thread == 0) {
            float logit = output[units];
            for (int other = 0; other < DEEP_WARPS; other++) {
                logit += parts[other];
            }
            logits[name] = logit;
        }
    }
}
