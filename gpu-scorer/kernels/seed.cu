// The seed's CNN, one name a warp, all layers in one kernel.
//
//   code points 16x16x1 -> conv 2x2x16 -> max 2x2 -> conv 2x2x16 -> max 2x2 -> conv 2x2x8 -> 32 -> 8 -> 1
//                                14x14        7x7         6x6         3x3         2x2
//
// A lane is one of 16 channels in one of two column parities, so that pooling over columns is a shuffle.
// The second convolution's weights (64 a channel) stay in registers; activations are in shared memory. Rows
// of padding come out of a layer as one constant, so the work follows the name's length: a name of up to
// 32 characters touches 1 of 7 rows.
//
// Names come packed: name i is text[ends[i - 1] .. ends[i]]. Weights are in Keras' order: for each layer
// kernel, then bias, output channel last.

#define SEED_WARPS 8
#define SEED_THREADS (SEED_WARPS * 32)
#define ALL_LANES 0xffffffffu

#define KERNEL1 0
#define BIAS1 64
#define KERNEL2 80
#define BIAS2 1104
#define KERNEL3 1120
#define BIAS3 1632
#define DENSE1 1640
#define DENSE1_BIAS 1896
#define DENSE2 1904
#define DENSE2_BIAS 1912

static __device__ __forceinline__ float larger(float a, float b) { return a > b ? a : b; }
static __device__ __forceinline__ float relu(float value) { return value > 0.0f ? value : 0.0f; }

// One output of the second convolution. `pixels` is the upper left of its four input pixels.
static __device__ __forceinline__ float convolved2(const float4 *pixels, const float *kernel, float bias) {
    float sum = bias;
#pragma unroll
    for (int tap = 0; tap < 4; tap++) {
        const float4 *pixel = pixels + ((tap >> 1) * 7 + (tap & 1)) * 4;
#pragma unroll
        for (int quarter = 0; quarter < 4; quarter++) {
            const float4 values = pixel[quarter];
            const float *weights = kernel + tap * 16 + quarter * 4;
            sum += values.x * weights[0];
            sum += values.y * weights[1];
            sum += values.z * weights[2];
            sum += values.w * weights[3];
        }
    }
    return relu(sum);
}

