/* Counter-based random numbers (Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 *
 * There is no generator to carry about: a draw is a pure function of a key and a counter, so it does not depend on
 * threads, ranks or the order of calls. A key is made from the seed and from what the draw is for:
 *
 *     uint64_t key = random_key(seed, "dropout", step, op);
 *     double u = random_uniform(key, sample * width + channel);                                               */
#ifndef LMU_BASE_RANDOM_H
#define LMU_BASE_RANDOM_H

#include <stdint.h>

/* A key for draws of one purpose; a and b are whatever else tells draws apart (step, layer, ...). */
uint64_t random_key(uint64_t seed, const char *purpose, uint64_t a, uint64_t b);

/* Four words of 32 random bits for (key, counter). */
void random_block(uint64_t key, uint64_t counter, uint32_t out[4]);

uint64_t random_bits(uint64_t key, uint64_t counter);                  /* 64 uniform bits */
double random_uniform(uint64_t key, uint64_t counter);                 /* [0, 1), 53 bits */
double random_normal(uint64_t key, uint64_t counter);                  /* mean 0, deviation 1 (Box-Muller) */
uint64_t random_below(uint64_t key, uint64_t counter, uint64_t bound); /* 0 .. bound-1, bound >= 1 */

/* The image of i (< n) under a pseudorandom permutation of 0..n-1 chosen by the key: a Feistel network with cycle
 * walking, so any element costs O(1) time and no memory. */
uint64_t random_permute(uint64_t key, uint64_t n, uint64_t i);

#endif
