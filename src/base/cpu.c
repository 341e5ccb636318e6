/* The CPU: its name, and the best instruction set that it and the operating system run. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/machine.h"

static char cpu_name[128];
static MachineIsa cpu_isa;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static void cpu_find_name(void)
{
    static const char *const keys[] = {"model name", "Model Name", "Hardware", "cpu model"};
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && !*cpu_name && fgets(line, sizeof line, file))
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            char *colon = strchr(line, ':');
            if (strncmp(line, keys[i], strlen(keys[i])) != 0 || !colon)
                continue;
            colon += 1 + strspn(colon + 1, " \t");
            colon[strcspn(colon, "\n")] = '\0';
            snprintf(cpu_name, sizeof cpu_name, "%s", colon);
        }
    if (file)
        fclose(file);
    if (!*cpu_name)
        snprintf(cpu_name, sizeof cpu_name, "unknown CPU");
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

/* Register state that the operating system saves, as XCR0 says: bits 1, 2 SSE and AVX, 5 to 7 AVX-512, 17, 18 AMX. */
static unsigned long long saved_state(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

/* Linux gives the tile registers only to a process that asked (ARCH_REQ_XCOMP_PERM for XTILEDATA). */
static bool amx_permitted(void)
{
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

static MachineIsa cpu_find_isa(void)
{
    unsigned a, b, c, d, b7, c7, d7, a71 = 0, leaves;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return ISA_BASE;
    const unsigned fma = 1u << 12, xsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    if ((c & (fma | xsave | avx | f16c)) != (fma | xsave | avx | f16c))
        return ISA_BASE;
    unsigned long long state = saved_state();
    if ((state & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &leaves, &b7, &c7, &d7) || !(b7 & 1u << 5))
        return ISA_BASE;
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    if ((b7 & avx512) != avx512 || (state & 0xE0) != 0xE0)
        return ISA_AVX2;
    if (!(c7 & 1u << 11))
        return ISA_AVX512;
    if (leaves < 1 || !__get_cpuid_count(7, 1, &a71, &b, &c, &d) || !(a71 & 1u << 5))
        return ISA_AVX512VNNI;
    const unsigned amx = 1u << 22 | 1u << 24 | 1u << 25; /* BF16, TILE, INT8 */
    if ((d7 & amx) != amx || (state & 0x60000) != 0x60000 || !amx_permitted())
        return ISA_AVX512BF16;
    return ISA_AMX;
}
#else
static MachineIsa cpu_find_isa(void)
{
    return ISA_BASE;
}
#endif

static void cpu_find(void)
{
    cpu_find_name();
    cpu_isa = cpu_find_isa();
}

const char *machine_cpu_name(void)
{
    pthread_once(&cpu_once, cpu_find);
    return cpu_name;
}

static const char *const isa_names[] = {"ref", "base", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx"};
_Static_assert(sizeof isa_names / sizeof *isa_names == ISA_COUNT, "every instruction set has a name");

const char *machine_isa_name(MachineIsa isa)
{
    return (unsigned)isa < ISA_COUNT ? isa_names[isa] : "unknown";
}

/* The cap that LMU_ISA names; ISA_COUNT if it names none. */
static MachineIsa isa_cap(void)
{
    const char *cap = getenv("LMU_ISA");
    int isa = 0;
    while (cap && isa < ISA_COUNT && strcmp(cap, isa_names[isa]) != 0)
        isa++;
    return cap ? (MachineIsa)isa : ISA_COUNT;
}

MachineIsa machine_isa(void)
{
    pthread_once(&cpu_once, cpu_find);
    MachineIsa cap = isa_cap();
    return cap < cpu_isa ? cap : cpu_isa;
}

const char *machine_isa_problem(void)
{
    const char *cap = getenv("LMU_ISA");
    if (!cap || !*cap || isa_cap() != ISA_COUNT)
        return NULL;
    return "LMU_ISA is none of ref, base, avx2, avx512, avx512vnni, avx512bf16, amx; nothing is capped";
}