extern "C" __global__ void __launch_bounds__(SEED_THREADS, 2)
seed_logits(const unsigned char *__restrict__ text, const unsigned int *__restrict__ ends, unsigned int names,
            const float *__restrict__ weights, float *__restrict__ logits) {
    __shared__ float shared_kernel3[4 * 16 * 8];
    __shared__ float shared_dense1[32 * 8];
    __shared__ float shared_cells[SEED_WARPS][15 * 16];
    __shared__ float4 shared_pooled1[SEED_WARPS][7 * 7 * 4];
    __shared__ float shared_pooled2[SEED_WARPS][3 * 3 * 16];

    const unsigned int lane = threadIdx.x & 31;
    const unsigned int warp = threadIdx.x >> 5;
    const unsigned int channel = lane & 15;
    const unsigned int parity = lane >> 4;

    for (unsigned int i = threadIdx.x; i < 4 * 16 * 8; i += SEED_THREADS) {
        shared_kernel3[i] = weights[KERNEL3 + i];
    }
    for (unsigned int i = threadIdx.x; i < 32 * 8; i += SEED_THREADS) {
        shared_dense1[i] = weights[DENSE1 + i];
    }
    float kernel1[4];
    float kernel2[64];
#pragma unroll
    for (int tap = 0; tap < 4; tap++) {
        kernel1[tap] = weights[KERNEL1 + tap * 16 + channel];
    }
#pragma unroll
    for (int input = 0; input < 64; input++) {
        kernel2[input] = weights[KERNEL2 + input * 16 + channel];
    }
    const float bias1 = weights[BIAS1 + channel];
    const float bias2 = weights[BIAS2 + channel];

    // What rows of padding become behind the first pooling and behind the second convolution.
    const float padding1 = relu(bias1);
    float padding2 = bias2;
#pragma unroll
    for (int input = 0; input < 16; input++) {
        const float value = __shfl_sync(ALL_LANES, padding1, input);
#pragma unroll
        for (int tap = 0; tap < 4; tap++) {
            padding2 += value * kernel2[tap * 16 + input];
        }
    }
    padding2 = relu(padding2);
    const unsigned int unit = lane & 7;
    const unsigned int group = lane >> 3;
    const float bias3 = weights[BIAS3 + unit];
    const float dense1_bias = weights[DENSE1_BIAS + unit];
    const float dense2 = weights[DENSE2 + unit];
    const float dense2_bias = weights[DENSE2_BIAS];
    __syncthreads();

    float *cells = shared_cells[warp];
    float4 *pooled1 = shared_pooled1[warp];
    float *pooled1_values = (float *)pooled1;
    float *pooled2 = shared_pooled2[warp];

    for (unsigned int name = blockIdx.x * SEED_WARPS + warp; name < names; name += gridDim.x * SEED_WARPS) {
        const unsigned int start = name == 0 ? 0 : ends[name - 1];
        const unsigned int length = ends[name] - start;
        // Rows of the first pooling that see text: row r sees rows 2r to 2r + 2 of the cells.
        unsigned int rows = (length + 31) / 32;
        rows = rows > 7 ? 7 : rows;
        for (unsigned int i = lane; i < (2 * rows + 1) * 16; i += 32) {
            cells[i] = i < length ? (float)text[start + i] : 0.0f;
        }
        __syncwarp(ALL_LANES);

        for (unsigned int row = 0; row < rows; row++) {
#pragma unroll
            for (unsigned int column = 0; column < 7; column++) {
                const float *cell = cells + row * 32 + column * 2 + parity;
                float upper = kernel1[0] * cell[0] + kernel1[1] * cell[1];
                upper += kernel1[2] * cell[16] + kernel1[3] * cell[17];
                float lower = kernel1[0] * cell[16] + kernel1[1] * cell[17];
                lower += kernel1[2] * cell[32] + kernel1[3] * cell[33];
                float value = larger(upper, lower);
                value = larger(value, __shfl_xor_sync(ALL_LANES, value, 16));
                if (parity == 0) {
                    pooled1_values[(row * 7 + column) * 16 + channel] = relu(value + bias1);
                }
            }
        }
        if (rows < 7) {
            for (unsigned int column = parity; column < 7; column += 2) {
                pooled1_values[(rows * 7 + column) * 16 + channel] = padding1;
            }
        }
        __syncwarp(ALL_LANES);

        const unsigned int rows2 = rows > 6 ? 6 : rows;
        for (unsigned int row = 0; row < 3; row++) {
#pragma unroll 1
            for (unsigned int column = 0; column < 3; column++) {
                float value = padding2;
                if (row * 2 < rows2) {
                    const float4 *pixels = pooled1 + (row * 2 * 7 + column * 2 + parity) * 4;
                    value = convolved2(pixels, kernel2, bias2);
                    const float below = row * 2 + 1 < rows2 ? convolved2(pixels + 7 * 4, kernel2, bias2) : padding2;
                    value = larger(value, below);
                }
                value = larger(value, __shfl_xor_sync(ALL_LANES, value, 16));
                if (parity == 0) {
                    pooled2[(row * 3 + column) * 16 + channel] = value;
                }
            }
        }
        __syncwarp(ALL_LANES);

        // A lane is one of 8 units at one of 4 pixels, which is also its place in the flattened 32.
        const float *corner = pooled2 + ((group >> 1) * 3 + (group & 1)) * 16;
        float sum = bias3;
#pragma unroll
        for (int tap = 0; tap < 4; tap++) {
            const float *pixel = corner + ((tap >> 1) * 3 + (tap & 1)) * 16;
#pragma unroll
            for (int input = 0; input < 16; input++) {
                sum += pixel[input] * shared_kernel3[(tap * 16 + input) * 8 + unit];
            }
        }
        const float flat = relu(sum);

        // Each group of 8 lanes sums its own 8 inputs for the 8 units, then the four groups meet.
        float hidden = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const unsigned int input = group * 8 + i;
            hidden += __shfl_sync(ALL_LANES, flat, input) * shared_dense1[input * 8 + unit];
        }
        hidden += __shfl_xor_sync(ALL_LANES, hidden, 8);
        hidden += __shfl_xor_sync(ALL_LANES, hidden, 16);
        float logit = relu(hidden + dense1_bias) * dense2;
        logit += __shfl_xor_sync(ALL_LANES, logit, 1);
        logit += __shfl_xor_sync(ALL_LANES, logit, 2);
        logit += __shfl_xor_sync(ALL_LANES, logit, 4);
        if (lane == 0) {
            logits[name] = logit + dense2_bias;
        }
    }
}
