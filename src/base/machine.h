/* The machine: how many threads to use, how much memory there is, what the CPU can do. */
#ifndef LMU_BASE_MACHINE_H
#define LMU_BASE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Threads this process may use: the CPUs of its affinity mask, capped by the cgroup's CPU quota (v1 and v2, rounded up).
 * `reason`, if not NULL, receives why, for the user: "2 CPUs in the affinity mask", "cgroup quota of 1.5 CPUs". */
int machine_threads(char *reason, size_t size);

/* Bytes of memory this process may use: the smallest of physical memory, MemAvailable and the cgroup's limit less its
 * use. */
int64_t machine_memory(void);

/* The two figures above as the cgroups of this process give them, read below `root` ("" for the machine's own /proc and
 * /sys/fs/cgroup): CPUs of quota, and bytes left below the limit (what can be reclaimed of the page cache counts as left).
 * Negative: no limit. */
double machine_cgroup_cpus(const char *root);
int64_t machine_cgroup_memory(const char *root);

/* Peak resident memory of this process in bytes, and what is resident now (0 where /proc does not tell). */
int64_t machine_peak_resident(void);
int64_t machine_resident(void);

/* The CPU's name, from /proc/cpuinfo where there is one ("AMD EPYC ..."). */
const char *machine_cpu_name(void);

/* Instruction sets our kernels come in, from least to most. REFERENCE is plain C with no variant. */
typedef enum MachineIsa {
    ISA_REFERENCE,
    ISA_BASE,
    ISA_AVX2,
    ISA_AVX512,
    ISA_AVX512VNNI,
    ISA_AVX512BF16,
    ISA_AMX,
    ISA_COUNT
} MachineIsa;

/* The best this CPU and operating system run, capped by the environment variable LMU_ISA=ref|base|avx2|avx512|
 * avx512vnni|avx512bf16|amx. An unknown value caps nothing and is reported by machine_isa_problem(). */
MachineIsa machine_isa(void);
const char *machine_isa_name(MachineIsa isa);
const char *machine_isa_problem(void); /* NULL: none */

/* Monotonic clock in seconds. */
double machine_seconds(void);

#endif
