#include "base/random.h"

#include <math.h>

/* Philox4x32 with 10 rounds; multipliers and Weyl constants from Salmon et al. 2011, table 2 and section 4.3. */
static void philox(uint64_t key, uint64_t low, uint64_t high, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)low, c1 = (uint32_t)(low >> 32), c2 = (uint32_t)high, c3 = (uint32_t)(high >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53 * c0, b = (uint64_t)0xCD9E8D57 * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static uint64_t philox_bits(uint64_t key, uint64_t low, uint64_t high)
{
    uint32_t word[4];
    philox(key, low, high, word);
    return (uint64_t)word[1] << 32 | word[0];
}

static double unit_interval(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t random_key(uint64_t seed, const char *purpose, uint64_t a, uint64_t b)
{
    uint64_t hash = 0xCBF29CE484222325; /* FNV-1a */
    for (const char *c = purpose; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001B3;
    return philox_bits(philox_bits(seed, hash, 1), a, b);
}

void random_block(uint64_t key, uint64_t counter, uint32_t out[4])
{
    philox(key, counter, 0, out);
}

uint64_t random_bits(uint64_t key, uint64_t counter)
{
    return philox_bits(key, counter, 0);
}

double random_uniform(uint64_t key, uint64_t counter)
{
    return unit_interval(philox_bits(key, counter, 0));
}

double random_normal(uint64_t key, uint64_t counter)
{
    uint32_t word[4];
    philox(key, counter, 0, word);
    double u = 1 - unit_interval((uint64_t)word[1] << 32 | word[0]); /* (0, 1]: its logarithm is finite */
    double v = unit_interval((uint64_t)word[3] << 32 | word[2]);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* Draws below 2^64 mod bound are drawn anew (from another half of the counter), so every value is equally likely. */
uint64_t random_below(uint64_t key, uint64_t counter, uint64_t bound)
{
    uint64_t surplus = -bound % bound;
    for (uint64_t attempt = 0;; attempt++) {
        uint64_t bits = philox_bits(key, counter, attempt);
        if (bits >= surplus)
            return bits % bound;
    }
}

/* The network permutes 0 .. 2^bits-1 < 2n: the halves take turns in masking each other, so they need not be equally
 * wide. An image outside 0..n-1 is mapped again until it falls inside, less than two steps on average. */
uint64_t random_permute(uint64_t key, uint64_t n, uint64_t i)
{
    if (n < 2)
        return 0;
    int bits = 64 - __builtin_clzll(n - 1), half = bits / 2;
    uint64_t low_mask = ((uint64_t)1 << (bits - half)) - 1, high_mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t low = i & low_mask, high = i >> (bits - half);
        for (uint64_t round = 0; round < 8; round += 2) {
            high ^= philox_bits(key, low, round) & high_mask;
            low ^= philox_bits(key, high, round + 1) & low_mask;
        }
        i = high << (bits - half) | low;
    } while (i >= n);
    return i;
}
