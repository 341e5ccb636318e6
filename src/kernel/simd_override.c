#include "kernel/kernels.h"
void kernels_simd_override(Kernels *table, MachineIsa isa)
{
    (void)table; (void)isa;
}
