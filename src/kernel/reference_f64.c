/* The reference kernels in double. */
#define REAL double
#include "kernel/reference/reference.h"

#include "kernel/reference/pointwise.h"

#include "kernel/reference/norm.h"

#include "kernel/reference/rope.h"

#include "kernel/reference/induction.h"

#include "kernel/reference/product.h"

#include "kernel/reference/int8.h"

#include "kernel/reference/loss.h"

#include "kernel/reference/recall.h"

#include "kernel/reference/ngram.h"

#include "kernel/reference/legendre.h"

#include "kernel/reference/attention.h"

#include "kernel/reference/lstm.h"

#include "kernel/reference/optimiser.h"

const Kernels kernels_reference_f64 = {
#include "kernel/reference/table.h"
};
