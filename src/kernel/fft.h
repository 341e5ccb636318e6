/* All of FFTW stands behind this header: the Legendre memory as a convolution. */
#ifndef LMU_KERNEL_FFT_H
#define LMU_KERNEL_FFT_H

#include "kernel/kernels.h"

/* Puts the convolutions into a table of float. */
void kernels_fftw_override(Kernels *table);

#endif
