/* The plain kernels, written over one `real` type: reference_f32.c and reference_f64.c define REAL and include the families.
 *
 * Opaque pointers come in under capital names and are read through IN and OUT. Nothing here is clever: these functions are
 * what the fast kernels are tested against and, in double, what gradients are checked with. */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "base/random.h"
#include "kernel/kernels.h"

typedef REAL real;

#define IN(x) ((const real *)(x))
#define OUT(x) ((real *)(x))
#define NUMBERS(array) ((real *)(array).data)

/* y (+)= v */
#define STORE(y, v, add) ((y) = (add) ? (y) + (v) : (v))
